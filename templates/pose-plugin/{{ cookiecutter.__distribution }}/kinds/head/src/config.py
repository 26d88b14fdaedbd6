"""What a user can write about the head, its codec and its losses. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

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
from pydantic import Field

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


class IntegralHeadConfig(FeatureMapHeadConfig):
    """A position and a confidence for each keypoint (Sun et al. 2018).

    The base brings the fields ``feature`` and ``grid_offset``, and refuses losses of outputs that have no default here.
    """

    target_generator: AnyTargetGenerator = Field(cast(Any, _INTEGRAL), description="Labels -> positions.")
    predictor: AnyPredictor = Field(cast(Any, _INTEGRAL), description="Positions -> an animal.")
    losses: dict[str, AnyLoss] = Field(
        cast(Any, _LOSSES),
        description="By output (position in cells, confidence); what is written is merged with the default.",
    )

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse a choice of feature map that does not exist, before anything is built."""
        self.check_stride(features[self.chosen_feature(features)].stride)
