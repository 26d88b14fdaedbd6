"""Lower the learning rate where validation no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field, NonNegativeInt

from pose_core.interfaces.schedule import Schedule, ScheduleContext
from pose_core.specs import ScheduleConfig


class PlateauConfig(ScheduleConfig):
    """A factor each time that validation no longer improves."""

    factor: float = Field(0.1, gt=0, lt=1, description="Of the learning rate, each time.")
    patience: NonNegativeInt = Field(
        10, description="Validations without improvement that are borne; with the next one the rate falls."
    )
    threshold: float = Field(
        1e-4, ge=0, description="Smallest improvement that counts, as a fraction of the best value."
    )
    cooldown: NonNegativeInt = Field(
        0, description="Validations after a fall during which none without improvement counts."
    )
    min_lr: float = Field(0.0, ge=0, description="Lowest learning rate.")


class Plateau(Schedule):
    """The learning rate times ``factor`` where the metric that selects the weights stands still; as
    ``ReduceLROnPlateau`` of torch."""

    def __init__(self, config: PlateauConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.config = config
        self._lr = context.lr
        self._best = math.inf
        self._bad = 0
        self._cooling = 0

    def learning_rate(self, progress: float) -> float:
        """What the validations so far left of it."""
        return self._lr

    def observe(self, value: float) -> None:
        """Count validations without improvement."""
        config = self.config
        # Of the absolute value, since metrics of which more is better arrive with a minus.
        if self._best == math.inf or value < self._best - config.threshold * abs(self._best):
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling:
            self._cooling, self._bad = self._cooling - 1, 0
        if self._bad > config.patience:
            # Never up: the learning rate may have been chosen below min_lr.
            self._lr = min(self._lr, max(self._lr * config.factor, config.min_lr))
            self._bad, self._cooling = 0, config.cooldown

    def state_dict(self) -> dict[str, Any]:
        """The learning rate, the best value, and the counts."""
        return {"lr": self._lr, "best": self._best, "bad": self._bad, "cooling": self._cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._lr, self._best = state["lr"], state["best"]
        self._bad, self._cooling = state["bad"], state["cooling"]
