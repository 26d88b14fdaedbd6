"""What mkdocs and ``make tables`` do: generated tables and files in the repository, generated pages in the
site.

``python tools/docs_pages.py [--check]`` writes the tables between their marks and the files that are made as
a whole (``make tables``); mkdocs imports this module and puts the pages of hooks and interfaces, and those of
the reference, into the site (``make docs``).
``tests/test_docs_generated.py`` fails when something is stale or missing.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs_api import api_pages
from docs_reference import author_pages, checks_page, commands_page, faults, rows
from docs_settings import settings_page

ROOT = Path(__file__).resolve().parent.parent
TABLES = {
    "deeplabcut_keys": ("docs/use/deeplabcut.md",),
    "families": ("README.md",),
    "models": ("docs/models.md",),
    "plugins": ("docs/models.md",),
    "sleap_keys": ("docs/use/sleap.md",),
}
"""Which table stands in which files, between ``<!-- NAME -->`` and ``<!-- end -->``."""

FILES: dict[str, Callable[[], str]] = {
    "docs/authors/checks.md": checks_page,
    "docs/commands.md": commands_page,
}
"""Files that are made as a whole."""


MADE_OF = {
    "pose_core/hooks.py": "authors/hooks.md",
    "pose_core/kinds.py": "authors/reference.md",
    "pose_core/interfaces/importer.py": "authors/interfaces/Importer.md",
    "pose_core/maps/__init__.py": "reference/maps.md",
    "pose_core/__init__.py": "reference.md",
    "pose_core/specs/run.py": "use/settings.md",
}
"""Code -> the page of the site that is made of it. Pages link to the code, which is there for whoever reads
them in the repository."""


def families_table() -> str:
    """Each plugin of this repository in a line: what it is, the names that it brings, and what they are
    for."""
    from pose_core.catalog import get_catalog

    lines = []
    for plugin in sorted(get_catalog().plugins, key=lambda p: p.name):
        if not plugin.first_party or plugin.info is None:
            continue
        brought = plugin.definitions
        presets, recipes, models = (brought.get(f"pose_{n}", ()) for n in ("backbones", "recipes", "models"))
        formats = [c for c in brought.get("pose_components", ()) if c.kind in _SERVES]
        named = list(dict.fromkeys(d.name for d in (*presets, *models, *formats)))
        names = [f"`{r.name}`" for r in recipes] + _few(named)
        methods = list(dict.fromkeys(m.method.replace("_", " ") for m in (*recipes, *models)))
        served = list(dict.fromkeys(_SERVES[c.kind] for c in formats))
        use = ", ".join((*(["every method"] if presets else []), *methods, *served))
        lines.append((f"`{plugin.name}`", plugin.info.summary, ", ".join(names), use))
    return rows(("plugin", "what it is", "names", "for"), lines)


_SERVES = {
    "detector": "finds animals",
    "reader": "reads labels",
    "writer": "writes predictions",
    "importer": "opens models",
}


def _few(names: list[str]) -> list[str]:
    """Up to three names; of more the first and the last."""
    shown = names if len(names) <= 3 else [names[0], "", names[-1]]
    return [f"`{n}`" if n else "..." for n in shown]


def models_table() -> str:
    """Each backbone or model by name, with the methods it is there for."""
    from pose_core.catalog import get_catalog

    found: dict[tuple[str, str], list[str]] = {}
    for model in get_catalog().models():
        if model.plugin.first_party:
            found.setdefault((model.name, model.plugin.name), []).append(model.method.replace("_", " "))
    return rows(
        ("model", "plugin", "method"), [(f"`{n}`", p, ", ".join(m)) for (n, p), m in sorted(found.items())]
    )


def plugins_table() -> str:
    """Each plugin of this repository, with what it offers."""
    from pose_core.catalog import get_catalog

    lines = []
    for plugin in sorted(get_catalog().plugins, key=lambda p: p.name):
        if plugin.first_party and plugin.info is not None:
            kinds = sorted(
                {c.kind for c in plugin.definitions.get("pose_components", ()) if "/" not in c.kind}
            )
            lines.append(
                (f"`{plugin.distribution}`", plugin.info.summary, ", ".join(kinds).replace("_", " "))
            )
    return rows(("distribution", "what", "kinds"), lines)


def deeplabcut_keys_table() -> str:
    """Each key of DeepLabCut's pytorch_config.yaml, and what it is here."""
    from pose_deeplabcut.training_keys import keys_table

    return keys_table()


def sleap_keys_table() -> str:
    """Each key of SLEAP-NN's training configuration, and what it is here."""
    from pose_sleap.model_keys import keys_table

    return keys_table()


MAKERS: dict[str, Callable[[], str]] = {
    "deeplabcut_keys": deeplabcut_keys_table,
    "families": families_table,
    "models": models_table,
    "plugins": plugins_table,
    "sleap_keys": sleap_keys_table,
}


def with_tables(path: str) -> str:
    """The text of a file with its tables as they should be."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for name, files in TABLES.items():
        if path in files:
            mark = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
            if not mark.search(text):
                raise ValueError(
                    f"{path}: has no place for the table {name!r}: <!-- {name} -->, then <!-- end -->"
                )
            table = MAKERS[name]()
            text = mark.sub(lambda found, table=table: found[1] + table + found[2], text)
    return text


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: add the pages that are made, and the READMEs of the plugins."""
    from mkdocs.exceptions import PluginError
    from mkdocs.structure.files import File

    if missing := list(faults()):
        raise PluginError("; ".join(missing))
    pages = {**author_pages(), **api_pages(), "use/settings.md": settings_page()}
    for readme in sorted([*ROOT.glob("plugins/*/README.md"), *ROOT.glob("consumers/*/README.md")]):
        pages[f"plugins/{readme.parent.name}.md"] = readme.read_text(encoding="utf-8")
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """mkdocs: links into plugin folders become links to the pages made of their READMEs; attributes of code
    blocks that are for the tests only are taken off, since blocks that have them would not be seen as
    such."""
    markdown = re.sub(r"^( *```\w+)(?: (?!title=)\w+=\"[^\"]*\")+", r"\1", markdown, flags=re.MULTILINE)
    up = "../" * page.file.src_uri.count("/")
    for source, made in MADE_OF.items():
        markdown = re.sub(rf"\]\((?:\.\./)+{re.escape(source)}\)", f"]({up}{made})", markdown)
    if page.file.src_uri.startswith("plugins/"):
        markdown = re.sub(r"\]\(\.\./\.\./docs/", f"]({up}", markdown).replace(
            "](../../README.md", f"]({up}index.md"
        )
        return re.sub(r"\]\(\.\./([a-z]+)/README\.md", r"](\1.md", markdown)
    return re.sub(
        r"\]\((?:\.\./)+(?:plugins|consumers)/([a-z-]+)/README\.md", rf"]({up}plugins/\1.md", markdown
    )


def main() -> int:
    """Write what is made of the code; with ``--check`` only say what is stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with code 1 where something is stale"
    )
    check = parser.parse_args().check
    made = {file: with_tables(file) for files in TABLES.values() for file in files}
    made |= {file: make() for file, make in FILES.items()}
    stale = [file for file, text in made.items() if (ROOT / file).read_text(encoding="utf-8") != text]
    for file in stale:
        if not check:
            (ROOT / file).write_text(made[file], encoding="utf-8")
        print(f"{file}: {'stale: make tables' if check else 'written'}")
    print(f"{len(made) - len(stale)} of {len(made)} files were up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
