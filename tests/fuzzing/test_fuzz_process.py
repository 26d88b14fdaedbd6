"""Some of the spoilt examples in a process of their own: it ends as the same command does within the tests'
process."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Material, Models, Stages
from .oracle import Ended, Example, pose, problem
from .test_fuzz_coco import make_coco
from .test_fuzz_imports import make_import
from .test_fuzz_labels import make_labels
from .test_fuzz_plugins import make_plugin, with_plugin
from .test_fuzz_runs import make_run
from .test_fuzz_stages import make_stage
from .test_fuzz_yaml import make_yaml

Make = Callable[[Any, random.Random, Path], Example]
"""Spoils something of a material: :class:`Material`, :class:`Stages` or :class:`Models`."""

FAMILIES: dict[str, Make] = {
    "yaml": make_yaml,
    "labels": make_labels,
    "coco": make_coco,
    "plugins": make_plugin,
    "runs": make_run,
    "stages": make_stage,
    "imports": make_import,
}


def _made(family: str, number: int, material: Any, folder: Path) -> Example:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return FAMILIES[family](material, random.Random(f"{family} {number}"), folder)


def _examples(family: str, material: Any, folder: Path) -> Iterator[tuple[int, Example]]:
    """Those that need nothing of the tests' process: a plugin must be a file, and no training must begin."""
    for number in range(2000):
        example = _made(family, number, material, folder)
        if family != "plugins" or any(folder.glob("*.py")):
            yield number, example


def _process(example: Example, folder: Path) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "pose_core", *map(str, example.arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": ""},
        capture_output=True,
        timeout=300,
        check=False,
    )
    return Ended(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def _compare(family: str, count: int, material: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    plugged = with_plugin(monkeypatch)
    for number, example in _examples(family, material, folder):
        here = plugged(example, folder) if family == "plugins" else pose(example.arguments, folder)
        if example.arguments[0] == "train" and here.code == 0:
            continue
        ended = _process(_made(family, number, material, folder), folder)
        assert (ended.code, ended.line) == (here.code, here.line), f"{family} {number}: {ended}"
        assert not problem(ended, folder, example.codes), f"{family} {number}: {ended}"
        compared += 1
        if compared == count:
            return
    raise AssertionError(f"only {compared} examples of {family} could be compared")


@pytest.mark.usefixtures("only_prepared")
def test_a_process_ends_like_the_example(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compare("yaml", 1, material, tmp_path / "example", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("only_prepared")
def test_processes_end_like_the_examples(
    family: str,
    material: Material,
    stages: Stages,
    models: Models,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoilt = {"stages": stages, "imports": models}.get(family, material)
    # A process that builds networks takes seconds.
    _compare(family, 8 if spoilt is material else 3, spoilt, tmp_path / "example", monkeypatch)
