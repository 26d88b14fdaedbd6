"""What a user can write about SimCC heads, their codec and loss. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field, PositiveFloat, field_validator

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    Feature,
    FeatureMapHeadConfig,
    LossConfig,
    PredictorConfig,
    TargetGeneratorConfig,
)

AXES: tuple[Literal["x", "y"], ...] = ("x", "y")
"""Names of the outputs, in the order of the coordinates of a point."""

BETA = 10.0

Pair = tuple[PositiveFloat, PositiveFloat]


def default_sigma(size: float, split_ratio: float) -> float:
    """Standard deviation in bins that suits an axis of ``size`` pixels (RTMPose, Jiang et al. 2023).

    It grows with the square root of the size: with two bins a pixel 4.90 at 192, 5.66 at 256, 6 at 288, 6.93
    at 384.
    """
    return max(math.sqrt(size / 8) * split_ratio / 2, 2.0)


def by_axis(value: float | tuple[float, float]) -> dict[str, float]:
    """One number for both axes, or one for each, by the name of the axis."""
    return dict(zip(AXES, value if isinstance(value, tuple) else (value, value), strict=True))


class KlConfig(LossConfig):
    """Kullback-Leibler divergence between distributions over bins, in nats."""

    beta: float = Field(
        BETA,
        gt=0,
        description="Outputs and targets times this, softmaxed, are the distributions that are compared.",
    )


class SimccTargetConfig(TargetGeneratorConfig):
    """A Gaussian on each axis."""

    sigma: PositiveFloat | Pair | None = Field(
        None,
        description="Standard deviation in bins, one number or [x, y]; null: the square root of an eighth of "
        "the "
        "input's width or height (for two bins a pixel).",
    )
    rounded: bool = Field(
        False,
        description="Move keypoints to the nearest bin first, as DeepLabCut does; false: exact between bins.",
    )


class SimccPredictorConfig(PredictorConfig):
    """Reads one animal from two distributions a keypoint."""

    decode: Literal["fit", "argmax"] = Field(
        "fit",
        description="fit: the position, between bins too, with the target that fits best; argmax: the "
        "highest bin.",
    )
    score: Literal["mass", "peak"] = Field(
        "mass",
        description="mass: probability around the position, about 1 for what a perfect network puts out; "
        "peak: "
        "probability of the highest bin. The lower one of both axes counts.",
    )
    beta: PositiveFloat | Pair | None = Field(
        None,
        description="Outputs times this, softmaxed, are the distributions, one number or [x, y]; null: that "
        "of the "
        "losses.",
    )
    sigma: PositiveFloat | Pair | None = Field(
        None, description="Of the targets, in bins, one number or [x, y]; null: that of the target generator."
    )


_DEFAULT_LOSSES: dict[str, Mapping[str, str]] = {axis: {"type": "rtmpose/kl"} for axis in AXES}


class SimccHeadConfig(FeatureMapHeadConfig):
    """Each keypoint's x and y, classified over bins finer than pixels."""

    kernel: int = Field(
        7, ge=1, description="Kernel size, odd, of the convolution that makes one map a keypoint."
    )
    hidden: int = Field(256, ge=1, description="Length of the vector (token) that stands for a keypoint.")
    attention: int = Field(128, ge=1, description="Length of the queries and keys by which keypoints attend.")
    expansion: int = Field(2, ge=1, description="Width of the gated attention unit, in units of hidden.")
    split_ratio: int = Field(2, ge=1, le=16, description="Bins a pixel.")
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "rtmpose/simcc"}), description="Labels -> what x and y should be."
    )
    predictor: AnyPredictor = Field(cast(Any, {"type": "rtmpose/simcc"}), description="x and y -> keypoints.")
    losses: dict[str, AnyLoss] = Field(
        cast(Any, _DEFAULT_LOSSES),
        description="By output (x, y); what is written is merged with the default.",
    )

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"must be odd, so that maps keep their size; use {kernel - 1} or {kernel + 1}")
        return kernel

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        stride = features[self.chosen_feature(features)].stride
        if input_size is None:
            raise ValueError(
                "the head needs inputs of one size: set model.preprocess.size to [height, width], such as "
                "[256, 256]"
            )
        if any(size % stride for size in input_size):
            near = [max(stride, round(size / stride) * stride) for size in input_size]
            raise ValueError(
                f"model.preprocess.size: {list(input_size)} must be multiples of {stride}, the stride of the "
                "feature "
                f"map; {near} is near"
            )
        self._check_sigma(input_size)

    def _check_sigma(self, input_size: tuple[int, int]) -> None:
        """Refuse targets so narrow that they do not say where between two bins a keypoint is."""
        if not isinstance(self.target_generator, SimccTargetConfig):
            return
        given = self.target_generator.sigma
        sizes = zip(AXES, reversed(input_size), strict=True)
        sigmas = {axis: default_sigma(size, self.split_ratio) for axis, size in sizes}
        for axis, sigma in (sigmas if given is None else by_axis(given)).items():
            beta = self.betas()[axis]
            # Softmax with beta narrows a target by the root of it; below 0.6 bins one bin holds nearly all of
            # it.
            least = 0.6 * math.sqrt(beta)
            if sigma < least:
                raise ValueError(
                    f"target_generator.sigma: {sigma:.3g} bins is too narrow to tell positions between bins; "
                    "at least "
                    f"{least:.3g} with beta {beta:g}"
                )

    def betas(self) -> dict[str, float]:
        """By axis, what outputs are multiplied by before the softmax."""
        losses = {axis: self.losses[axis] for axis in AXES}
        return {axis: loss.beta if isinstance(loss, KlConfig) else BETA for axis, loss in losses.items()}

    def decided_predictor(self) -> PredictorConfig:
        """The predictor with ``beta`` and ``sigma`` taken over from losses and target generator."""
        predictor: PredictorConfig = self.predictor
        if not isinstance(predictor, SimccPredictorConfig):
            return predictor
        update: dict[str, object] = {}
        if predictor.beta is None:
            update["beta"] = tuple(self.betas().values())
        if predictor.sigma is None and isinstance(self.target_generator, SimccTargetConfig):
            update["sigma"] = self.target_generator.sigma
        return predictor.model_copy(update=update)
