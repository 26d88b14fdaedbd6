"""The code blocks of the documentation, and the rule by which each kind is checked.

A block's first line says what it is; a block that no rule covers is a fault, so nothing in the docs stays untested:

==============================  =======================================================================================
``sh``                          typed: each ``pose`` command must be one that the program takes, with every option and
                                argument; ``--model`` and ``--set`` name what there is; ``make`` targets and scripts
                                exist. With ``fails="..."`` the commands are run by the page's test and must fail so.
``yaml``                        what ``pose train --config`` takes, alone or on top of a named model
``yaml title="project.yaml"``   the core's labelled project, with the ``csv title="labels.csv"`` of the same page
``yaml title="split.yaml"``     a list of images, ``data.split.file``
``python``                      compiles, and every name in it is defined, imported or one of :data:`GIVEN`; imports of
                                ``pose_core`` are carried out. What defines hooks is run through discovery.
``toml``                        TOML; entry points are those of plugins
``text``                        what a program prints, or a sketch: it must not hold commands
any with another ``title``      a file of a guide, which its page's test writes and runs
==============================  =======================================================================================

``python tools/docs_blocks.py FILE...`` prints the faults, for plugins outside this repository.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import shlex
import sys
import tempfile
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_OPERATORS = {"|", "||", "&&", ";"}

GIVEN = {"images", "camera", "grab", "react"}
"""What examples for users take from their surroundings."""

PROGRAMS = {"cd", "cookiecutter", "git", "grep", "pip", "pytest", "source", "towncrier", "twine"}
"""What a page may type beside ``pose``, ``make`` and ``python``; nothing is checked about these."""


class Fault(Exception):
    """What is wrong with a block, in one line."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, as it is called in messages.
        line: of its first fence, from 1.
        language: first word after the fence.
        title: name of the file that it is; empty for others.
        fails: part of the message with which its commands fail; empty where they do not.
        body: without the fences.
    """

    page: str
    line: int
    language: str
    title: str
    fails: str
    body: str

    @property
    def where(self) -> str:
        """``docs/user-guide.md:51``."""
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str = "") -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in _FENCE.finditer(text):
        info, indent = found["info"], len(found["indent"])
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', info))
        line = text[: found.start()].count("\n") + 1
        body = "".join(row[indent:] if row.strip() else "\n" for row in found["body"].splitlines(keepends=True))
        language = info.strip().partition(" ")[0]
        yield Block(page, line, language, attributes.get("title", ""), attributes.get("fails", ""), body)


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a file."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    return list(blocks_of(path.read_text(encoding="utf-8"), name))


def check(block: Block, page: list[Block], *, names: bool = True) -> None:
    """Apply the rule of a block.

    Args:
        block: one of ``page``.
        page: all blocks of its page.
        names: whether models and components that it names are installed here.

    Raises:
        Fault: the block is not what its rule demands, or no rule covers it.
    """
    rules = {"sh": _typed, "python": _python, "toml": _toml, "text": _printed, "yaml": _yaml, "csv": _csv}
    rule = rules.get(block.language)
    if rule is None:
        raise Fault(
            f"{block.where}: unknown block {block.language!r}: begin it with sh (typed), text (printed), "
            f"{', '.join(sorted(rules))}, or give it a title if it is a file"
        )
    try:
        rule(block, page, names)
    except Fault as fault:
        raise Fault(f"{block.where}: {fault}") from None


def commands(body: str) -> Iterator[list[str]]:
    """The single commands of lines to type, without comments and redirections."""
    for line in re.sub(r"\\\n\s*", " ", body).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise Fault(f"{line!r} is no shell command: {error}") from None
        command: list[str] = []
        skip = False
        for word in [*words, ";"]:
            if word in _OPERATORS:
                if command:
                    yield command
                command = []
            elif set(word) <= {">", "<", "&"}:
                skip = True
            elif skip:
                skip = False
            else:
                command.append(word)


def _typed(block: Block, page: list[Block], names: bool) -> None:
    from pose_core.errors import PoseError

    for command in commands(block.body):
        program, *arguments = command
        if program == "pose":
            try:
                values = parse(arguments)
                if names and not block.fails:
                    _names_exist(arguments[0], values)
            except PoseError as error:
                raise Fault(f"{shlex.join(command)}: {error}") from None
        elif program == "make":
            targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
            if unknown := {a for a in arguments if "=" not in a} - targets:
                raise Fault(f"the Makefile has no target {', '.join(sorted(unknown))}")
        elif program in ("python", "python3"):
            script = arguments[0]
            written = {b.title for b in page}
            if script.endswith(".py") and script not in written and not (ROOT / script).is_file():
                raise Fault(f"there is no script {script}")
        elif program not in PROGRAMS and not program.startswith((".venv/", ".ci/")):
            raise Fault(f"{shlex.join(command)}: unknown program; what is printed belongs into a block of text")


def parse(arguments: list[str], *, whole: bool = True) -> Mapping[str, Any]:
    """The values of a ``pose`` command line, which is not carried out.

    Args:
        arguments: after ``pose``.
        whole: whether arguments that are needed must be there.

    Raises:
        Fault: there is no such command or option, or too many or too few arguments are given.
    """
    import typer

    from pose_core.cli.main import app

    group: Any = typer.main.get_command(app)
    name, *rest = arguments or [""]
    if name in ("-h", "--help", "--version"):
        return {}
    if name not in group.commands:
        raise Fault(f"pose has no command {name!r}; there are {', '.join(sorted(group.commands))}")
    command = group.commands[name]
    if {"-h", "--help"} & set(rest):
        return {}
    try:
        values: Mapping[str, Any] = command.make_context(name, list(rest), resilient_parsing=not whole).params
    except Exception as error:  # typer brings its own copy of click, whose exceptions have no public name
        if not hasattr(error, "format_message"):
            raise
        raise Fault(f"pose {shlex.join(arguments)}: {error.format_message()}") from None
    return values


def _names_exist(command: str, values: Mapping[str, Any]) -> None:
    """Models, detectors, formats and settings that a command line names are known. Raises PoseError where not."""
    from pose_core.catalog import get_catalog
    from pose_core.specs.resolve import set_layer

    catalog = get_catalog()
    assignments = list(values.get("assignments") or ())
    detector = values.get("detector")
    if command == "train":
        trained = not (isinstance(detector, str) and re.fullmatch(r"[a-z]\w*", detector))
        if not trained:
            catalog.component("detector", str(detector))
        if values.get("model"):
            _resolves(values["model"], set_layer(assignments), detector=None if trained else detector)
    elif command == "predict" and not str(values["format"]).startswith("{"):
        catalog.component("writer", values["format"])
    elif command == "import":
        catalog.component("importer", values["importer"])


def _resolves(model: str | None, *user: Any, detector: str | None = None) -> None:
    """A configuration on top of a named model is valid for a project of one or of several animals."""
    from pose_core.errors import PoseError
    from pose_core.specs.resolve import Layer, choose_model, resolve

    one: dict[str, Any] = {"skeleton": {"keypoints": ["nose", "tail"]}, "data": {"source": "somewhere"}}
    two = {**one, "skeleton": {**one["skeleton"], "individuals": ["one", "two"]}}
    layers = [*([Layer({"detector": {"network": {"type": detector}}})] if detector else []), *user]
    for number, data in enumerate((one, two)):
        try:
            resolve(choose_model(model, multi_animal=data is two) if model else None, Layer(data), layers)
        except PoseError:
            if number:
                raise
        else:
            return


def _yaml(block: Block, page: list[Block], names: bool) -> None:
    import yaml

    from pose_core.errors import PoseError
    from pose_core.specs.resolve import file_layer

    if block.title == "project.yaml":
        _project(page)
        return
    if block.title not in ("", "split.yaml"):
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "block.yaml"
        file.write_text(block.body, encoding="utf-8")
        try:
            if block.title == "split.yaml":
                from pose_core.data.split import _read_lists

                _read_lists(file)
                return
            layer = file_layer(file)
            if names:
                model = layer.content.get("model", {})
                whole = {"backbone", "heads"} <= set(model) and "type" in model["backbone"]
                base = None if whole else "top_down_unet" if "detector" in layer.content else "unet"
                _resolves(base, layer)
        except (PoseError, yaml.YAMLError) as error:
            raise Fault(str(error).replace(f"{file} ", "")) from None


def _csv(block: Block, page: list[Block], names: bool) -> None:
    if block.title == "labels.csv":
        _project(page)
    elif not block.title:
        raise Fault("a table needs a title, the name of the file that it is")


def _project(page: list[Block]) -> None:
    """The page's project.yaml and labels.csv are read as a project, images being grey."""
    import cv2
    import numpy as np

    from pose_core.data.projects import read_project
    from pose_core.errors import PoseError

    files = {b.title: b.body for b in page if b.title in ("project.yaml", "labels.csv")}
    if len(files) < 2:
        raise Fault("project.yaml and labels.csv belong together")
    with tempfile.TemporaryDirectory() as folder:
        for name, body in files.items():
            (Path(folder) / name).write_text(body, encoding="utf-8")
        for image in {row.partition(",")[0] for row in files["labels.csv"].splitlines()[1:]}:
            (Path(folder) / image).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(Path(folder) / image), np.full((240, 320, 3), 128, np.uint8))
        try:
            read_project(Path(folder), None)
        except PoseError as error:
            raise Fault(str(error).replace(folder, "")) from None


