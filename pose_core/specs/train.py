"""The specs of training: augmentation, optimiser, schedule, and how long."""

from __future__ import annotations

import math
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pose_core.catalog.merge import merge
from pose_core.definitions import Content
from pose_core.specs.base import Spec
from pose_core.specs.decided import make_auto_error
from pose_core.specs.model import Size
from pose_core.specs.optimizer import DecidedOptimizerSpec, OptimizerSpec
from pose_core.specs.training_components import (
    AnyLogger,
    AnySchedule,
    AnyTransform,
    Probability,
    ScheduleConfig,
    TransformConfig,
)


def parse_duration(value: object) -> object:
    """Seconds from ``90``, ``"90s"``, ``"10m"``, ``"1.5h"``; other values are left to the validator."""
    if isinstance(value, str):
        units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
        number, unit = (value[:-1], value[-1:]) if value[-1:] in units else (value, "s")
        try:
            return float(number) * units[unit]
        except ValueError:
            raise PydanticCustomError("duration", "must be a time such as 90s, 10m or 1.5h") from None
    return value


# Not a timedelta: pydantic reads those as ISO 8601 (PT10M), which users do not type.
Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]


def count_steps(samples: int, batch_size: int, accumulate: int) -> int:
    """Count the steps of an epoch of so many samples."""
    return max(1, math.ceil(math.ceil(samples / batch_size) / accumulate))


class CropSpec(Spec):
    """Training sees windows of the resized frame around animals, which is faster and better than whole
    frames."""

    size: Size | Literal["auto"] | None = Field(
        "auto",
        description="(height, width) of the window; auto: twice the animal's size; null: the whole frame.",
    )
    shift: float = Field(
        0.3, ge=0, le=1, description="Largest shift of the window's centre, as a fraction of its size."
    )
    background: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Fraction of windows placed anywhere in the frame, to learn what is no animal.",
    )


class DecidedCropSpec(CropSpec):
    """The same with a size that is decided."""

    size: Size | None = Field(None, description="(height, width) of the window; null: the whole frame.")


Degrees = Annotated[float, Field(ge=0, le=180)]

TRANSFORMS: Content = {
    "brightness_contrast": {"type": "core/brightness_contrast", "p": 1.0},
    "motion_blur": {"type": "core/motion_blur", "p": 0.2},
    "noise": {"type": "core/noise", "p": 1.0},
    "erase": {"type": "core/erase", "p": 0.2},
}
"""The transforms of a training that says none."""


class AugmentationSpec(Spec):
    """Random changes of training images: the view of the animals, and a list of transforms. All that is geometric
    forms one movement, by which pixels and labels are moved once."""

    p: Probability = Field(1.0, description="Probability that rotation, scale and translation are drawn.")

    rotation: Degrees | Literal["auto"] = Field(
        "auto",
        description="Largest rotation either way, degrees; auto: 180 where animals are seen from above and "
        "turn freely, else a little more than they turn in the labels.",
    )
    scale: tuple[float, float] | Literal["auto"] = Field(
        "auto",
        description="Smallest and largest zoom; auto: 0.8 and 1.25, more where the labelled animals differ "
        "much in size.",
    )
    translation: float = Field(
        0.0, ge=0, le=1, description="Largest shift as a fraction of the image's size."
    )
    flip: Probability | Literal["auto"] = Field(
        "auto",
        description="Probability of mirroring; left/right keypoint pairs change places. auto: 0.5 where "
        "mirrored poses look like those that are labelled, else 0.",
    )
    crop: CropSpec = Field(default_factory=CropSpec)
    transforms: dict[str, AnyTransform] = Field(
        cast(dict[str, TransformConfig], TRANSFORMS),
        description="Changes of the images beyond the view, by names of your choice, in this order (geometric ones "
        "first). Those named are added to the four that are always there; p: 0 turns one off. Without 'type' the "
        "name is that of a transform.",
    )

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: object) -> object:
        """``transforms: {elastic: {p: 0.3}}`` needs no type, and keeps the other transforms."""
        if not isinstance(value, dict) or not isinstance(value.get("transforms"), dict):
            return value
        merged = merge(TRANSFORMS, value["transforms"])
        typed = {
            name: {"type": name, **one} if isinstance(one, dict) and "type" not in one else one
            for name, one in merged.items()
        }
        return {**value, "transforms": typed}

    @model_validator(mode="after")
    def _range(self) -> AugmentationSpec:
        if self.scale != "auto" and not 0 < self.scale[0] <= self.scale[1]:
            raise PydanticCustomError(
                "scale", "scale must be [smallest, largest] with 0 < smallest <= largest"
            )
        return self

    def decided(self) -> DecidedAugmentationSpec:
        """The same, with views and the size of training windows decided.

        Raises:
            ConfigError: one is not decided yet.
        """
        if self.crop.size == "auto":
            raise make_auto_error("augmentation.crop.size")
        for key in ("rotation", "scale", "flip"):
            if getattr(self, key) == "auto":
                raise make_auto_error(f"augmentation.{key}")
        # Through plain values, since the fields have other classes there.
        return DecidedAugmentationSpec.model_validate(self.model_dump())


