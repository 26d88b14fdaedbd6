"""Schedules of the learning rate that follow a curve or steps, each with its config."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pose_core.definitions import Content
from pose_core.interfaces.schedule import Schedule, ScheduleContext
from pose_core.specs import ScheduleConfig

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Rate = Annotated[float, Field(gt=0)]


class CosineConfig(ScheduleConfig):
    """Half a cosine."""

    final: _Fraction = Field(0.01, description="Last learning rate as a fraction of the highest.")


class Cosine(Schedule):
    """Half a cosine from the learning rate down to ``final`` (Loshchilov and Hutter, SGDR, 2017)."""

    def __init__(self, config: CosineConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.final = config.final

    def learning_rate(self, progress: float) -> float:
        """From the highest to the last."""
        fall = 0.5 * (1.0 + math.cos(math.pi * self.after_warmup(progress)))
        return self.context.lr * (self.final + (1.0 - self.final) * fall)


class ConstantConfig(ScheduleConfig):
    """One learning rate throughout."""


class Constant(Schedule):
    """The learning rate of the optimiser."""

    def learning_rate(self, progress: float) -> float:
        """Always the same."""
        return self.context.lr


class LinearConfig(ScheduleConfig):
    """A straight line."""

    final: _Fraction = Field(0.01, description="Last learning rate as a fraction of the highest.")


class Linear(Schedule):
    """A straight line from the learning rate down to ``final``."""

    def __init__(self, config: LinearConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.final = config.final

    def learning_rate(self, progress: float) -> float:
        """From the highest to the last."""
        return self.context.lr * (1.0 - (1.0 - self.final) * self.after_warmup(progress))


class OneCycleConfig(ScheduleConfig):
    """Up, then down to almost nothing."""

    warmup: float = Field(0.0, ge=0, lt=1, description="Fraction of training with a linear rise before it.")
    peak: float = Field(
        0.3, gt=0, lt=1, description="Progress at which the learning rate is highest (pct_start of torch)."
    )
    start: _Fraction = Field(
        0.04, description="First learning rate as a fraction of the highest (1 / div_factor of torch)."
    )
    final: _Fraction = Field(4e-6, description="Last learning rate as a fraction of the highest.")


class OneCycle(Schedule):
    """Half a cosine up and one down (Smith and Topin, Super-Convergence, 2018)."""

    def __init__(self, config: OneCycleConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.config = config

    def learning_rate(self, progress: float) -> float:
        """``train.optimizer.lr`` is the highest."""
        config, done = self.config, self.after_warmup(progress)
        if done < config.peak:
            low, along = config.start, 1.0 - done / config.peak
        else:
            low, along = config.final, (done - config.peak) / (1.0 - config.peak)
        return self.context.lr * (low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * along)))


class ExponentialConfig(ScheduleConfig):
    """A factor each epoch."""

    factor: float = Field(0.95, gt=0, le=1, description="Of the learning rate, each epoch (gamma of torch).")


class Exponential(Schedule):
    """The learning rate times ``factor`` after each epoch."""

    def __init__(self, config: ExponentialConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.factor = config.factor

    def learning_rate(self, progress: float) -> float:
        """Constant within an epoch."""
        return self.context.lr * self.factor ** self.epoch(progress)


class StepConfig(ScheduleConfig):
    """A factor every so many epochs."""

    every: PositiveInt = Field(30, description="Epochs from step to step (step_size of torch).")
    factor: float = Field(0.1, gt=0, le=1, description="Of the learning rate, each time (gamma of torch).")


class Step(Schedule):
    """The learning rate times ``factor`` after every so many epochs."""

    def __init__(self, config: StepConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.config = config

    def learning_rate(self, progress: float) -> float:
        """Constant between steps."""
        return self.context.lr * self.config.factor ** (self.epoch(progress) // self.config.every)

    def notes(self) -> Sequence[str]:
        """Say so where the first step is never reached."""
        return _note_unreached((self.config.every,), "every", self.context.epochs)


class MilestonesConfig(ScheduleConfig):
    """A factor at some epochs."""

    epochs: tuple[PositiveInt, ...] = Field(
        min_length=1, description="After how many epochs the learning rate falls, in increasing order."
    )
    factor: float = Field(0.1, gt=0, le=1, description="Of the learning rate, each time (gamma of torch).")

    @model_validator(mode="after")
    def _increasing(self) -> MilestonesConfig:
        _check_increasing(self.epochs)
        return self

    @classmethod
    def example(cls) -> Content:
        """Two milestones."""
        return {"epochs": [2, 4]}


class Milestones(Schedule):
    """The learning rate times ``factor`` at each milestone; ``MultiStepLR`` of torch."""

    def __init__(self, config: MilestonesConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.config = config

    def learning_rate(self, progress: float) -> float:
        """Constant between milestones."""
        passed = bisect_right(self.config.epochs, self.epoch(progress))
        return self.context.lr * self.config.factor**passed

    def notes(self) -> Sequence[str]:
        """Say so where a milestone is never reached."""
        return _note_unreached(self.config.epochs, "epochs", self.context.epochs)


class RatesConfig(ScheduleConfig):
    """A list of learning rates."""

    epochs: tuple[NonNegativeInt, ...] = Field(
        min_length=1, description="After how many epochs each of the rates begins, in increasing order."
    )
    rates: tuple[_Rate, ...] = Field(
        description="Learning rates, one for each of the epochs; before the first train.optimizer.lr counts."
    )

    @model_validator(mode="after")
    def _fitting(self) -> RatesConfig:
        _check_increasing(self.epochs)
        if len(self.rates) != len(self.epochs):
            raise PydanticCustomError(
                "rates",
                "there are {rates} rates and {epochs} epochs at which they begin; give one rate for each epoch",
                {"rates": len(self.rates), "epochs": len(self.epochs)},
            )
        return self

    @classmethod
    def example(cls) -> Content:
        """Two rates."""
        return {"epochs": [2, 4], "rates": [1e-4, 1e-5]}


class Rates(Schedule):
    """A learning rate for each part of training, by epoch."""

    def __init__(self, config: RatesConfig, context: ScheduleContext) -> None:
        super().__init__(config, context)
        self.config = config

    def learning_rate(self, progress: float) -> float:
        """That of the last epoch of the list which is over."""
        passed = bisect_right(self.config.epochs, self.epoch(progress))
        return self.config.rates[passed - 1] if passed else self.context.lr

    def notes(self) -> Sequence[str]:
        """Say so where a rate is never reached."""
        return _note_unreached(self.config.epochs, "epochs", self.context.epochs)


def _check_increasing(epochs: Sequence[int]) -> None:
    if list(epochs) != sorted(set(epochs)):
        raise PydanticCustomError("epochs", "epochs must be different ones in increasing order")


def _note_unreached(asked: Sequence[int], key: str, epochs: int) -> Sequence[str]:
    late = [str(epoch) for epoch in asked if epoch >= epochs]
    if not late:
        return ()
    return (f"train.schedule.{key}: {', '.join(late)} is never reached in a training of {epochs} epochs",)
