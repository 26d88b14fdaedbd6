"""The Python of the documentation that is not run where it stands: names, imports and hooks."""

from __future__ import annotations

import ast
import builtins
import importlib
import types
from collections.abc import Iterator, Sequence

from docs_commands import Fault

GIVEN = {"images", "camera", "grab", "react"}
"""What examples for users take from their surroundings."""


def check_python(body: str, titled: bool, before: Sequence[str]) -> None:
    """Names are defined, imports of this code exist, and hooks are what discovery takes.

    Args:
        body: the code.
        titled: it is a file, which the test of its page runs; it must compile.
        before: the untitled Python blocks of the page before it.

    Raises:
        Fault: one line.
    """
    try:
        tree = ast.parse(body)
    except SyntaxError as error:
        raise Fault(f"line {error.lineno} is no Python: {error.msg}") from None
    if titled:
        return  # run by its page's test
    known = {*dir(builtins), *GIVEN, *_defined(tree)}
    code = ""
    for other in before:
        names = _defined(ast.parse(other))
        known |= names
        code += other if _hook_names() & names else ""
    for module, name in _imports(tree):
        _exists(module, name)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    hooks = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)} & _hook_names()
    if unknown := used - known:
        raise Fault(
            f"{', '.join(sorted(unknown))} is neither defined nor imported in the page's Python before"
        )
    for path in _dotted(tree):
        _exists("pose_core", path)
    if hooks:
        discovered(code + body)


def discovered(code: str) -> None:
    """The hooks that the code defines return what discovery takes.

    Raises:
        Fault: they do not.
    """
    from pose_core.plugins.definition_checks import ask, check_definitions
    from pose_core.plugins.discovery import find_implementations

    module = types.ModuleType("example")
    exec(compile(code, "<documentation>", "exec"), vars(module))
    try:
        hooks = find_implementations(module).items()
        check_definitions({name: ask(name, hook) for name, hook in hooks if name != "pose_plugin_info"})
    except Exception as error:  # whatever a hook raises is what is wrong with the page
        raise Fault(f"the hooks are refused: {' '.join(str(error).split())}") from None


def _hook_names() -> set[str]:
    from pose_core.hooks import HOOKS

    return set(HOOKS)


def _defined(tree: ast.AST) -> set[str]:
    """All names that the code binds anywhere."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    names |= {a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)}
    names |= {a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in (n.vararg, n.kwarg) if a}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    return names


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def _dotted(tree: ast.AST) -> Iterator[str]:
    """``load`` of ``pose_core.load(...)``."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "pose_core"
        ):
            yield node.attr


def _exists(module: str, name: str) -> None:
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise Fault(f"cannot import {module}: {error}") from None
    if name and not hasattr(found, name):
        try:
            importlib.import_module(f"{module}.{name}")
        except ImportError:
            raise Fault(f"{module} has no {name}") from None
