"""The API reference of the site: a page for each module that authors import from, by mkdocstrings.

mkdocstrings reads the code by griffe, and imports none. What Markdown would not take of our docstrings is put
right by :class:`Docstrings`, which ``mkdocs.yml`` names as an extension of griffe; the lists of names are
made here, of the modules themselves, so that a new name is on its page without anybody adding it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import griffe
from docs_reference import literals

MODULES = {
    "hooks": "What a plugin offers: hooks, and the definitions that they return. No torch.",
    "interfaces": "What a plugin implements, and what helps with it.",
    "maps": "The toolkit of heads that make maps: layers and their grid, painting of targets, background to "
    "ignore, "
    "peaks, sub-pixel refinement, reading between cells.",
    "structures": "Skeletons, animals, frames and labelled datasets, as numpy arrays. No torch.",
    "specs": "The bases of configs, and all that a YAML file can say; fields are shown with their defaults "
    "and bounds. "
    "A field that holds another component has a type such as `AnyLoss`. No torch.",
    "errors": "How to fail: one line that says what, where and what to do.",
    "testing": "Scenes with exact ground truth, projects made of them, and the conformance checks as tests.",
}
"""Modules of ``pose_core`` that authors import from, and what they hold."""


def names(module: str) -> list[str]:
    """The public names of a module, in the order of its ``__all__``, else of its text."""
    found: Any = importlib.import_module(f"pose_core.{module}")
    if (declared := getattr(found, "__all__", None)) is not None:
        return list(declared)
    return [
        name
        for name, thing in vars(found).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == found.__name__
    ]


def api_pages() -> dict[str, str]:
    """Path in the site -> Markdown."""
    pages = {}
    lines = [
        "# Reference",
        "",
        "What authors of plugins import, made of the code. Everything else may change.",
        "",
    ]
    for module, about in MODULES.items():
        lines.append(f"- [`pose_core.{module}`](reference/{module}.md): {about}")
        parts = [f"# pose_core.{module}", about]
        parts += [f"::: pose_core.{module}.{name}" for name in names(module)]
        pages[f"reference/{module}.md"] = "\n\n".join(parts) + "\n"
    lines += [
        "",
        "By kind of component, with an example of each: [kinds and interfaces](authors/reference.md).",
    ]
    return {"reference.md": "\n".join(lines) + "\n", **pages}


def plain(text: str) -> str:
    """A docstring without what only other tools than Markdown know: roles, and blocks after a double colon.

    Arguments that are described together (``width, height: of the frame``) get an entry each, as griffe wants
    them.
    """
    apart = re.sub(
        r"^( +)(\w+(?:, \w+)+): (.+(?:\n\1 +.+)*)", _entry_each, literals(text), flags=re.MULTILINE
    )
    return "\n".join(_fenced(apart.splitlines()))


def _entry_each(found: re.Match[str]) -> str:
    indent, names, about = found.groups()
    return "\n".join(f"{indent}{name}: {about}" for name in names.split(", "))


def _fenced(lines: list[str]) -> Iterator[str]:
    """Indented blocks that follow ``::`` as blocks of text."""
    rest = iter(enumerate(lines))
    for number, line in rest:
        if not line.rstrip().endswith("::"):
            yield line
            continue
        depth = len(line) - len(line.lstrip())
        block = []
        for _, inner in rest:
            block.append(inner)
            following = next((x for x in lines[number + 1 + len(block) :] if x.strip()), "")
            if not following or len(following) - len(following.lstrip()) <= depth:
                break
        body = textwrap.dedent("\n".join(block)).strip("\n").splitlines()
        indent = " " * depth
        yield from (
            f"{line.rstrip()[:-1]}",
            "",
            f"{indent}```text",
            *(indent + b for b in body),
            f"{indent}```",
            "",
        )


class Docstrings(griffe.Extension):
    """Docstrings as Markdown; a field of a config has its ``Field(description=...)`` for one."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """griffe: called for each class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
        elif isinstance(obj, griffe.Attribute) and (described := _description(obj.value)):
            obj.docstring = griffe.Docstring(plain(described), parent=obj)


def _description(value: Any) -> str:
    """``Field(..., description="this")``."""
    if not isinstance(value, griffe.ExprCall) or str(value.function).rpartition(".")[2] != "Field":
        return ""
    for argument in value.arguments:
        if isinstance(argument, griffe.ExprKeyword) and argument.name == "description":
            try:
                return str(ast.literal_eval(str(argument.value)))
            except (ValueError, SyntaxError):  # a description that is computed
                return ""
    return ""
