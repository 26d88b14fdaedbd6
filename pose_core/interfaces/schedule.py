"""Schedule: progress of a training -> learning rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pose_core.specs.training_components import ScheduleConfig


@dataclass(frozen=True)
class ScheduleContext:
    """What a schedule is told of the training.

    Attributes:
        lr: the learning rate that the optimiser is set to, ``train.optimizer.lr``.
        epochs: passes over the training images that are planned.
    """

    lr: float
    epochs: int


class Schedule(ABC):
    """Says the learning rate at each step.

    Time is *progress*: 0 at the first step, 1 at the end, by steps, or by the clock where ``train.max_time``
    ends earlier. So every schedule fits into the time that there is. The warm-up is none of its business: the
    core lets the learning rate rise to what the schedule says at its end.

    A training that is resumed makes the schedule anew, gives it :meth:`load_state_dict`, and must get the same
    learning rates as an undisturbed one.

    Args:
        config: of the schedule.
        context: of the training.
    """

    def __init__(self, config: ScheduleConfig, context: ScheduleContext) -> None:
        self.warmup = config.warmup
        self.context = context

    @abstractmethod
    def learning_rate(self, progress: float) -> float:
        """Compute the learning rate, of parts without a factor of their own.

        Args:
            progress: from 0 to 1, never within the warm-up. Asking changes nothing.
        """

    def observe(self, value: float) -> None:  # noqa: B027 - may be left out
        """Take note of a validation; nothing by default.

        Args:
            value: of the metric that selects the weights, turned so that lower is better.
        """

    def state_dict(self) -> dict[str, Any]:
        """Put what was observed into numbers, texts, lists and mappings, for a checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - may be left out
        """Take up what :meth:`state_dict` gave."""

    def notes(self) -> Sequence[str]:
        """List what the user should know before training, a line each, such as a setting without effect."""
        return ()

    def epoch(self, progress: float) -> int:
        """Compute how many epochs of those planned are over.

        Where time ends training earlier, epochs count as if all of them fitted into it.
        """
        # A step's progress times the epochs may fall short of a whole number by the last bit.
        return int(progress * self.context.epochs + 1e-6)

    def after_warmup(self, progress: float) -> float:
        """Compute the progress of what follows the warm-up, from 0 to 1."""
        return (progress - self.warmup) / (1.0 - self.warmup)
