"""What a user can write about heatmap heads, their codecs and losses. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    DeconvolutionHeadConfig,
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


class SubpixelConfig(HeatmapPredictorConfig):
    """The highest cell, refined by a Gaussian fitted to the cells around it."""

    window: Literal[3, 5, 7] = Field(5, description="Cells a side of the neighbourhood that is fitted.")
    locref: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Where the head has location refinement: its share of the position, the rest is the "
        "fit's.",
    )


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


class AssignIdentityConfig(PredictorConfig):
    """The names of the animals of a frame, all at once: no individual twice."""

    sigmoid: bool | None = Field(
        None,
        description="Whether each map is a probability by itself (logistic function) instead of one over all "
        "individuals (softmax); null: false when their loss is heatmap/cross_entropy.",
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="An animal stays without a name when the best one left for it is less probable; null: "
        "half of what "
        "a guess would be right (0.125 with four individuals).",
    )


class CrossEntropyConfig(LossConfig):
    """Cross-entropy over individuals, in places that belong to one of them."""

    def compares_logits(self) -> bool:
        return True


class IdentityHeadConfig(DeconvolutionHeadConfig):
    """A map for each individual: does this place belong to it?"""

    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "heatmap/identity"}),
        description="Labels -> the individual that each place belongs to.",
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "heatmap/assign_identity"}), description="Maps at the keypoints found -> names."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, {IDENTITY: {"type": "heatmap/cross_entropy"}}),
        description="By output; there is one, identity.",
    )

    def predicts_identity(self) -> bool:
        return True

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

    def exclusive(self) -> bool:
        """Whether the maps of a place compete with each other (softmax), as its owner is one individual."""
        return isinstance(self.losses[IDENTITY], CrossEntropyConfig)

    def decided_target_generator(self) -> TargetGeneratorConfig:
        """The target generator with ``background`` decided from the loss."""
        generator: TargetGeneratorConfig = self.target_generator
        if isinstance(generator, IdentityConfig) and generator.background is None:
            return generator.model_copy(update={"background": not self.exclusive()})
        return generator

    def decided_predictor(self) -> PredictorConfig:
        """The predictor with ``sigmoid`` decided from the loss."""
        predictor: PredictorConfig = self.predictor
        if isinstance(predictor, AssignIdentityConfig) and predictor.sigmoid is None:
            return predictor.model_copy(update={"sigmoid": not self.exclusive()})
        return predictor
