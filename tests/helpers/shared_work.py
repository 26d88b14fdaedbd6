"""Work that several processes share, in tests: an engine that starts nobody, and what is left in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from pose_core.errors import DataError, VideoError
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_core.pipeline.engine import Pipeline
from pose_core.prediction import part_writer
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.reporting import LogReporter
from pose_core.synthetic.videos import write_numbered_video
from pose_core.workers import parts
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


def list_claims(plan: Plan) -> list[Path]:
    """Files by which workers say what they are at."""
    return [path for path in (plan.home / "claims").rglob("*") if path.is_file()]


def watch_frames(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note which frames are predicted from now on: the video's name, and the frame's number."""
    seen: list[tuple[str, int]] = []
    true = Pipeline.run

    def watch(self: Pipeline, source: Any, *rest: Any) -> Iterator[Any]:
        for result in true(self, source, *rest):
            seen.extend((source.video.name, frame.index) for frame in result.frames)
            yield result

    monkeypatch.setattr(Pipeline, "run", watch)
    return seen


def do_before_each_part(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen each time before a worker of this process puts a part in place."""
    true = parts.publish

    def publish(*arguments: Any) -> bool:
        act()
        return true(*arguments)

    monkeypatch.setattr(part_writer, "publish", publish)


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


@contextmanager
def work_elsewhere(run: Path, out: Path, frames: int) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own that has done a part of a long video; its input is open until the end."""
    video = out.parent / "long.mp4"
    write_numbered_video(video, frames)
    plan_work(run, [video], out)
    worker = subprocess.Popen(
        [sys.executable, "-m", "pose_core", "worker", str(out), "--attached"],
        stdin=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with worker:
        while not read_status(out).done:
            assert worker.poll() is None
            time.sleep(0.02)
        yield worker