class DecidedAugmentationSpec(AugmentationSpec):
    """The same with values that are decided; by default those for animals that move freely under a camera."""

    rotation: Degrees = 180.0
    scale: tuple[float, float] = (0.8, 1.25)
    flip: Probability = 0.5
    crop: DecidedCropSpec = Field(default_factory=DecidedCropSpec)


class KeepSpec(Spec):
    """Snapshots: weights of single epochs, kept beside the best ones."""

    every: PositiveInt | None = Field(
        None,
        description="Epochs between snapshots, each at the first validation that is due then, and at the last; null: "
        "none.",
    )
    most: PositiveInt | None = Field(None, description="Snapshots that are kept, the newest; null: all.")


class PicturesSpec(Spec):
    """Pictures of what the network sees, learns and puts out, drawn while it is trained."""

    every: PositiveInt | None = Field(
        None, description="Validations between pictures in the folder pictures of the run; null: none."
    )
    images: int = Field(4, ge=1, le=50, description="Images in a picture.")


class ReplaySpec(Spec):
    """Memory replay: keypoints that the weights know and the project does not label are learned from the
    predictions of the run that the weights are of, so that they stay alive."""

    threshold: Probability = Field(0.5, description="Predictions with a lower score are not learned.")
    keypoints: tuple[str, ...] | Literal["auto"] = Field(
        "auto", description="Names of these keypoints, as the weights call them; auto: all."
    )


SCHEDULE: Content = {"type": "core/cosine"}
"""The schedule of a training that says none."""


