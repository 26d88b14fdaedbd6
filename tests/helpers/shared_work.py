"""Work that several processes share, in tests: an engine that starts nobody, and what is left in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from pose_core.errors import DataError, VideoError
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.reporting import LogReporter
from pose_core.workers.plan import Plan, open_plan
from pose_core.workers.status import read_status

QUICK = {"part_frames": 8, "heartbeat": 0.2, "stale": 60.0}
"""Settings of an engine for clips of some dozen frames; who died on this machine is seen at once."""

THREADS = torch.get_num_threads()
"""Bytes are equal where the same number of threads computes."""

FRAMES = {"one.mp4": 60, "two.mp4": 44, "three.avi": 30}
"""Frames of the clips."""


class Nobody(EngineHandle):
    def state(self) -> dict[str, Any]:
        return {}

    def alive(self) -> int | None:
        return None

    def cancel(self) -> None:
        (self.folder / "told").touch()

    def __init__(self, folder: Path) -> None:
        self.folder = folder


class Elsewhere(Engine):
    """Starts nothing: the test works itself."""

    waits = False

    def start(self, plan: WorkerPlan, workers: int) -> EngineHandle:
        return Nobody(plan.logs)

    def find(self, state: Mapping[str, Any]) -> EngineHandle:
        raise NotImplementedError("nobody looks for it")


class Watcher(LogReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[float] = []
        self.errors: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        self.steps.append(done)

    def finished(self, name: str, outcome: Outcome | VideoError | DataError) -> None:
        if not isinstance(outcome, Outcome):
            self.errors.append(str(outcome))


def read_folder(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def plan_work(run: Path, clips: list[Path], out: Path, **options: Any) -> Plan:
    predict(run, clips, out, device="cpu", engine="local", **options)
    return open_plan(out)


def list_alive(out: Path) -> list[int]:
    """Numbers of the processes that work."""
    return [worker.pid for worker in read_status(out).workers if worker.alive]


@contextmanager
def paused(processes: Iterable[int]) -> Iterator[None]:
    """Let processes stand still, so that they do not finish before the test has done something to them."""
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            # Killed meanwhile, perhaps.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def start_worker(out: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pose_core", "worker", str(out), *options],
        stdin=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
