"""Shared by the tests of workers: a tiny run, short clips, what one process makes of them, an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shared_work import (
    FRAMES,
    QUICK,
    Elsewhere,
    plan_work,
    read_folder,
)
from tiny_run import make_run

from pose_core.prediction.predict import predict
from pose_core.specs import EngineConfig
from pose_core.synthetic.videos import write_numbered_video
from pose_core.workers.plan import Plan


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / name for name in FRAMES]
    for path, frames in zip(paths, FRAMES.values(), strict=True):
        write_numbered_video(
            path, frames, codec="mjpeg" if path.suffix == ".avi" else "libx264", pixels="yuvj420p"
        )
    return paths


@pytest.fixture(scope="module")
def undisturbed(run: Path, clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes, notes included, by name."""
    out = tmp_path_factory.mktemp("undisturbed")
    predict(run, clips, out, device="cpu")
    return read_folder(out)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Elsewhere]:
    """An engine of which the test is the workers."""
    made = Elsewhere(EngineConfig(type="core/local", **QUICK))

    def choose(given: object) -> Elsewhere:
        return made

    monkeypatch.setattr("pose_core.prediction.predict.choose_engine", choose)
    return choose


@pytest.fixture
def plan(elsewhere: Callable[..., Elsewhere], run: Path, clips: list[Path], tmp_path: Path) -> Plan:
    """The work on all clips, planned in the folder of the test; nobody has begun it."""
    return plan_work(run, clips, tmp_path)
