"""What a user can write about heatmap heads, their codecs and losses. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, PositiveInt

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    DeconvolutionHeadConfig,
    Feature,
    HeatmapPredictorConfig,
    LossConfig,
    TargetGeneratorConfig,
)

HEATMAP = "heatmap"
LOCREF = "locref"


class MapLossConfig(LossConfig):
    """Base of the losses that are summed over the cells of a map."""

    foreground: float = Field(
        1.0,
        ge=1,
        description="How many times more the centre of a blob counts than the background. Above 1, blobs are "
        "learned "
        "sooner, and false ones cost less.",
    )


class MseConfig(MapLossConfig):
    """Squared error of heatmaps, summed over each map."""


class BceConfig(MapLossConfig):
    """Binary cross-entropy of heatmaps that are logits, summed over each map."""

    def compares_logits(self) -> bool:
        return True


class OhkmConfig(MapLossConfig):
    """Online hard keypoint mining: the maps of an image with the largest losses count alone."""

    hardest: PositiveInt = Field(
        8, description="How many keypoints of each image count, those with the largest losses."
    )
    loss: Literal["mse", "bce"] = Field(
        "mse", description="What is mined; bce is for heatmaps that are logits."
    )

    def compares_logits(self) -> bool:
        return self.loss == "bce"


class CrossEntropyConfig(LossConfig):
    """Cross-entropy over individuals, in places that belong to one of them."""

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
        return self.radius or default_disc(stride)

    def _extent(self, stride: float) -> tuple[str, float, float, float]:
        radius = self.decided_radius(stride)
        return "radius", radius, LEAST_DISC * stride, radius


LEAST_DISC = 0.75
"""Least radius in cells of a disc that always holds the centre of a cell."""


def default_disc(stride: float) -> float:
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
