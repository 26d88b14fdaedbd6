"""What a user can write about heads of individuals and their codecs. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, PositiveInt, field_validator

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    DeconvolutionHeadConfig,
    Feature,
    HeadConfig,
    LossConfig,
    PredictorConfig,
    TargetGeneratorConfig,
    prefix_errors,
)
from pose_heatmap.config import LEAST_DISC, CrossEntropyConfig, MapLossConfig, default_disc

IDENTITY = "identity"


class IdentityConfig(TargetGeneratorConfig):
    """Which individual a place belongs to: discs around all keypoints of the animals."""

    radius: float | None = Field(
        None, gt=0, description="Of a disc, pixels of the network's input; null: 2 cells, at least 8 pixels."
    )
    background: bool | None = Field(
        None,
        description="Teach the background, 0 in every map; null: false with the loss "
        "heatmap/cross_entropy, which compares individuals only, true with others.",
    )

    def decided_radius(self, stride: float) -> float:
        """Radius in pixels for cells of this size."""
        return self.radius or default_disc(stride)

    def check_stride(self, stride: float) -> None:
        """Refuse discs that fall between cells of this size."""
        if self.decided_radius(stride) < LEAST_DISC * stride:
            raise ValueError(
                f"radius: {self.radius:g} is too small for cells of {stride:g} pixels; "
                f"at least {LEAST_DISC * stride:.3g}, or leave it out"
            )


class _IdentityPredictorConfig(PredictorConfig):
    """Base of the predictors that read logits of individuals."""

    sigmoid: bool | None = Field(
        None,
        description="Whether each individual is a probability by itself (logistic function) instead of one over "
        "all individuals (softmax); null: false when their loss is heatmap/cross_entropy.",
    )


class IdentityAtKeypointsConfig(_IdentityPredictorConfig):
    """Who each animal is that the heads before it found: what the maps say at its keypoints."""


class GroupByIdentityConfig(_IdentityPredictorConfig):
    """Candidates of the heads before it, grouped to animals: those that belong to one individual."""

    by_score: bool = Field(
        True,
        description="Weight probabilities with the scores of the candidates, so that a doubtful one takes no "
        "place of a certain one; false: probabilities alone, as in SLEAP.",
    )

    def predicts_several(self) -> bool:
        return True

    def groups_candidates(self) -> bool:
        return True


class IdentityOfCropConfig(_IdentityPredictorConfig):
    """Who the animal of a crop is."""


class _IdentityHead(HeadConfig):
    """What heads of individuals have in common."""

    def predicts_identity(self) -> bool:
        return True

    def exclusive(self) -> bool:
        """Whether individuals compete with each other (softmax), as an animal is one of them."""
        return isinstance(self.losses[IDENTITY], CrossEntropyConfig)

    def decided_predictor(self) -> PredictorConfig:
        """The predictor with ``sigmoid`` decided from the loss."""
        predictor: PredictorConfig = self.predictor
        if isinstance(predictor, _IdentityPredictorConfig) and predictor.sigmoid is None:
            return predictor.model_copy(update={"sigmoid": not self.exclusive()})
        return predictor


class IdentityHeadConfig(_IdentityHead, DeconvolutionHeadConfig):
    """A map for each individual: does this place belong to it?"""

    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "heatmap/identity"}),
        description="Labels -> the individual that each place belongs to.",
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "heatmap/identity_at_keypoints"}),
        description="Maps -> who the animals found are; heatmap/group_by_identity groups candidates.",
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, {IDENTITY: {"type": "heatmap/cross_entropy"}}),
        description="By output; there is one, identity.",
    )

    def check_stride(self, stride: float) -> None:
        generator = self.decided_target_generator()
        with prefix_errors("target_generator"):
            if isinstance(generator, IdentityConfig) and generator.background and self.exclusive():
                raise ValueError(
                    "background: heatmap/cross_entropy compares individuals only, no background; leave it "
                    "out, or take "
                    "the loss heatmap/bce"
                )
            generator.check_stride(stride)

    def decided_target_generator(self) -> TargetGeneratorConfig:
        """The target generator with ``background`` decided from the loss."""
        generator: TargetGeneratorConfig = self.target_generator
        if isinstance(generator, IdentityConfig) and generator.background is None:
            return generator.model_copy(update={"background": not self.exclusive()})
        return generator


class IdentityVectorTargetConfig(TargetGeneratorConfig):
    """Which individual the animal of a crop is."""


class IdentityVectorHeadConfig(_IdentityHead):
    """A number for each individual: is the animal of this crop that one?"""

    needs_view: ClassVar[str | None] = "animal"

    feature: int | None = Field(
        None, ge=0, description="Feature map that is pooled, from 0 (the finest); null: the coarsest."
    )
    pool: Literal["max", "mean"] = Field("max", description="What is taken of each channel over the crop.")
    layers: int = Field(1, ge=0, le=8, description="Hidden layers, with ReLU.")
    units: PositiveInt = Field(64, description="Units of a hidden layer.")
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "heatmap/identity_vector"}), description="Labels -> the individual of the crop."
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "heatmap/identity_of_crop"}), description="Logits -> who the animal found is."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, {IDENTITY: {"type": "heatmap/cross_entropy", "weight": 0.1}}),
        description="By output; there is one, identity.",
    )

    @field_validator("losses")
    @classmethod
    def _logits_have_a_loss_for_logits(cls, losses: dict[str, LossConfig]) -> dict[str, LossConfig]:
        loss = losses[IDENTITY]
        if isinstance(loss, MapLossConfig):
            raise ValueError(f"identity: {loss.type} is for maps; heatmap/cross_entropy does for individuals")
        if not loss.compares_logits():
            raise ValueError(f"identity: {loss.type} does not compare logits; heatmap/cross_entropy does")
        return losses

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        self.chosen_feature(features)

    def chosen_feature(self, features: Sequence[Feature]) -> int:
        """Index of the feature map that is pooled.

        Raises:
            ValueError: it does not exist; names the field ``feature``.
        """
        if self.feature is None:
            return max(range(len(features)), key=lambda i: (features[i].stride, i))
        if self.feature >= len(features):
            raise ValueError(
                f"feature: there is no feature map {self.feature}; there are {len(features)}, from 0"
            )
        return self.feature
