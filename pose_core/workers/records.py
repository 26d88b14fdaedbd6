"""Records of workers: a file for each, that says where it runs, what it does, and how it ended."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pose_core.io.files import parse_json, write_whole
from pose_core.workers.processes import describe_process, is_gone

_JOBS = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
"""Variables in which schedulers tell a process its job."""


class WorkerRecord:
    """The record of this process.

    Args:
        folder: of the records of a plan.

    Attributes:
        worker: its name, which no other has.
        process: where it runs.
    """

    def __init__(self, folder: Path) -> None:
        self.process = describe_process()
        host = re.sub(r"[^\w-]", "-", str(self.process["host"]))[:60]
        self.worker = f"{host}-{self.process['pid']}-{secrets.token_hex(3)}"
        self.clock = folder / f"{self.worker}.clock"
        self._path = folder / f"{self.worker}.json"
        self._frames = 0
        self._seconds = 0.0
        self._job = {name: os.environ[name] for name in _JOBS if name in os.environ}
        self._since = time.time()

    @property
    def owner(self) -> dict[str, object]:
        """What claims say of this worker."""
        return {"worker": self.worker, **self.process}

    def count(self, frames: int, seconds: float) -> None:
        """Add frames that were predicted, and the time they took."""
        self._frames += frames
        self._seconds += seconds

    def write(self, doing: str, ended: str | None = None) -> None:
        """Write what the worker does, or how it ended.

        Raises:
            OSError: it cannot be written.
        """
        content = {
            **self.owner,
            "job": self._job,
            "since": self._since,
            "doing": doing,
            "frames": self._frames,
            "seconds": round(self._seconds, 3),
            "ended": ended,
        }
        write_whole(self._path, json.dumps(content, indent=1))
        if ended is not None:
            self.clock.unlink(missing_ok=True)

    def touch(self) -> None:
        """Give a sign of life."""
        os.utime(self._path)


@dataclass(frozen=True)
class SeenWorker:
    """A worker as its record shows it.

    Attributes:
        worker: its name.
        host, pid: where it runs.
        job: of a scheduler, as ``NAME=VALUE`` lines of its variables; empty: none.
        doing: what it does, or did last.
        frames: that it predicted.
        seconds: that these took.
        ended: how it ended; empty: it was told to, or nothing was left; None: it has not.
        age: seconds since its last sign of life.
        alive: whether it works.
    """

    worker: str
    host: str
    pid: int
    job: str
    doing: str
    frames: int
    seconds: float
    ended: str | None
    age: float
    alive: bool


def read_workers(folder: Path, now: float, stale: float) -> list[SeenWorker]:
    """Read the records of all workers of a plan.

    Args:
        folder: of the records.
        now: time by the clock of the file server.
        stale: seconds without a sign of life after which a worker is taken for dead.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = parse_json(path.read_bytes())
            age = max(0.0, now - path.stat().st_mtime)
        except (OSError, ValueError):
            # It is being replaced, or was removed with the plan.
            continue
        if isinstance(content, dict):
            found.append(_see(content, age, stale))
    return found


def _see(content: Mapping[str, object], age: float, stale: float) -> SeenWorker:
    ended = content.get("ended")
    gone = is_gone(dict(content))
    job = content.get("job")
    frames, seconds = content.get("frames"), content.get("seconds")
    return SeenWorker(
        worker=str(content.get("worker", "")),
        host=str(content.get("host", "")),
        pid=pid if isinstance(pid := content.get("pid"), int) else 0,
        job=" ".join(f"{k}={v}" for k, v in job.items()) if isinstance(job, dict) else "",
        doing=str(content.get("doing", "")),
        frames=frames if isinstance(frames, int) else 0,
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        ended=None if ended is None else str(ended),
        age=age,
        alive=ended is None and not gone and age <= stale,
    )
