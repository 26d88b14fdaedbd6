"""What a user can write about the head, its codec and its losses. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    Feature,
    HeadConfig,
    LossConfig,
    PredictorConfig,
    TargetGeneratorConfig,
    choose_feature,
)
from pydantic import Field, field_validator

POSITION = "position"
CONFIDENCE = "confidence"

_INTEGRAL = {"type": "{{ cookiecutter.namespace }}/integral"}
_LOSSES: dict[str, dict[str, Any]] = {
    POSITION: {"type": "{{ cookiecutter.namespace }}/integral_huber"},
    CONFIDENCE: {"type": "{{ cookiecutter.namespace }}/integral_huber"},
}


class HuberConfig(LossConfig):
    """Squared error up to delta, linear beyond (Huber 1964)."""

    delta: float = Field(1.0, gt=0, description="Where it becomes linear, in units of the output.")


class IntegralTargetConfig(TargetGeneratorConfig):
    """The positions of the labelled keypoints; it has no settings."""


class IntegralPredictorConfig(PredictorConfig):
    """Reads positions and confidences; it has no settings."""


class IntegralHeadConfig(HeadConfig):
    """A position and a confidence for each keypoint (Sun et al. 2018)."""

    feature: int | None = Field(
        None, description="Which of the incoming feature maps (from 0); the finest where it is left out."
    )
    target_generator: AnyTargetGenerator = Field(cast(Any, _INTEGRAL), description="Labels -> positions.")
    predictor: AnyPredictor = Field(cast(Any, _INTEGRAL), description="Positions -> an animal.")
    losses: dict[str, AnyLoss] = Field(
        cast(Any, _LOSSES),
        description="By output (position in cells, confidence); what is written is merged with the default.",
    )

    @field_validator("losses")
    @classmethod
    def _known_outputs(cls, losses: dict[str, LossConfig]) -> dict[str, LossConfig]:
        if unknown := sorted(set(losses) - {POSITION, CONFIDENCE}):
            raise ValueError(f"the head has no output {', '.join(unknown)}; it has {POSITION} and {CONFIDENCE}")
        return losses

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse a choice of feature map that does not exist, before anything is built."""
        choose_feature(features, self.feature)
