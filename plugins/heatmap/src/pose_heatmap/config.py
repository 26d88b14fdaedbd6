"""What a user can write about heatmap heads, their codecs and losses. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, PositiveInt, field_validator

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    DeconvolutionHeadConfig,
    Feature,
    HeadConfig,
    HeatmapPredictorConfig,
    LossConfig,
    PredictorConfig,
    TargetGeneratorConfig,
    prefix_errors,
)

HEATMAP = "heatmap"
LOCREF = "locref"
IDENTITY = "identity"


class _MapLossConfig(LossConfig):
    """Base of the losses that are summed over the cells of a map."""

    foreground: float = Field(
        1.0,
        ge=1,
        description="How many times more the centre of a blob counts than the background. Above 1, blobs are "
        "learned "
        "sooner, and false ones cost less.",
    )


class MseConfig(_MapLossConfig):
    """Squared error of heatmaps, summed over each map."""


class BceConfig(_MapLossConfig):
    """Binary cross-entropy of heatmaps that are logits, summed over each map."""

    def compares_logits(self) -> bool:
        return True


class HuberConfig(LossConfig):
    """Weighted Huber loss: squared error up to delta, linear beyond."""

    delta: float = Field(
        1.0, gt=0, description="Where it becomes linear, in units of the output (locref: pixels)."
    )


class SmoothL1Config(LossConfig):
    """Weighted smooth L1 loss: absolute error, rounded off below beta."""

    beta: float = Field(
        1.0, gt=0, description="Where it becomes linear, in units of the output (locref: pixels)."
    )


class HeatmapTargetConfig(TargetGeneratorConfig):
    """Base of the generators of heatmaps and location refinement."""

    locref_radius: float | None = Field(
        None,
        gt=0,
        description="Location refinement is learned within this distance of a keypoint, pixels of the "
        "network's input; "
        "null: 1.5 sigma, or the plateau, which is also the minimum.",
    )
    missing: Literal["unknown", "absent"] = Field(
        "unknown",
        description="What an unlabelled keypoint of an animal teaches. unknown: nothing, it may be anywhere near "
        "the animal; absent: that it is nowhere, an empty map (for labels that leave out what cannot be seen).",
    )

    def teaches_absent(self) -> bool:
        return self.missing == "absent"

    def check_stride(self, stride: float) -> None:
        """Refuse blobs that fall between cells of this size."""
        name, size, least, radius = self._extent(stride)
        if size < least:
            raise ValueError(
                f"{name}: {size:g} is too small for cells of {stride:g} pixels; at least {least:.3g}, or "
                "leave it out"
            )
        if self.locref_radius is not None and self.locref_radius < radius * 0.999:
            raise ValueError(
                f"locref_radius: {self.locref_radius:g} leaves out a part of the blobs; "
                f"at least {radius:.3g}, or leave it out"
            )

    def _extent(self, stride: float) -> tuple[str, float, float, float]:
        """Name and value of the field that says how large blobs are, its minimum, and the minimum of
        ``locref_radius``, all in pixels."""
        raise NotImplementedError


class GaussianConfig(HeatmapTargetConfig):
    """Gaussian blobs."""

    sigma: float | None = Field(
        None,
        gt=0,
        description="Standard deviation in pixels of the network's input; null: 1.5 cells, at least 4 pixels.",
    )

    def decided_sigma(self, stride: float) -> float:
        """Sigma in pixels for cells of this size."""
        return self.sigma or max(1.5 * stride, 4.0)

    def _extent(self, stride: float) -> tuple[str, float, float, float]:
        # Narrower, and at the edge of the map too few cells see the blob to tell where its centre is.
        sigma = self.decided_sigma(stride)
        return "sigma", sigma, 2 / 3 * stride, 1.5 * sigma


class PlateauConfig(HeatmapTargetConfig):
    """Discs of ones."""

    radius: float | None = Field(
        None, gt=0, description="In pixels of the network's input; null: 2 cells, at least 8 pixels."
    )

    def decided_radius(self, stride: float) -> float:
        """Radius in pixels for cells of this size."""
        # A radius of 0 is refused by the field, so "or" only replaces null.
        return self.radius or _disc(stride)

    def _extent(self, stride: float) -> tuple[str, float, float, float]:
        radius = self.decided_radius(stride)
        return "radius", radius, _LEAST_DISC * stride, radius


_LEAST_DISC = 0.75
"""Least radius in cells of a disc that always holds the centre of a cell."""


def _disc(stride: float) -> float:
    """Radius in pixels of the discs around keypoints, for cells of this size."""
    return max(2.0 * stride, 8.0)


class ArgmaxConfig(HeatmapPredictorConfig):
    """The highest cell, moved by location refinement where the head has it."""


class _RefinedConfig(HeatmapPredictorConfig):
    """Base of the predictors that look between cells."""

    window: Literal[3, 5, 7] = Field(5, description="Cells a side of the neighbourhood that is fitted.")
    fit: Literal["gaussian", "integral"] = Field(
        "gaussian",
        description="gaussian: the centre of a Gaussian fitted to the neighbourhood; integral: the mean position "
        "of its cells, weighted with their values, as SLEAP decodes.",
    )
    locref: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Where the head has location refinement: its share of the position, the rest is the "
        "fit's.",
    )


class SubpixelConfig(_RefinedConfig):
    """The highest cell, refined by a Gaussian fitted to the cells around it."""


class PeaksConfig(_RefinedConfig):
    """All peaks of each map, as candidates: each is an animal with one keypoint, for a later head to group."""

    nms: Literal[3, 5, 7, 9, 11] = Field(
        5, description="Cells a side of the square in which a peak must be the highest cell."
    )
    threshold: float = Field(0.1, ge=0, lt=1, description="Lower peaks are no candidates.")
    candidates: PositiveInt | None = Field(
        None,
        description="Peaks of each map, the highest ones; null: three times the project's individuals, at least "
        "20.",
    )

    def predicts_several(self) -> bool:
        return True

    def decided_candidates(self, individuals: int) -> int:
        """Peaks of each map, in a project of so many individuals."""
        return self.candidates or max(20, 3 * individuals)


_DEFAULT_LOSSES: dict[str, Mapping[str, str | float]] = {
    HEATMAP: {"type": "heatmap/mse"},
    LOCREF: {"type": "heatmap/smooth_l1", "weight": 0.02},
}


class HeatmapHeadConfig(DeconvolutionHeadConfig):
    """A heatmap for each keypoint and, with location refinement, the way from each cell to the keypoint."""

    heatmap_output: ClassVar[str | None] = HEATMAP

    keypoints: Literal["animal", "unique"] = Field(
        "animal", description="Keypoints of the animal, or the skeleton's unique keypoints (once a frame)."
    )
    location_refinement: bool = Field(True, description="Predict offsets from cells to keypoints too.")
    locref_std: float = Field(
        7.2801, gt=0, description="Pixels a unit of the location refinement layer (DeepLabCut's value)."
    )
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "heatmap/gaussian"}), description="Labels -> heatmaps and location refinement."
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "heatmap/subpixel"}), description="Heatmaps and location refinement -> keypoints."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, _DEFAULT_LOSSES),
        description="By output (heatmap, locref); what is written is merged with the default.",
    )

    @classmethod
    def output_names(cls, settings: Mapping[str, object]) -> tuple[str, ...]:
        return (HEATMAP, LOCREF) if settings.get("location_refinement", True) else (HEATMAP,)

    def predicts_unique(self) -> bool:
        return self.keypoints == "unique"

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        super().check(features, input_size)
        if self.predicts_unique() and self.predictor.predicts_several():
            raise ValueError(
                f"predictor: {self.predictor.type} finds several of each keypoint, and unique keypoints exist once "
                "a frame; leave it out"
            )


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
        return self.radius or _disc(stride)

    def check_stride(self, stride: float) -> None:
        """Refuse discs that fall between cells of this size."""
        if self.decided_radius(stride) < _LEAST_DISC * stride:
            raise ValueError(
                f"radius: {self.radius:g} is too small for cells of {stride:g} pixels; "
                f"at least {_LEAST_DISC * stride:.3g}, or leave it out"
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


class CrossEntropyConfig(LossConfig):
    """Cross-entropy over individuals, in places that belong to one of them."""

    def compares_logits(self) -> bool:
        return True


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
        if isinstance(loss, _MapLossConfig):
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