def _toml(block: Block, page: list[Block], names: bool) -> None:
    from pose_core.hooks import ENTRY_POINT_GROUP

    try:
        content = tomllib.loads(block.body)
    except tomllib.TOMLDecodeError as error:
        raise Fault(str(error)) from None
    groups = content.get("project", {}).get("entry-points", {})
    if unknown := set(groups) - {ENTRY_POINT_GROUP}:
        raise Fault(f"entry points of plugins are in the group {ENTRY_POINT_GROUP}, not {', '.join(unknown)}")


def _printed(block: Block, page: list[Block], names: bool) -> None:
    if found := re.search(r"^\s*(?:\$ )?(?:pose|make|pip|python) \S.*$", block.body, re.MULTILINE):
        raise Fault(f"what is typed belongs into a block of sh: {found[0].strip()}")


def _python(block: Block, page: list[Block], names: bool) -> None:
    try:
        tree = ast.parse(block.body)
    except SyntaxError as error:
        raise Fault(f"line {error.lineno} is no Python: {error.msg}") from None
    if block.title:
        return  # run by its page's test
    before: set[str] = set()
    code = ""
    for other in page[: page.index(block)]:
        if other.language == "python" and not other.title:
            before |= _defined(ast.parse(other.body))
            code += other.body if _hook_names() & _defined(ast.parse(other.body)) else ""
    for module, name in _imports(tree):
        _exists(module, name)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    hooks = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)} & _hook_names()
    known = {*dir(builtins), *GIVEN, *before, *_defined(tree)}
    if unknown := used - known:
        raise Fault(f"{', '.join(sorted(unknown))} is neither defined nor imported in the page's Python before")
    for path in _dotted(tree):
        _exists("pose_core", path)
    if hooks:
        discovered(code + block.body)


