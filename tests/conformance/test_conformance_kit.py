"""The conformance kit: a right plugin passes every check, and for each check there is a wrong one that fails
it."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from pose_core.catalog import get_catalog
from pose_core.plugins.discovery import load_installed
from pose_core.testing.checks import every_check
from pose_core.testing.conformance import (
    FAILED,
    SKIPPED,
    CheckResult,
    items,
    read_outputs,
    run,
    store_outputs,
)

from .wrong import HEAD, WRONG, Edit

TOY = Path(__file__).parent / "toy"

METADATA = """Metadata-Version: 2.4
Name: pose-toykit
Version: 1.0
License-Expression: BSD-3-Clause
License-File: LICENSE
"""

SLOW = {"compiles", "exports", "exports_onnx", "exports_decoding", "exports_boxes"}


def _forget() -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "pose_toykit"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    load_installed.cache_clear()
    get_catalog.cache_clear()


@contextmanager
def _installed(folder: Path, edits: list[Edit]) -> Iterator[None]:
    """The toy, with things changed, found like a plugin that is installed editable, as authors install
    theirs."""
    project = folder / "project"
    shutil.copytree(TOY, project)
    for file, old, new in edits:
        path = project / file if file == "pyproject.toml" else project / "src" / "pose_toykit" / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    info = project / "src" / "pose_toykit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[pose_core.plugins]\ntoykit = pose_toykit.plugin\n")
    (info / "direct_url.json").write_text(
        f'{{"dir_info": {{"editable": true}}, "url": "{project.as_uri()}"}}'
    )
    place = str(project / "src")
    sys.path.insert(0, place)
    _forget()
    try:
        yield
    finally:
        sys.path.remove(place)
        _forget()


Outcomes = Callable[[str, list[Edit]], CheckResult]


@pytest.fixture
def outcome(tmp_path: Path) -> Outcomes:
    """Runs one check of the toy with things changed."""

    def one(name: str, edits: list[Edit]) -> CheckResult:
        subject = WRONG[name][0]
        level = next(c.level for c in every_check(get_catalog().kinds) if c.name == name)
        reference = None
        if level == 2:
            with _installed(tmp_path / "right", []):
                store_outputs("pose-toykit", tmp_path / "stored.json")
            reference = read_outputs(tmp_path / "stored.json")
        with _installed(tmp_path / "toy", edits):
            found = [
                i
                for i in items("pose-toykit", [level], reference)
                if i.check.name == name and i.subject.label == subject
            ]
            assert len(found) == 1, f"{name} is about {subject or 'the plugin'}"
            return run(found[0])

    return one


def _cannot_run(name: str) -> str:
    if name == "runs_on_a_gpu" and not torch.cuda.is_available():
        return "needs a GPU"
    if (
        name in ("exports_onnx", "exports_decoding", "exports_boxes")
        and importlib.util.find_spec("onnxruntime") is None
    ):
        return "needs onnx, onnxscript and onnxruntime"
    if name == "compiles" and shutil.which("g++") is None:
        return "needs a C++ compiler"
    return ""


def test_for_each_check_there_is_a_wrong_component() -> None:
    names = [c.name for c in every_check(get_catalog().kinds)]
    assert len(names) == len(set(names))
    assert set(WRONG) == set(names)


def test_every_check_says_in_one_line_what_it_demands() -> None:
    for check in every_check(get_catalog().kinds):
        assert 30 < len(check.demand) <= 130, check.name
        assert check.on, check.name


def _marked(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@pytest.mark.parametrize("name", _marked(WRONG))
def test_a_wrong_component_fails_the_check(outcome: Outcomes, name: str) -> None:
    if reason := _cannot_run(name):
        pytest.skip(reason)
    _, expected, edits = WRONG[name]
    found = outcome(name, edits)
    assert found.status == FAILED, found
    assert any(part in found.reason for part in expected.split("|")), found.reason
    assert "\n" not in found.reason


@pytest.mark.parametrize(
    "name", _marked(sorted(SLOW | {"channels_last", "mixed_precision", "outputs_are_as_stored"}))
)
def test_the_right_toy_passes_the_higher_levels(outcome: Outcomes, name: str) -> None:
    if reason := _cannot_run(name):
        pytest.skip(reason)
    assert outcome(name, []).status == "passed"


def test_a_name_that_nobody_brings_is_no_missing_plugin(outcome: Outcomes) -> None:
    typo = (
        "plugin.py",
        '"backbone": {"type": "toykit/toynet"},',
        '"backbone": {"type": "toykitt/toynet"},',
    )
    found = outcome("model_resolves", [typo])
    assert found.status == FAILED
    assert (
        "names a component of 'toykitt', which is no installed plugin and none that pose-toykit requires"
        in found.reason
    )


IN_PIXELS = [
    (
        "head.py",
        "x = points[..., 0, None, None] - ",
        "left = points[..., 0, None, None]\n        x = left - ",
    ),
    ("head.py", "y = points[..., 1, None, None] - ", "top = points[..., 1, None, None]\n        y = top - "),
    (
        "head.py",
        "x.nan_to_num() * near, y.nan_to_num() * near",
        "left.nan_to_num() * near, top.nan_to_num() * near",
    ),
    ("head.py", "self.grid.to_pixels(cells.float()) + offset", "offset"),
]


@pytest.mark.parametrize("name", [n for n in WRONG if n.startswith("codec_")])
def test_a_head_whose_outputs_are_places_in_the_image_is_right_too(outcome: Outcomes, name: str) -> None:
    found = outcome(name, IN_PIXELS)
    assert found.status == (SKIPPED if name == "codec_recovers_crowds" else "passed"), found


# A gradient that Adam takes for none: outputs cannot be fitted to such a loss.
FLAT = [("head.py", "clamp(min=1)", "clamp(min=1) * 1e-12")]


@pytest.mark.parametrize("name", [n for n in WRONG if n.startswith("codec_")])
def test_a_head_whose_losses_cannot_be_fitted_is_judged_by_its_targets(outcome: Outcomes, name: str) -> None:
    found = outcome(name, FLAT)
    assert found.status == (SKIPPED if name == "codec_recovers_crowds" else "passed"), found


def test_the_right_toy_passes_levels_0_and_1(tmp_path: Path) -> None:
    with _installed(tmp_path, []):
        outcomes = [run(item) for item in items("pose-toykit", [0, 1])]
    assert [o for o in outcomes if o.status == FAILED] == []
    assert {o.id for o in outcomes if o.status == SKIPPED} == {f"codec_recovers_crowds[{HEAD}]"}
    tried = {o.check for o in outcomes}
    assert tried == {c.name for c in every_check(get_catalog().kinds) if c.level < 2}, (
        "the toy has one of everything"
    )
