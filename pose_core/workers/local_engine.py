"""Engine ``local``: processes on this machine, one for each GPU or with a share of the cores."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from pose_core.errors import PoseError
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_core.workers.local_config import LocalEngineConfig
from pose_core.workers.processes import is_gone, name_machine, read_start

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class LocalEngine(Engine):
    """Start processes on this machine.

    They end with the process that started them: when that is killed, they stop after the batch that they are at.
    """

    config: LocalEngineConfig

    @property
    def on_this_machine(self) -> bool:
        """Always."""
        return True

    def suggest_workers(self) -> int:
        """One for each GPU; without GPUs one for every two cores."""
        return len(self._list_gpus()) or max(1, count_cores() // 2)

    def start(self, plan: WorkerPlan, workers: int) -> LocalHandle:
        """Start processes whose output goes into files."""
        gpus = self._list_gpus()
        threads = self.config.threads or max(1, count_cores() // workers)
        processes: list[subprocess.Popen[bytes]] = []
        for number in range(workers):
            environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
            if gpus:
                environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
            try:
                with (plan.logs / f"local-{os.getpid()}-{number + 1}.log").open("ab") as log:
                    process = subprocess.Popen(
                        [*plan.command, "--attached"],
                        # Closed by the system when this process ends, in whatever way; workers see that.
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                        env=environment,
                        # Ctrl-C is for the process that waits for them, which tells them in its turn.
                        start_new_session=True,
                    )
            except OSError as error:
                with closing(LocalHandle(processes)) as begun:
                    begun.cancel()
                reason = (error.strerror or str(error)).lower()
                raise PoseError(
                    f"worker {number + 1} of {workers} cannot be started ({reason}); use fewer"
                ) from None
            processes.append(process)
        return LocalHandle(processes)

    def find(self, state: Mapping[str, Any]) -> FoundHandle:
        """Find processes of this machine by their numbers."""
        return FoundHandle(state)

    def _list_gpus(self) -> list[str]:
        """Names that CUDA has for the GPUs that may be used."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        count = torch.cuda.device_count()
        names = (
            [name.strip() for name in visible.split(",")][:count] if visible else list(map(str, range(count)))
        )
        if self.config.gpus is None:
            return names
        if wrong := [number for number in self.config.gpus if number >= len(names)]:
            raise PoseError(f"engine local: gpus: there is no GPU {wrong[0]}; this process sees {len(names)}")
        return [names[number] for number in self.config.gpus]


class LocalHandle(EngineHandle):
    """Processes that this one started."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def state(self) -> dict[str, Any]:
        """Their numbers, and when they began."""
        pids = [process.pid for process in self._processes]
        return {
            "machine": name_machine(),
            "processes": [{"pid": pid, "started": read_start(pid)} for pid in pids],
        }

    def alive(self) -> int:
        """Count those that run."""
        return sum(process.poll() is None for process in self._processes)

    def cancel(self) -> None:
        """Send SIGTERM; they stop after the batch that they are at."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()

    def close(self) -> None:
        """Close their inputs: those that still run stop after the batch that they are at."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()

    def describe(self) -> str:
        """Say how many there are."""
        return f"{len(self._processes)} processes on this machine"


class FoundHandle(EngineHandle):
    """Processes that another one started, perhaps on another machine, of which nothing can be said here."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._state = dict(state)

    def state(self) -> dict[str, Any]:
        """As it was stored."""
        return self._state

    def alive(self) -> int | None:
        """Count those that run; None on another machine."""
        return len(self._running()) if self._is_here() else None

    def cancel(self) -> None:
        """Send SIGTERM to those of this machine."""
        for pid in self._running():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                # Ended a moment ago, which is what was wanted.
                continue

    def _is_here(self) -> bool:
        machine = self._state.get("machine")
        return bool(machine) and machine == name_machine()

    def _running(self) -> list[int]:
        if not self._is_here():
            return []
        machine = self._state["machine"]
        return [p["pid"] for p in self._state["processes"] if not is_gone({"machine": machine, **p})]


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
