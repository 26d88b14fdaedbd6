"""``auto``: measured where a prediction is long, remembered, used where it pays, kept by results that were begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pose_core
from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces import Runtime
from pose_core.pipeline import computing
from pose_core.pipeline.computing import GAIN, TORCH, VARIABLE, Computing, Measured
from pose_core.specs import EngineConfig
from pose_core.workers.plan import open_plan
from tests.helpers.shared_work import Elsewhere
from tests.helpers.tiny_run import make_run

OPENVINO = "openvino/openvino"

FRAMES = 24


class Notes:
    """A reporter that keeps notes, and stops the work after so many frames."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.lines: list[str] = []
        self._stop_after = stop_after

    def note(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        if self._stop_after is not None and done >= self._stop_after:
            raise KeyboardInterrupt

    def about(self, word: str) -> list[str]:
        return [line for line in self.lines if line.startswith(word)]


@pytest.fixture(autouse=True)
def nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(FRAMES):
        cv2.imwrite(str(folder / f"{i:03d}.png"), random.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def everything_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any prediction is long enough to measure, and only OpenVINO, which is the soonest prepared, is tried."""
    for name, value in {"LONG": 1, "WORTH": 0, "OPENING": 0.0}.items():
        monkeypatch.setattr(computing, name, value)
    candidates = [c for c in computing._list_candidates() if c.full_name == OPENVINO]
    monkeypatch.setattr(computing, "_list_candidates", lambda: candidates)


@pytest.fixture
def openvino_is_faster(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Whatever the clock says; the list has what was measured."""
    measured: list[list[str]] = []

    def alternate(self: Computing, ways: dict[str, object], *_: object) -> dict[str, float]:
        measured.append(sorted(ways))
        return {name: 0.01 if name == OPENVINO else 0.02 for name in ways}

    monkeypatch.setattr(Computing, "_alternate", alternate)
    return measured


def predict(run: Path, pictures: Path, out: Path, notes: Notes | None = None, **options: str | int) -> str:
    """Predict; returns the runtime that the result says."""
    notes = notes or Notes()
    before = pose_core.reporting.set_reporter(notes)
    try:
        (outcome,) = pose_core.predict(run, pictures, out, reporter=notes, **options)  # type: ignore[arg-type]
    finally:
        pose_core.reporting.set_reporter(before)
    assert outcome is not None
    note = json.loads(outcome.result.with_name(f"{outcome.result.name}.info").read_text())
    return str(note["maker"]["runtime"])


def test_a_short_prediction_measures_nothing(
    run: Path, pictures: Path, tmp_path: Path, openvino_is_faster: list[list[str]]
) -> None:
    notes = Notes()
    assert predict(run, pictures, tmp_path / "out", notes) == TORCH
    assert not openvino_is_faster
    assert not (tmp_path / "cache").exists()
    assert not notes.about("runtime")


@pytest.mark.usefixtures("everything_is_long")
def test_a_long_one_measures_once_and_all_later_ones_use_it_where_it_pays(
    run: Path,
    pictures: Path,
    tmp_path: Path,
    openvino_is_faster: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes = Notes()
    assert predict(run, pictures, tmp_path / "a", notes) == OPENVINO
    (line,) = notes.about("runtime")
    assert line == (
        "runtime: openvino computes the network (measured on this machine, for an image: openvino 10 ms, torch 20 ms)"
    )
    assert openvino_is_faster == [[TORCH, OPENVINO]]
    named = predict(run, pictures, tmp_path / "b", runtime="openvino")
    assert named == OPENVINO
    one, other = (pd.read_parquet(next((tmp_path / n).glob("*.parquet"))) for n in "ab")
    pd.testing.assert_frame_equal(one, other)
    assert predict(run, pictures, tmp_path / "c") == OPENVINO
    # 24 frames gain 0.24 s, less than opening it takes.
    monkeypatch.setattr(computing, "OPENING", 2.0)
    assert predict(run, pictures, tmp_path / "d") == TORCH
    estimator = pose_core.load(run)
    estimator.predict([np.zeros((64, 96, 3), np.uint8)])
    assert estimator.computing.name == TORCH
    # A camera has no end.
    next(estimator.predict(iter([np.zeros((64, 96, 3), np.uint8)])))
    assert estimator.computing.name == OPENVINO
    assert len(openvino_is_faster) == 1


@pytest.mark.usefixtures("everything_is_long", "openvino_is_faster")
def test_what_was_prepared_is_not_known_once_the_cache_was_emptied(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    predict(run, pictures, tmp_path / "a")
    (kept,) = (tmp_path / "cache" / "runtimes").glob("openvino-*")
    for file in sorted(kept.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    kept.rmdir()
    estimator = pose_core.load(run)
    next(estimator.predict(iter([np.zeros((64, 96, 3), np.uint8)])))
    assert estimator.computing.name == TORCH


@pytest.mark.usefixtures("everything_is_long", "openvino_is_faster")
def test_a_result_is_finished_by_the_runtime_that_began_it(run: Path, pictures: Path, tmp_path: Path) -> None:
    whole = predict(run, pictures, tmp_path / "whole", batch_size=4)
    for begun, then in (("openvino", "auto"), ("torch", "auto")):
        out = tmp_path / begun
        with pytest.raises(KeyboardInterrupt):
            predict(run, pictures, out, Notes(stop_after=8), batch_size=4, runtime=begun)
        notes = Notes()
        finished = predict(run, pictures, out, notes, batch_size=4, runtime=then)
        assert finished.endswith(f"/{begun}")
        assert any("frames were done before; going on from there" in line for line in notes.lines)
    assert whole == OPENVINO
    one, other = (pd.read_parquet(next((tmp_path / n).glob("*.parquet"))) for n in ("whole", "openvino"))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.usefixtures("everything_is_long")
def test_workers_compute_by_what_was_chosen_once(
    run: Path, pictures: Path, tmp_path: Path, openvino_is_faster: list[list[str]]
) -> None:
    assert predict(run, pictures, tmp_path / "one") == OPENVINO
    engine = f"{{type: local, threads: {torch.get_num_threads()}}}"
    assert predict(run, pictures, tmp_path / "shared", engine=engine, workers=1) == OPENVINO
    plan = open_plan(tmp_path / "shared")
    assert (plan.maker["runtime"], plan.request["load"]["runtime"]) == (OPENVINO, OPENVINO)
    one, shared = (tmp_path / name / "pictures.parquet" for name in ("one", "shared"))
    assert shared.read_bytes() == one.read_bytes()
    assert len(openvino_is_faster) == 1


@pytest.mark.usefixtures("everything_is_long", "openvino_is_faster")
@pytest.mark.parametrize(("device", "chosen"), [("auto", TORCH), ("cpu", OPENVINO)])
def test_what_is_fastest_here_says_nothing_of_machines_elsewhere(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, chosen: str
) -> None:
    """Those may have GPUs, unless the user says that they compute on CPUs."""
    elsewhere = Elsewhere(EngineConfig(type="core/local"))
    monkeypatch.setattr("pose_core.prediction.predict.choose_engine", lambda given: elsewhere)
    pose_core.predict(run, pictures, tmp_path / "out", engine="x", device=device)
    assert open_plan(tmp_path / "out").maker["runtime"] == chosen
    # Whoever goes on keeps to it, whatever is fastest there.
    assert predict(run, pictures, tmp_path / "out") == chosen


@pytest.mark.usefixtures("everything_is_long")
def test_a_network_that_a_runtime_cannot_take_stays_with_torch_and_a_note_says_why(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Runtime, *_: object) -> None:
        raise ConfigError(
            "runtime openvino: tiny cannot be converted: no such operation; use the runtime torch"
        )

    factory = pose_core.catalog.get_catalog().component("runtime", "openvino").factory()
    monkeypatch.setattr(factory, "__init__", refuse)
    notes = Notes()
    assert predict(run, pictures, tmp_path / "a", notes) == TORCH
    (line,) = notes.about("note: runtime openvino")
    assert "no such operation" in line
    assert line.endswith("torch computes it")
    # It is remembered, too.
    notes = Notes()
    assert predict(run, pictures, tmp_path / "b", notes) == TORCH
    assert not notes.about("note: runtime openvino")
    with pytest.raises(ConfigError, match="no such operation"):
        predict(run, pictures, tmp_path / "c", runtime="openvino")


@pytest.mark.usefixtures("everything_is_long")
def test_networks_are_measured_on_what_the_prediction_gives_them(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: set[tuple[int, ...]] = set()
    time: Callable[..., float] = Computing._time

    def watch(self: Computing, computes: object, calls: list[tuple[int, tuple[torch.Tensor, ...]]]) -> float:
        shapes.update(tuple(tensors[0].shape) for _, tensors in calls)
        return time(self, computes, calls)

    monkeypatch.setattr(Computing, "_time", watch)
    predict(run, pictures, tmp_path / "out", batch_size=3)
    # The run shows frames at half their size.
    assert shapes == {(3, 3, 32, 48)}


@pytest.mark.usefixtures("everything_is_long", "openvino_is_faster")
def test_a_record_that_cannot_be_kept_is_a_note(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("where a folder is needed")
    monkeypatch.setattr(computing, "choose_record", lambda networks: file / "measured.json")
    notes = Notes()
    assert predict(run, pictures, tmp_path / "out", notes) == OPENVINO
    assert len(notes.about("note: what was measured of runtimes cannot be remembered: ")) == 1


@pytest.mark.usefixtures("everything_is_long")
def test_where_no_animal_is_found_there_is_nothing_to_measure(
    run: Path, pictures: Path, tmp_path: Path, openvino_is_faster: list[list[str]]
) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,x1,y1,x2,y2\n")
    crops = make_run(
        tmp_path / "crops",
        model={"method": "top_down", "preprocess": {"size": [32, 32], "scale": 1.0, "min_box": 16.0}},
    )
    assert predict(crops, pictures, tmp_path / "out", boxes=str(boxes)) == TORCH
    assert not openvino_is_faster


def test_the_environment_names_what_auto_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "openvino")
    assert pose_core.load(run).computing.name == OPENVINO
    assert pose_core.load(run, runtime="torch").computing.name == TORCH
    monkeypatch.setenv(VARIABLE, "auto")
    assert pose_core.load(run).computing.auto
    monkeypatch.setenv(VARIABLE, "openwine")
    with pytest.raises(ConfigError, match=r"POSE_RUNTIME: .*openwine"):
        pose_core.load(run)


@given(
    torch_takes=st.floats(1e-6, 1e3),
    others=st.dictionaries(st.sampled_from(["a/a", "b/b", "c/c"]), st.floats(1e-6, 1e3)),
)
def test_only_what_is_clearly_faster_takes_the_place_of_torch(
    torch_takes: float, others: dict[str, float]
) -> None:
    chosen = Measured({TORCH: torch_takes, **others}).fastest()
    if chosen == TORCH:
        assert all(value >= GAIN * torch_takes for value in others.values())
    else:
        assert others[chosen] == min(others.values()) < GAIN * torch_takes


def test_a_damaged_record_is_an_unknown_one(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    known = Measured({TORCH: 0.5, "a/a": 0.25}, {"b/b": "why"})
    known.write(file)
    assert Measured.read(file) == known
    for damaged in ("", "[]", '{"seconds": {"a": "x"}, "failed": {}}', '{"seconds": []}'):
        file.write_text(damaged)
        assert Measured.read(file) == Measured()


def test_results_of_another_runtime_are_the_same_result(run: Path, pictures: Path, tmp_path: Path) -> None:
    predict(run, pictures, tmp_path / "out", runtime="torch")
    assert predict(run, pictures, tmp_path / "out", runtime="openvino") == TORCH
    with pytest.raises(PoseError, match="runtime torch: computes with 32 bits on cpu, not with 16"):
        predict(run, pictures, tmp_path / "out", runtime="torch", precision=16)
