"""An engine whose workers are processes, each behind a command."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces import Engine, EngineHandle, WorkerPlan

from {{ cookiecutter.__package }}.config import LaunchedConfig


class LaunchedEngine(Engine):
    """Start each worker behind a command."""

    config: LaunchedConfig

    def check(self) -> None:
        """Refuse a command that is not there, before a plan is made."""
        if self.config.launcher and shutil.which(self.config.launcher[0]) is None:
            raise ConfigError(f"launcher: there is no program {self.config.launcher[0]!r} here; name another")

    def start(self, plan: WorkerPlan, workers: int) -> StartedHandle:
        """Start processes; what they print goes into a file each."""
        started: list[subprocess.Popen[bytes]] = []
        for number in range(workers):
            try:
                with (plan.logs / f"launched-{os.getpid()}-{number}.log").open("ab") as log:
                    started.append(
                        subprocess.Popen(
                            [*self.config.launcher, *plan.command],
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=log,
                            # Ctrl-C is for the process that waits for them, which calls cancel().
                            start_new_session=True,
                        )
                    )
            except OSError as error:
                StartedHandle(started).cancel()
                raise PoseError(f"worker {number + 1} of {workers} cannot be started ({error}); use fewer") from None
        return StartedHandle(started)

    def find(self, state: Mapping[str, Any]) -> FoundHandle:
        """Find processes by their numbers, perhaps from another process, or on another machine."""
        return FoundHandle(str(state["host"]), [int(pid) for pid in state["pids"]])


class StartedHandle(EngineHandle):
    """Processes that this one started."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def state(self) -> dict[str, Any]:
        """What finds them again, in plain values."""
        return {"host": socket.gethostname(), "pids": [process.pid for process in self._processes]}

    def alive(self) -> int:
        """Count those that run."""
        return sum(process.poll() is None for process in self._processes)

    def cancel(self) -> None:
        """Send SIGTERM. A worker elsewhere sees by the cancelled plan, after a heartbeat, that it is to stop."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()

    def describe(self) -> str:
        """Say what was started."""
        return f"{len(self._processes)} processes"


class FoundHandle(EngineHandle):
    """Processes that another one started."""

    def __init__(self, host: str, pids: Sequence[int]) -> None:
        self._host = host
        self._pids = pids

    def state(self) -> dict[str, Any]:
        """As it was stored."""
        return {"host": self._host, "pids": list(self._pids)}

    def alive(self) -> None:
        """Nothing can be said: a number may belong to another process by now."""

    def cancel(self) -> None:
        """Send SIGTERM to those of this machine."""
        if self._host == socket.gethostname():
            for pid in self._pids:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGTERM)