def discovered(code: str) -> None:
    """The hooks that the code defines return what discovery takes.

    Raises:
        Fault: they do not.
    """
    from pose_core.errors import PoseError
    from pose_core.plugins import _ask, _check, _implementations

    module = types.ModuleType("example")
    exec(compile(code, "<documentation>", "exec"), vars(module))
    found = {name: _ask(name, hook) for name, hook in _implementations(module).items() if name != "pose_plugin_info"}
    try:
        _check(found, "example")
    except PoseError as error:
        raise Fault(str(error)) from None


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
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pose_core":
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


def inline_faults(text: str, page: str) -> Iterator[str]:
    """What is wrong with commands and options within the text, such as ``pose models --json`` between backquotes."""
    import typer

    from pose_core.cli.main import app

    group: Any = typer.main.get_command(app)
    options = {o for c in group.commands.values() for p in c.params for o in (*p.opts, *p.secondary_opts)} | _FOREIGN
    for found in _INLINE.finditer(_FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)):
        span = " ".join(found[1].split())
        where = f"{page}:{text.count(chr(10), 0, found.start()) + 1}"
        words = [w.strip("[]") for w in span.split() if w.strip("[].")]
        if words[:1] == ["pose"] and len(words) > 1:
            if words[1] not in {*group.commands, "-h", "--help", "--version"}:
                yield f"{where}: `{span}`: pose has no command {words[1]!r}"
                continue
            allowed = {
                o for p in getattr(group.commands.get(words[1]), "params", ()) for o in (*p.opts, *p.secondary_opts)
            }
            allowed |= {"-h", "--help", "--version"}
        elif words[:1] and words[0].startswith("--"):
            allowed = options
        else:
            continue
        for word in words:
            if word.startswith("--") and word.partition("=")[0] not in allowed:
                yield f"{where}: `{span}`: there is no option {word}"


_FOREIGN = {"--help", "--directory", "--group", "--editable", "--no-build-isolation"}
"""Options of other programs that stand by themselves in the text."""


def main(paths: list[str]) -> int:
    """Print what is wrong with the blocks of some files."""
    faults = 0
    for path in map(Path, paths):
        page = blocks(path)
        for block in page:
            try:
                check(block, page)
            except Fault as fault:
                faults += 1
                print(fault)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
