"""Engine: starts the workers of a plan, here or elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pose_core.specs.engine import EngineConfig


@dataclass(frozen=True)
class WorkerPlan:
    """What an engine is told of the work.

    Attributes:
        out: folder of the results, absolute; every worker must see it under this path.
        command: that one worker is, ``(python, -m, pose_core, worker, out)``; it ends with 0 when nothing is left to
            do, with 143 when it was told to stop (SIGTERM) and work is left.
        logs: an existing folder for what workers print.
        name: of the plan, short, of letters, digits and ``-``; for lists of jobs.
        cancelled: a file that exists while workers are to stop; for engines that would start them again.
    """

    out: Path
    command: tuple[str, ...]
    logs: Path
    name: str
    cancelled: Path


class EngineHandle(ABC):
    """Workers that were started together."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Put what finds these workers again into plain values, as ``{"job": 4711}``.

        They are stored beside the plan, so that another process can cancel the workers.
        """

    @abstractmethod
    def alive(self) -> int | None:
        """Count the workers that run or will; None where the engine cannot say."""

    @abstractmethod
    def cancel(self) -> None:
        """Tell the workers to stop, and do without those that have ended. Does not wait for them."""

    def close(self) -> None:  # noqa: B027 - may be left out
        """Give up what this process holds for the workers, such as a connection; they have ended, or outlive it."""

    def describe(self) -> str:
        """Say in a few words what was started: ``job 4711``."""
        return ""


class Engine(ABC):
    """Starts workers, and knows nothing of what they have done: that lies in files.

    Workers find their work themselves, so an engine does not share it out, and it need not start a worker again that
    died. Any number of workers of any engines may work on one plan.

    Attributes:
        packages: module -> distribution of what it needs beyond what its plugin requires; a missing one is refused
            before anything is started, with the command that installs it.

    Args:
        config: of the engine.
    """

    packages: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: EngineConfig) -> None:
        self.config = config

    @property
    def waits(self) -> bool:
        """Whether the command that starts workers stays until they have ended; False where they outlive it."""
        return True

    @property
    def on_this_machine(self) -> bool:
        """Whether workers compute on this machine, so that what is fastest is measured here; False where it may be
        another."""
        return False

    def check(self) -> None:  # noqa: B027 - may be left out
        """Refuse what cannot work here; called before the plan is made.

        Raises:
            ConfigError: a program is missing, a setting names what is not there; one line that says what to do.
        """

    def suggest_workers(self) -> int:
        """Say how many workers to start where the user does not; by default one."""
        return 1

    @abstractmethod
    def start(self, plan: WorkerPlan, workers: int) -> EngineHandle:
        """Start workers.

        Args:
            plan: what they work on.
            workers: how many.

        Raises:
            PoseError: they cannot be started; one line.
        """

    @abstractmethod
    def find(self, state: Mapping[str, Any]) -> EngineHandle:
        """Find workers again by what :meth:`EngineHandle.state` gave, perhaps in another process, later."""
