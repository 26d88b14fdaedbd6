"""Every hook and interface is documented with an example that runs; tables of models and plugins are up to date."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from pose_core.plugins.definitions import ask, check_definitions
from pose_core.plugins.discovery import _implementations

ROOT = Path(__file__).parent.parent


def load() -> Any:
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "tools" / "docs_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = load()


def test_every_hook_and_interface_has_a_page_and_nothing_else() -> None:
    named = {*PAGES.hooks(), *PAGES.interfaces()}
    assert {"pose_components", "Backbone", "Head", "Detector", "Reader", "Writer", "Importer"} <= named
    assert {file.stem for file in PAGES.EXAMPLES.glob("*.py")} == named
    pages = PAGES.reference_pages()
    for name in named:
        (text,) = (text for path, text in pages.items() if path.endswith(f"/{name}.md"))
        assert "## Example" in text
        assert name in pages["authors/reference.md"]


@pytest.mark.parametrize("name", sorted(PAGES.hooks()))
def test_the_example_of_a_hook_is_what_discovery_takes(name: str) -> None:
    assert PAGES.hooks()[name].__doc__
    module = types.ModuleType(name)
    vars(module).update(runpy.run_path(str(PAGES.EXAMPLES / f"{name}.py")))
    (implementation,) = _implementations(module).values()
    if name != "pose_plugin_info":
        check_definitions({name: ask(name, implementation)})
    else:
        assert implementation().namespace == "toy"


@pytest.mark.parametrize("name", sorted(PAGES.interfaces()))
def test_the_example_of_an_interface_runs(name: str) -> None:
    assert PAGES.interfaces()[name].__doc__
    names = runpy.run_path(str(PAGES.EXAMPLES / f"{name}.py"))
    derived = [c for c in names.values() if isinstance(c, type) and issubclass(c, PAGES.interfaces()[name])]
    assert len(derived) == 2, "the interface and the example's class"


@pytest.mark.parametrize("file", sorted({file for files in PAGES.TABLES.values() for file in files}))
def test_tables_are_up_to_date(file: str) -> None:
    assert (ROOT / file).read_text() == PAGES.with_tables(file), "stale: make tables"


def test_a_file_without_a_place_for_its_table_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PAGES, "TABLES", {"models": ("README.md",)})
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "nothing")
    with pytest.raises(ValueError, match="no place for the table"):
        PAGES.with_tables("README.md")


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "site" / "authors" / "hooks" / "pose_components" / "index.html").is_file()
