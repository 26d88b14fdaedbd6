"""Schedule the learning rate, and end training when its time is up."""

from __future__ import annotations

import time
from typing import Any

import lightning

from pose_core.catalog import get_catalog
from pose_core.data.batches import Batch
from pose_core.interfaces.schedule import Schedule, ScheduleContext
from pose_core.specs.train import DecidedTrainSpec
from pose_core.training.parts import LR_FACTOR


class ScheduleCallback(lightning.Callback):
    """Set the learning rate by progress: of steps, or of time if that ends first.

    Attributes:
        schedule: says the learning rate after the warm-up.
        progress: from 0 to 1.
        learning_rate: of the step at hand, for parts without a factor of their own.
        seconds: spent training, those before a resume included.
        reserved: seconds to keep for the last validation.
    """

    def __init__(self, spec: DecidedTrainSpec, steps: int) -> None:
        self.spec = spec
        self.schedule = make_schedule(spec)
        self.steps = steps
        self.progress = 0.0
        self.learning_rate = 0.0
        self.reserved = 0.0
        self._before = 0.0
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the learning rate of this step."""
        self.progress = trainer.global_step / max(self.steps, 1)
        if self.spec.max_time is not None:
            # Clocks differ, and all processes must agree on the learning rate and on the end.
            seconds = float(trainer.strategy.broadcast(self.seconds))
            self.progress = max(self.progress, seconds / max(self.spec.max_time - self.reserved, 1e-9))
        self.progress = min(self.progress, 1.0)
        self.learning_rate = compute_learning_rate(self.schedule, self.progress)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate * group[LR_FACTOR]

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Stop when the time is up."""
        self.progress = max(self.progress, trainer.global_step / max(self.steps, 1))
        if self.spec.max_time is not None and self.progress >= 1.0 and trainer.global_step < self.steps:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "reserved": self.reserved,
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before, self.reserved = state_dict["seconds"], state_dict["reserved"]
        self.schedule.load_state_dict(state_dict["schedule"])


def make_schedule(spec: DecidedTrainSpec) -> Schedule:
    """Make the schedule that the configuration names."""
    component = get_catalog().component("schedule", spec.schedule.type)
    context = ScheduleContext(spec.optimizer.lr, spec.epochs)
    made: Schedule = component.factory()(spec.schedule, context)
    return made


def compute_learning_rate(schedule: Schedule, progress: float) -> float:
    """Compute the learning rate: of the warm-up, then of the schedule.

    Args:
        schedule: says it after the warm-up.
        progress: 0 at the start, 1 at the end of training.
    """
    progress = min(max(progress, 0.0), 1.0)
    rate = schedule.learning_rate(max(progress, schedule.warmup))
    if progress >= schedule.warmup:
        return rate
    # Not from zero: the first step should already move.
    return rate * (0.01 + 0.99 * progress / schedule.warmup)
