"""Pages and tables that are made of the code: a page for each hook and interface, the tables of models and plugins.

``python tools/docs_pages.py`` writes the tables between their marks in the files (``make tables``); mkdocs imports this
module and puts the pages into the site (``make docs``). ``tests/test_docs_generated.py`` fails when a hook has no
example or a table is stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "authors" / "examples"
TABLES = {"models": ("docs/models.md",), "plugins": ("docs/models.md",)}
"""Which table stands in which files, between ``<!-- NAME -->`` and ``<!-- end -->``."""

_NOT_IMPLEMENTED_BY_AUTHORS = {"Calibration", "PredictionsStream"}


def hooks() -> dict[str, Any]:
    """All hooks by name."""
    from pose_core import hooks as page

    return {name: getattr(page, name) for name in page.HOOKS}


def interfaces() -> dict[str, type]:
    """All classes that a plugin's author derives from, by name."""
    from pose_core import interfaces as floor

    classes = {name: getattr(floor, name) for name in floor.__all__ if inspect.isclass(getattr(floor, name))}
    return {n: c for n, c in classes.items() if inspect.isabstract(c) and n not in _NOT_IMPLEMENTED_BY_AUTHORS} | {
        "Head": floor.Head
    }


def reference_pages() -> dict[str, str]:
    """Path in the site -> Markdown, a page for each hook and interface, and a list of them."""
    from pose_core.hooks import HOOKS

    pages: dict[str, str] = {}
    for name, hook in hooks().items():
        parts = [
            f"# {name}",
            _doc(hook),
            "It returns " + ("one" if name == "pose_plugin_info" else "any number of") + ":",
        ]
        pages[f"authors/hooks/{name}.md"] = "\n\n".join([*parts, _object(HOOKS[name]), _example(name)])
    for name, cls in interfaces().items():
        methods = [_object(m, f"{name}.{n}") for n, m in vars(cls).items() if not n.startswith("_") and callable(m)]
        pages[f"authors/interfaces/{name}.md"] = "\n\n".join([f"# {name}", _code(_doc(cls)), *methods, _example(name)])
    lines = [f"- [{Path(path).stem}]({Path(path).relative_to('authors').as_posix()})" for path in sorted(pages)]
    pages["authors/reference.md"] = "# Hooks and interfaces\n\nMade of the docstrings.\n\n" + "\n".join(lines)
    return {path: text + "\n" for path, text in pages.items()}


def _doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _code(text: str) -> str:
    return f"```text\n{text}\n```"


def _object(thing: Any, name: str = "") -> str:
    function = getattr(thing, "__func__", thing)
    return f"## `{name or thing.__name__}{inspect.signature(function)}`\n\n{_code(_doc(thing))}"


def _example(name: str) -> str:
    return f"## Example\n\n```python\n{(EXAMPLES / f'{name}.py').read_text(encoding='utf-8')}```"


def _rows(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells)


def models_table() -> str:
    """Each backbone or model by name, with the methods it is there for."""
    from pose_core.catalog import get_catalog

    found: dict[tuple[str, str], list[str]] = {}
    for model in get_catalog().models():
        if model.plugin.first_party:
            found.setdefault((model.name, model.plugin.name), []).append(model.method.replace("_", " "))
    return _rows(("model", "plugin", "method"), [(f"`{n}`", p, ", ".join(m)) for (n, p), m in sorted(found.items())])


def plugins_table() -> str:
    """Each plugin of this repository, with what it offers."""
    from pose_core.catalog import get_catalog

    rows = []
    for plugin in sorted(get_catalog().plugins, key=lambda p: p.name):
        if plugin.first_party and plugin.info is not None:
            kinds = sorted({c.kind for c in plugin.definitions.get("pose_components", ()) if "/" not in c.kind})
            rows.append((f"`{plugin.distribution}`", plugin.info.summary, ", ".join(kinds).replace("_", " ")))
    return _rows(("distribution", "what", "kinds"), rows)


MAKERS: dict[str, Callable[[], str]] = {"models": models_table, "plugins": plugins_table}


def with_tables(path: str) -> str:
    """The text of a file with its tables as they should be."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for name, files in TABLES.items():
        if path in files:
            mark = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
            if not mark.search(text):
                raise ValueError(f"{path}: has no place for the table {name!r}: <!-- {name} -->, then <!-- end -->")
            table = MAKERS[name]()
            text = mark.sub(lambda found, table=table: found[1] + table + found[2], text)
    return text


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: add the pages that are made, and the READMEs of the plugins."""
    from mkdocs.structure.files import File

    pages = reference_pages()
    for readme in sorted(ROOT.glob("plugins/*/README.md")):
        pages[f"plugins/{readme.parent.name}.md"] = readme.read_text(encoding="utf-8")
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """mkdocs: links into plugin folders become links to the pages made of their READMEs."""
    up = "../" * page.file.src_uri.count("/")
    if page.file.src_uri.startswith("plugins/"):
        markdown = re.sub(r"\]\(\.\./\.\./docs/", f"]({up}", markdown).replace("](../../README.md", f"]({up}index.md")
        return re.sub(r"\]\(\.\./([a-z]+)/README\.md", r"](\1.md", markdown)
    return re.sub(r"\]\((?:\.\./)+plugins/([a-z]+)/README\.md", rf"]({up}plugins/\1.md", markdown)


if __name__ == "__main__":
    for file in sorted({file for files in TABLES.values() for file in files}):
        (ROOT / file).write_text(with_tables(file), encoding="utf-8")
