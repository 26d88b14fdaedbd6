import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from pose_core.interfaces import Engine, EngineHandle, WorkerPlan
from pose_core.specs import EngineConfig


class RemoteConfig(EngineConfig):
    start_with: tuple[str, ...] = Field(
        (), description="Words before the command of a worker, such as [ssh, node1]."
    )


class Started(EngineHandle):
    """Processes that cannot be found again from elsewhere: their workers see a cancellation by themselves."""

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        self.processes = processes

    def state(self) -> dict[str, Any]:
        return {}

    def alive(self) -> int | None:
        return sum(process.poll() is None for process in self.processes) if self.processes else None

    def cancel(self) -> None:
        for process in self.processes:
            process.terminate()


class Remote(Engine):
    """Workers behind a command, on machines that see the same folders."""

    config: RemoteConfig

    def start(self, plan: WorkerPlan, workers: int) -> EngineHandle:
        command = [*self.config.start_with, *plan.command]
        with (plan.logs / "remote.log").open("ab") as log:
            return Started([subprocess.Popen(command, stdout=log, stderr=log) for _ in range(workers)])

    def find(self, state: Mapping[str, Any]) -> EngineHandle:
        return Started([])


with tempfile.TemporaryDirectory() as name:
    command = (sys.executable, "-c", "print('at work')")
    plan = WorkerPlan(Path(name), command, logs=Path(name), name="demo", cancelled=Path(name, "cancel"))
    handle = Remote(RemoteConfig()).start(plan, workers=2)
    while handle.alive():
        pass
    assert Path(name, "remote.log").read_text().splitlines() == ["at work", "at work"]
