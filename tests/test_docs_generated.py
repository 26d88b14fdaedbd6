"""Every hook and interface has a page and an example that runs; what is made of the code is fresh; the site
builds."""

from __future__ import annotations

import html
import re
import runpy
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import docs_api
import docs_pages
import docs_reference
import docs_settings
import pytest

from pose_core import hooks
from pose_core.catalog import get_catalog
from pose_core.kinds import KINDS
from pose_core.plugins.definition_checks import ask, check_definitions
from pose_core.plugins.discovery import find_implementations

ROOT = Path(__file__).parent.parent


def test_every_hook_and_interface_has_a_page_and_nothing_else() -> None:
    assert list(docs_reference.faults()) == []
    named = {*docs_reference.hooks(), *docs_reference.interfaces()}
    assert {"pose_components", "Backbone", "Head", "Detector", "Reader", "Writer", "Importer"} <= named
    pages = docs_reference.author_pages()
    surface = pages["authors/hooks.md"]
    for name in docs_reference.hooks():
        assert f"](#{name})" in surface
        assert f"\n## {name}\n" in surface
    assert surface.count("### Example") == len(docs_reference.hooks())
    for name in docs_reference.interfaces():
        assert "## Example" in pages[f"authors/interfaces/{name}.md"]
        assert f"/{name}.md)" in pages["authors/reference.md"]


def test_every_setting_is_on_its_page() -> None:
    from pose_core.specs import RunSpec

    page = docs_settings.settings_page()
    for section in (
        "data.split",
        "model.preprocess",
        "augmentation.crop",
        "train.optimizer",
        "inference",
        "evaluation",
    ):
        assert f"\n## {section}\n" in page
    assert "| `batch_size` | `auto` | Images a batch, on each device; auto: 8" in page
    assert "| `backbone` | `-` | A backbone." in page.replace("| - |", "| `-` |")
    for name in RunSpec.model_fields:
        assert f"| `{name}` |" in page
    headings = re.findall(r"^## (\S+)$", page, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(re.findall(r"\(#(\w+)\)", page)) <= {heading.replace(".", "") for heading in headings}


def test_a_new_hook_without_example_and_docstring_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pose_sounds() -> None: ...

    monkeypatch.setattr(hooks, "pose_sounds", pose_sounds, raising=False)
    monkeypatch.setattr(hooks, "HOOKS", {**hooks.HOOKS, "pose_sounds": hooks.WeightSpec})
    assert list(docs_reference.faults()) == [
        "pose_sounds has no docstring, of which its page is made",
        "pose_sounds has no example, which is its test too: write docs/authors/examples/pose_sounds.py",
    ]
    # That of test_the_example_of_a_hook_is_what_discovery_takes, for whoever adds the name only.
    with pytest.raises(FileNotFoundError, match="pose_sounds"):
        discover_example("pose_sounds")


def test_a_new_interface_and_an_example_of_nothing_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from abc import ABC, abstractmethod

    from pose_core import interfaces

    class Listener(ABC):
        """Hears."""

        @abstractmethod
        def hear(self) -> None: ...

    monkeypatch.setattr(interfaces, "Listener", Listener, raising=False)
    row = hooks.Kind("listener", "sound -> words", interface="pose_core.interfaces:Listener")
    monkeypatch.setattr(docs_reference, "KINDS", {**KINDS, "listener": row})
    (fault,) = docs_reference.faults()
    assert fault.startswith("Listener has no example")
    monkeypatch.undo()
    for file in docs_reference.EXAMPLES.glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "pose_sounds.py").write_text("")
    monkeypatch.setattr(docs_reference, "EXAMPLES", tmp_path)
    assert list(docs_reference.faults()) == ["docs/authors/examples/pose_sounds.py is the example of nothing"]


def discover_example(name: str) -> None:
    """The example of a hook goes through discovery, as a plugin's module does."""
    module = types.ModuleType(name)
    vars(module).update(runpy.run_path(str(docs_reference.EXAMPLES / f"{name}.py")))
    (implementation,) = find_implementations(module).values()
    if name == "pose_plugin_info":
        assert implementation().namespace == "toy"
        return
    found = ask(name, implementation)
    assert found
    assert all(isinstance(definition, hooks.HOOKS[name]) for definition in found)
    check_definitions({name: found})


@pytest.mark.parametrize("name", sorted(docs_reference.hooks()))
def test_the_example_of_a_hook_is_what_discovery_takes(name: str) -> None:
    discover_example(name)


@pytest.mark.parametrize("name", sorted(docs_reference.interfaces()))
def test_the_example_of_an_interface_runs(name: str) -> None:
    names = runpy.run_path(str(docs_reference.EXAMPLES / f"{name}.py"))
    interface = docs_reference.interfaces()[name]
    derived = [c for c in names.values() if isinstance(c, type) and issubclass(c, interface)]
    assert len(derived) == 2, "the interface and the example's class"


@pytest.mark.parametrize("file", sorted({file for files in docs_pages.TABLES.values() for file in files}))
def test_tables_are_up_to_date(file: str) -> None:
    assert (ROOT / file).read_text() == docs_pages.with_tables(file), "stale: make tables"


@pytest.mark.parametrize("file", sorted(docs_pages.FILES))
def test_files_made_of_the_code_are_up_to_date(file: str) -> None:
    assert (ROOT / file).read_text() == docs_pages.FILES[file](), "stale: make tables"


