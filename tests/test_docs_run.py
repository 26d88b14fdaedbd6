"""The author's guide works as it stands: its blocks run in order, in an empty folder and a new
environment."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import time
from pathlib import Path

import pytest
from docs_blocks import ROOT, blocks, printed

AUTHORS = ROOT / "docs" / "authors"
SHORT = {
    "first-plugin.md": 10,
    "backbone.md": 40,
    "head.md": 90,
    "detector.md": 80,
    "format.md": 120,
    "weights.md": 60,
}
"""Lines of Python that the component of a page may have. These pages are run."""
PAGES = sorted(SHORT)


def test_no_other_page_has_files_that_are_never_written() -> None:
    others = [page for page in AUTHORS.glob("*.md") if page.name not in PAGES]
    assert len(others) >= 6
    assert [block.where for page in others for block in blocks(page) if block.title or block.fails] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_a_file_or_is_typed_or_printed(name: str) -> None:
    """So what stands on the page is what the page's test writes and runs."""
    typed = [block for block in blocks(AUTHORS / name) if not block.title]
    assert {block.language for block in typed} <= {"sh", "text"}


def written(name: str) -> list[str]:
    """The lines of Python of a page's component."""
    code = {block.title: block for block in reversed(blocks(AUTHORS / name)) if _of_component(block.title)}
    return [line for block in code.values() for line in block.body.splitlines() if line.strip()]


def _of_component(title: str) -> bool:
    """Python of the plugin itself, not of its tests."""
    return "/src/" in title or title == "pose-lab/pose_lab.py"


@pytest.mark.parametrize("name", PAGES)
def test_the_components_stay_short(name: str) -> None:
    assert len(written(name)) <= SHORT[name]


def test_the_backbone_is_as_short_as_the_guide_says() -> None:
    assert (
        f"a backbone of {len(written('backbone.md'))} lines of Python"
        in (AUTHORS / "backbone.md").read_text()
    )


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_a_mistake_and_end_with_the_conformance_test(name: str) -> None:
    page = blocks(AUTHORS / name)
    assert any(block.fails for block in page)
    if name == "first-plugin.md":
        assert any("pose check" in block.body for block in page)
        return
    (test,) = (block for block in page if "/tests/" in block.title)
    assert "parametrize_with_checks" in test.body


def environment(folder: Path) -> dict[str, str]:
    """A new environment that sees this one's packages; its ``pip`` knows no network."""
    place = folder / ".environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    beside = "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
    (Path(purelib) / "beside.pth").write_text(beside)
    offline = "--quiet --no-index --no-deps --no-build-isolation"
    scripts = {
        "pip": f'exec {sys.executable} -m pip --python {python} "$1" {offline} "${{@:2}}"',
        "pose": f'exec {python} -m pose_core "$@"',
    }
    for name, line in scripts.items():
        script = place / "bin" / name
        script.write_text(f"#!/usr/bin/env bash\n{line}\n")
        script.chmod(0o755)
    path = os.pathsep.join([str(place / "bin"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "POSE_STRICT_PLUGINS": "1"}


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_the_page_works_from_an_empty_folder(name: str, tmp_path: Path) -> None:
    started = time.perf_counter()
    env = environment(tmp_path)
    output = ""
    for block in blocks(AUTHORS / name):
        if block.title:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body)
            if "/src/" in block.title:
                (file.parent / "__init__.py").touch()
        elif block.language == "sh" and "twine" not in block.body:
            command = ["bash", "-euo", "pipefail", "-c", block.body]
            process = subprocess.run(
                command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
            )
            if block.fails:
                assert process.returncode == 2, f"{block.where}: {process.stderr}"
                assert block.fails in process.stderr, block.where
            else:
                assert process.returncode == 0, f"{block.where}: {process.stdout}\n{process.stderr}"
                output = process.stdout
        elif block.of:  # what the block before it printed
            printed(block, output)
    if name == "detector.md":
        measured = json.loads((tmp_path / "runs" / "detector" / "metrics.json").read_text())["test"]
        assert measured["ap50"] > 0.6, "the page shows one of 0.94"
    tests = sorted(tmp_path.glob("*/tests"))
    for folder in tests:
        python = env["PATH"].partition(os.pathsep)[0] + "/python"
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
        process = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout
    print(f"{name}: {len(written(name))} lines, {time.perf_counter() - started:.0f} s")
