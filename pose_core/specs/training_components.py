"""Bases of the configs of components that a training uses beside its network, and the fields that hold one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny

from pose_core.specs.component_config import ComponentConfig
from pose_core.specs.named_component import NamedComponent


class ScheduleConfig(ComponentConfig):
    """Base of the configs of learning-rate schedules."""

    warmup: float = Field(
        0.03,
        ge=0,
        lt=1,
        description="Fraction of training with linearly rising learning rate, before what the schedule says.",
    )


AnySchedule = Annotated[SerializeAsAny[ScheduleConfig], NamedComponent("schedule", ScheduleConfig)]


class LoggerConfig(ComponentConfig):
    """Base of the configs of loggers."""


AnyLogger = Annotated[SerializeAsAny[LoggerConfig], NamedComponent("logger", LoggerConfig)]


Probability = Annotated[float, Field(ge=0, le=1)]


class TransformConfig(ComponentConfig):
    """Base of the configs of transforms, random changes of training images."""

    p: Probability = Field(0.5, description="Probability that an image is changed.")


Covered = Literal["keep", "occlude", "remove"]
"""What becomes of labelled keypoints that a transform has covered."""

AnyTransform = Annotated[SerializeAsAny[TransformConfig], NamedComponent("transform", TransformConfig)]
