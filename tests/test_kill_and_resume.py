"""Killed with SIGKILL at random moments and resumed, training and prediction end as if nothing had
happened."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

KILLS = pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.long)])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kill_at(arguments: Sequence[str | Path], cwd: Path, ready: Callable[[], bool], delay: float) -> bool:
    """Start ``pose``, wait until ``ready``, then a little, and kill the process and its children.

    Returns:
        whether it was still at work; on a busy machine this process may come too late.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pose_core", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    give_up = time.monotonic() + 240
    while process.poll() is None and not ready() and time.monotonic() < give_up:
        time.sleep(0.01)
    time.sleep(delay)
    if process.poll() is not None:
        message = process.communicate()[1].decode()[-2000:]
        assert process.returncode == 0, message
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return True


@pytest.mark.long
@KILLS
def test_training(pose: Any, blob_project: Path, tmp_path: Path, kills: int) -> None:
    rng = random.Random(0)
    # Two epochs a row; enough that no kill comes after the end.
    enough = 15 * kills
    options = ["--epochs", str(2 * enough), "--set", "train.validate_every=2", "--resume"]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert pose.train(blob_project, undisturbed, *options).returncode == 0
    history = killed / "history.csv"

    def rows() -> int:
        return len(history.read_text().splitlines()) if history.is_file() else 0

    for kill in range(kills):
        wanted = rows() + rng.randint(1, 8)
        assert kill_at(
            pose.train_arguments(blob_project, killed, *options),
            tmp_path,
            lambda n=wanted: rows() >= n,
            rng.uniform(0, 0.2),
        ), "ended before it could be killed"
        assert rows() < enough, f"nothing was left to do after kill {kill + 1}"
    process = pose.train(blob_project, killed, *options)
    assert process.returncode == 0, process.stderr
    assert digest(killed / "weights.safetensors") == digest(undisturbed / "weights.safetensors")
    without_time = [
        [line.split(",")[:2] + line.split(",")[3:] for line in (run / "history.csv").read_text().splitlines()]
        for run in (undisturbed, killed)
    ]
    assert without_time[0] == without_time[1]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    import av

    path = tmp_path / "long.mp4"
    rng = np.random.default_rng(1)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(1500):
            image = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
            image[20:30, (number % 50) : (number % 50) + 10] = (230, 30, 30)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.long
@KILLS
def test_prediction(pose: Any, blob_project: Path, video: Path, tmp_path: Path, kills: int) -> None:
    rng = random.Random(0)
    run = tmp_path / "run"
    assert pose.train(blob_project, run, "--epochs", "2").returncode == 0
    options = ["--device", "cpu", "--tracker", "oks"]
    assert pose("predict", run, video, "--out", "undisturbed", *options).returncode == 0
    arguments = ["predict", run, video, "--out", "killed", *options]

    def parts() -> int:
        return len(list((tmp_path / "killed").rglob("*.parquet"))) if (tmp_path / "killed").exists() else 0

    # Where it finished before it was killed (the machine is busy, the rest was short), it starts from nothing
    # again.
    killed = most = 0
    for _ in range(6 * kills):
        have = parts()
        at_work = kill_at(arguments, tmp_path, lambda n=have: parts() > n, rng.uniform(0, 0.05))
        if at_work and not list((tmp_path / "killed").glob("*.parquet")):
            killed += 1
            most = max(most, parts())
        else:
            shutil.rmtree(tmp_path / "killed")
        if killed >= kills and most > 1:
            break
    assert killed >= kills, f"only {killed} attempts could be killed at work"
    assert most > 1, "no attempt went on from another one's parts"
    process = pose(*arguments)
    assert process.returncode == 0, process.stderr
    (expected,) = (tmp_path / "undisturbed").glob("*.parquet")
    (found,) = (tmp_path / "killed").glob("*.parquet")
    assert digest(found) == digest(expected)
    assert not [p for p in (tmp_path / "killed").iterdir() if p.name.startswith(".")]


@pytest.mark.long
def test_ctrl_c_says_how_to_go_on(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "pose_core", *pose.train_arguments(blob_project, out, "--epochs", "5000")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process started in the background of a shell ignores the signal from birth.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    give_up = time.monotonic() + 240
    while process.poll() is None and not (out / "history.csv").is_file() and time.monotonic() < give_up:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130, messages
    assert "the same command with --resume goes on" in messages
    assert "Traceback" not in messages