def test_a_changed_help_text_and_a_new_check_make_their_pages_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_core.cli.main import app
    from pose_core.testing import checks
    from pose_core.testing.checks.check import Check

    before = docs_reference.commands_page()
    assert all(
        f"## pose {name}" in before for name in ("train", "check", "cite", "licenses", "schema", "import")
    )

    @app.command()
    def listen(loud: bool = False) -> None:
        """Hears."""

    try:
        after = docs_reference.commands_page()
    finally:
        app.registered_commands.pop()
    assert "## pose listen" in after
    assert "`--loud`, `--no-loud`" in after
    assert docs_reference.commands_page() == before

    every = checks.every_check(get_catalog().kinds)
    page = docs_reference.checks_page()
    assert page.count("\n| `") == len(every) > 50
    assert all(f"| `{check.name}` |" in page and check.demand for check in every)
    monkeypatch.setattr(
        checks, "every_check", lambda kinds: (*every, Check("hears", 1, ("head",), print, "It hears."))
    )
    assert "| `hears` | head | It hears. |" in docs_reference.checks_page()


def test_a_file_without_a_place_for_its_table_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_pages, "TABLES", {"models": ("README.md",)})
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "nothing")
    with pytest.raises(ValueError, match="no place for the table"):
        docs_pages.with_tables("README.md")


def test_arguments_that_are_described_together_get_an_entry_each() -> None:
    doc = "First line.\n\nArgs:\n    width, height: of the frame,\n        in pixels.\n    name: of it."
    assert docs_api.plain(doc) == (
        "First line.\n\nArgs:\n    width: of the frame,\n        in pixels.\n    height: of the frame,\n"
        "        in pixels.\n    name: of it."
    )


def test_docstrings_become_markdown() -> None:
    doc = """First ``line`` of :class:`~pose_core.x.Y`.

Args:
    images: (B, 3, H, W) float32,
        RGB.
    labels: of the batch.

Returns:
    boxes (B, M, 4): best
    first.

A file::

    {"a": 1}
"""
    assert docs_reference.markdown(doc) == (
        "First `line` of `pose_core.x.Y`.\n\n**Args**\n\n- `images`: (B, 3, H, W) float32, RGB.\n"
        "- `labels`: of the batch.\n\n**Returns**\n\nboxes (B, M, 4): best first.\n\n"
        'A file:\n\n```text\n{"a": 1}\n```'
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    assert "mkdocs build --strict\n" in (ROOT / "Makefile").read_text(), (
        "with --quiet, mkdocs counts no warnings"
    )
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr  # a warning is an error, see test_a_warning_ends_the_build
    return folder


@pytest.mark.long
def test_the_site_builds_without_warnings(site: Path) -> None:
    for page in (
        "authors/hooks",
        "authors/interfaces/Detector",
        "authors/checks",
        "commands",
        "use/settings",
    ):
        assert (site / page / "index.html").is_file()


@pytest.mark.long
def test_the_reference_has_what_authors_import(site: Path) -> None:
    for module in docs_api.MODULES:
        page = (site / "reference" / module / "index.html").read_text()
        names = docs_api.names(module)
        assert names
        for name in names:
            assert re.search(rf'<h2 id="[\w.]+\.{name}"', page), f"{module}.{name}"
    specs = (site / "reference" / "specs" / "index.html").read_text()
    assert "Factor of this loss in the sum" in specs, "a field has its description"


def test_docstrings_are_put_right_for_mkdocstrings() -> None:
    doc = (
        "See :class:`~pose_core.x.Y` and ``z``::\n\n    a: 1\n\n      b\n\nAfter.\n\n"
        "Args:\n    one: as in::\n\n        c\n"
    )
    assert docs_api.plain(doc) == (
        "See `pose_core.x.Y` and `z`:\n\n```text\na: 1\n\n  b\n```\n\n\nAfter.\n\n"
        "Args:\n    one: as in:\n\n    ```text\n    c\n    ```\n"
    )


@pytest.mark.long
def test_blocks_lists_and_signatures_are_seen_as_such(site: Path) -> None:
    def plain(article: str) -> str:
        return html.unescape(re.sub(r"<[^>]+>", "", article))

    shown: dict[str, str] = {}
    for page in site.rglob("index.html"):
        article = page.read_text().partition("<article")[2].partition("</article")[0]
        name = page.parent.relative_to(site).as_posix()
        shown[name] = plain(article)
        prose = plain(re.sub(r"<(pre|code|table)\b.*?</\1>", "", article, flags=re.DOTALL))
        left = re.search(r"``.*|\]\(.*|\*\*.*|^\s*(?:[-*|] ).*", prose, re.MULTILINE)
        assert left is None, f"{name}: Markdown that mkdocs does not take for such: {left[0]!r}"
    assert len(shown) > 40
    assert "must be 4, 8 or 16, not 12" not in shown["authors/backbone"], (
        "attributes for the tests are not shown"
    )
    assert "pose train one --model maxpool_8" in shown["authors/backbone"]
    assert (
        "def loss(self, images: Tensor, labels: Labels) -> dict[str, Tensor]"
        in shown["authors/interfaces/Detector"]
    )


def test_a_warning_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](nowhere.md)\n")
    settings: Any = (ROOT / "mkdocs.yml").read_text()
    kept = [
        line
        for line in settings.splitlines()
        if line.startswith(("site_name", "docs_dir", "strict", "validation"))
    ]
    (tmp_path / "mkdocs.yml").write_text("\n".join(kept) + "\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert "nowhere.md" in process.stderr