class TrainSpec(Spec):
    """Settings of the training."""

    epochs: PositiveInt | Literal["auto"] = Field(
        "auto", description="Passes over the training images; auto: about 6000 steps, and at least 10 passes."
    )
    max_time: Seconds | None = Field(
        None, description="Stop after this time (90s, 10m, 2h); the schedule fits into it."
    )
    batch_size: PositiveInt | Literal["auto"] = Field(
        "auto",
        description="Images a batch, on each device; auto: 8, above 3000 training images 16, above 10000 32, "
        "divided by accumulate.",
    )
    accumulate: PositiveInt = Field(
        1,
        description="Batches whose gradients make one step, for larger steps than the memory holds; batch "
        "norm sees each batch by itself.",
    )
    # Not None: a run must be repeatable even by a user who does not think of it.
    seed: int = Field(0, ge=0, description="Of initial weights, split, order and augmentation.")
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec)
    schedule: AnySchedule = Field(
        cast(ScheduleConfig, SCHEDULE),
        description="Learning rate over the course of training (of the epochs, or of max_time where that ends "
        "earlier).",
    )
    gradient_clip: float | None = Field(
        1.0, gt=0, description="Largest norm of the gradient; null: no limit."
    )
    ema: float | None = Field(
        0.998,
        gt=0,
        lt=1,
        description="Decay of the moving average of weights that is evaluated and kept; null: none.",
    )
    select: Literal["error", "ap"] = Field(
        "error",
        description="Validation metric that selects the weights that are kept, and that early stopping and the "
        "schedule plateau follow: error, the mean distance of keypoints (of a detector 1 - IoU of boxes), lower is "
        "better; ap, average precision by OKS (of a detector that of boxes), higher is better.",
    )
    early_stopping: int | None = Field(
        None, ge=1, description="Stop after this many validations without improvement; null: never."
    )
    validate_every: PositiveInt | Literal["auto"] = Field(
        "auto", description="Epochs between validations (and checkpoints); auto: about 100 steps."
    )
    # Texts and not numbers: these are Lightning's names, passed on as they are.
    precision: Literal["32", "16-mixed", "bf16-mixed"] = Field(
        "32", description="Arithmetic of the forward pass."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    devices: int = Field(
        1,
        ge=1,
        description="Number of devices (processes on the CPU) of each machine, which share the images of a step; "
        "above 1 trains with DDP.",
    )
    nodes: int = Field(
        1, ge=1, description="Number of machines; the command is started on each, by srun or torchrun."
    )
    workers: NonNegativeInt | Literal["auto"] = Field(
        "auto", description="Processes that load images; auto: none on the CPU."
    )
    cache: float = Field(2.0, ge=0, description="Decoded images kept in memory, GiB a process.")
    loggers: tuple[AnyLogger, ...] = Field(
        (),
        description="Where the training is watched, beside history.csv, which is always written: names of "
        "loggers, or mappings with their settings.",
    )
    pictures: PicturesSpec = Field(default_factory=PicturesSpec)
    keep: KeepSpec = Field(default_factory=KeepSpec)
    weights: str | None = Field(
        None,
        description="Weights to start from: a name ('pose weights' lists them), a file or a run folder; "
        "null: what the "
        "model's parts ask for by themselves; none: random weights throughout.",
    )
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="What keypoints of the project are called in the weights, where the names differ: own "
        "name -> name "
        "there. A conversion table that the project's reader finds is used, too.",
    )
    replay: ReplaySpec | None = Field(
        None,
        description="Memory replay: keep the keypoints that only the weights know; null: the network has those of "
        "the project alone.",
    )
    freeze: dict[str, PositiveInt | Literal[True]] = Field(
        default_factory=dict,
        description="Parts that are not trained, by the beginning of their names: {backbone: 10} for the "
        "first 10 epochs, {backbone: true} for good. Their batch norms keep their statistics meanwhile.",
    )
    freeze_norms: bool = Field(
        False,
        description="Batch norms of the whole network keep the statistics that they start with, and compute as in "
        "prediction; for few images, or images that differ little.",
    )

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: object) -> object:
        """``schedule: {warmup: 0.1}`` need not repeat the type."""
        if not isinstance(value, dict) or not isinstance(value.get("schedule"), dict):
            return value
        return {**value, "schedule": merge(SCHEDULE, value["schedule"])}

    def decided(self) -> DecidedTrainSpec:
        """The same, with steps and learning rate decided.

        Raises:
            ConfigError: it is not decided yet.
        """
        # Devices and workers may stay auto: they depend on the machine, not on the data, and a run may go
        # on on another.
        for key in ("epochs", "batch_size", "validate_every"):
            if getattr(self, key) == "auto":
                raise make_auto_error(f"train.{key}")
        if self.optimizer.lr == "auto":
            raise make_auto_error("train.optimizer.lr")
        return DecidedTrainSpec.model_validate(self.model_dump())


class DecidedTrainSpec(TrainSpec):
    """The same with steps that are decided."""

    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: DecidedOptimizerSpec
    validate_every: PositiveInt

    def count_steps(self, samples: int) -> int:
        """Count the steps of an epoch; the last one may see fewer batches."""
        return count_steps(samples, self.batch_size, self.accumulate)
