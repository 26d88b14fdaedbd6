"""Engines take turns at one plan: begun by processes of this machine that are killed, continued by SLURM, finished by
Dask; the result is that of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import can_play, write_programs
from real_slurm import NEEDS, can_run, run_slurm, wait
from shared_work import THREADS, list_alive, paused, read_folder

import pose_core
from pose_core.synthetic.videos import write_numbered_video

FRAMES = 1600
QUICK = {"part_frames": 80, "heartbeat": 0.2}


@pytest.fixture
def played_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings for programs of SLURM that run tasks on this machine."""
    if not can_play():
        pytest.skip("the fake cluster needs bash and /proc")
    fake = write_programs(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{fake.home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return {"partition": "gpu"}


@pytest.fixture
def real_slurm(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Settings for a SLURM of one node."""
    if not can_run():
        pytest.skip(NEEDS)
    with run_slurm(tmp_path / "slurm"):
        yield {"partition": "test", "cpus": 1, "prologue": [f"export OMP_NUM_THREADS={THREADS}"]}


@pytest.mark.long  # three engines, one after the other: half a minute
@pytest.mark.parametrize("slurm", ["played_slurm", "real_slurm"])
def test_begun_with_local_killed_continued_with_slurm_finished_with_dask(
    run: Path, tmp_path: Path, slurm: str, request: pytest.FixtureRequest
) -> None:
    settings: dict[str, Any] = request.getfixturevalue(slurm)
    video, one, out = tmp_path / "long.mp4", tmp_path / "one", tmp_path / "out"
    write_numbered_video(video, FRAMES)
    pose_core.predict(run, video, one, device="cpu")

    def count_done() -> int:
        return pose_core.read_status(out).done if (out / ".plan" / "plan.json").exists() else 0

    def work_until(done: int) -> None:
        wait(lambda: count_done() > done, str(sorted((out / ".plan").rglob("*"))))

    local = subprocess.Popen(
        [
            *(sys.executable, "-m", "pose_core", "predict", run, video, "--out", out, "--device", "cpu"),
            *(
                "--engine",
                f"{{type: local, part_frames: 80, heartbeat: 0.2, threads: {THREADS}}}",
                "--workers",
                "1",
            ),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    work_until(0)
    (worker,) = pose_core.read_status(out).workers
    os.kill(worker.pid, signal.SIGKILL)
    local.kill()
    local.wait()
    after_local = count_done()

    (pending,) = pose_core.predict(
        *(run, video, out), device="cpu", engine={"type": "slurm", **QUICK, **settings}, workers=1
    )
    assert pending is not None
    work_until(after_local)
    with paused(list_alive(out)):
        assert pose_core.cancel(out) == []
    wait(lambda: not list_alive(out), "they do not stop")
    after_slurm = count_done()

    engine = {"type": "dask", **QUICK, "threads": THREADS}
    pose_core.predict(run, video, out, device="cpu", engine=engine, workers=1)
    assert read_folder(out) == read_folder(one)
    assert 0 < after_local < after_slurm < FRAMES
