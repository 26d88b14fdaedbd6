"""The author's guide works as it stands: its blocks run in order, in an empty folder and a new environment."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

AUTHORS = Path(__file__).parent.parent / "docs" / "authors"
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {"python", "toml", "yaml", "sh", "text", ""}


@dataclass(frozen=True)
class Block:
    """A fenced block: a file (with a title), or lines to type (``sh``, perhaps failing with a message)."""

    line: int
    language: str
    title: str
    fails: str
    body: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        info = found["info"]
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', info))
        line = text[: found.start()].count("\n") + 1
        language = info.partition(" ")[0]
        yield Block(line, language, attributes.get("title", ""), attributes.get("fails", ""), found["body"])


PAGES = sorted(page.name for page in AUTHORS.glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_a_file_or_is_typed(name: str) -> None:
    for block in blocks(AUTHORS / name):
        where = f"{name}:{block.line}"
        assert block.language in _LANGUAGES, where
        assert block.title or block.language in ("sh", "text", ""), f"{where}: a block of code needs a title to be run"
        if block.title.endswith(".py"):
            compile(block.body, where, "exec")


def test_the_backbone_is_as_short_as_the_guide_says() -> None:
    page = (AUTHORS / "backbone.md").read_text()
    code = [b for b in blocks(AUTHORS / "backbone.md") if "/src/" in b.title]
    lines = [line for b in code for line in b.body.splitlines() if line.strip()]
    assert len(code) == 3
    assert len(lines) <= 40
    assert f"a backbone of {len(lines)} lines of Python" in page


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


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PAGES if name != "index.md"])
def test_the_page_works_from_an_empty_folder(name: str, tmp_path: Path) -> None:
    env = environment(tmp_path)
    for block in blocks(AUTHORS / name):
        where = f"{name}:{block.line}"
        if block.title:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body)
            if "/src/" in block.title:
                (file.parent / "__init__.py").touch()
        elif block.language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", block.body]
            process = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            if block.fails:
                assert process.returncode == 2, f"{where}: {process.stderr}"
                assert block.fails in process.stderr, where
            else:
                assert process.returncode == 0, f"{where}: {process.stdout}\n{process.stderr}"
    for tests in sorted(tmp_path.glob("*/tests")):
        command = [
            env["PATH"].partition(os.pathsep)[0] + "/python",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            tests,
        ]
        process = subprocess.run(command, cwd=tests, env=env, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout
