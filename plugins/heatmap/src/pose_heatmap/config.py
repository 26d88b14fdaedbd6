"""What a user can write about heatmap heads, their codecs and losses. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from pydantic import Field, ValidationInfo, field_validator

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

HEATMAP = "heatmap"
LOCREF = "locref"


class _MapLossConfig(LossConfig):
    """Base of the losses that are summed over the cells of a map."""

    foreground: float = Field(
        1.0,
        ge=1,
        description="How many times more the centre of a blob counts than the background. Above 1, blobs are learned "
        "sooner, and false ones cost less.",
    )


class MseConfig(_MapLossConfig):
    """Squared error of heatmaps, summed over each map."""


class BceConfig(_MapLossConfig):
    """Binary cross-entropy of heatmaps that are logits, summed over each map."""


class HuberConfig(LossConfig):
    """Weighted Huber loss: squared error up to delta, linear beyond."""

    delta: float = Field(1.0, gt=0, description="Where it becomes linear, in units of the output (locref: pixels).")


class SmoothL1Config(LossConfig):
    """Weighted smooth L1 loss: absolute error, rounded off below beta."""

    beta: float = Field(1.0, gt=0, description="Where it becomes linear, in units of the output (locref: pixels).")


class HeatmapTargetConfig(TargetGeneratorConfig):
    """Base of the generators of heatmaps and location refinement."""

    locref_radius: float | None = Field(
        None,
        gt=0,
        description="Location refinement is learned within this distance of a keypoint, pixels of the network's input; "
        "null: 1.5 sigma, or the plateau, which is also the least.",
    )

    def check_stride(self, stride: float) -> None:
        """Refuse blobs that fall between cells of this size (pixels).

        Raises:
            ValueError: one line that names the field to change.
        """
        name, size, least, radius = self._extent(stride)
        if size < least:
            raise ValueError(
                f"target_generator.{name}: {size:g} is too small for cells of {stride:g} pixels; "
                f"at least {least:.3g}, or leave it out"
            )
        if self.locref_radius is not None and self.locref_radius < radius * 0.999:
            raise ValueError(
                f"target_generator.locref_radius: {self.locref_radius:g} leaves out a part of the blobs; "
                f"at least {radius:.3g}, or leave it out"
            )

    def _extent(self, stride: float) -> tuple[str, float, float, float]:
        """Name and value of the field that says how large blobs are, the least it may be, and the least
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
        return self.radius or max(2.0 * stride, 8.0)

    def _extent(self, stride: float) -> tuple[str, float, float, float]:
        radius = self.decided_radius(stride)
        return "radius", radius, 0.75 * stride, radius


class HeatmapPredictorConfig(PredictorConfig):
    """Base of the predictors that read one animal from heatmaps."""

    sigmoid: bool | None = Field(
        None, description="Whether heatmaps are logits; null: true when their loss is heatmap/bce."
    )


class ArgmaxConfig(HeatmapPredictorConfig):
    """The highest cell, moved by location refinement where the head has it."""


class SubpixelConfig(HeatmapPredictorConfig):
    """The highest cell, refined by a Gaussian fitted to the cells around it."""

    window: Literal[3, 5, 7] = Field(5, description="Cells a side of the neighbourhood that is fitted.")
    locref: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Where the head has location refinement: its share of the position, the rest is the fit's.",
    )


_DEFAULT_LOSSES: dict[str, dict[str, Any]] = {
    HEATMAP: {"type": "heatmap/mse"},
    LOCREF: {"type": "heatmap/smooth_l1", "weight": 0.02},
}


class HeatmapHeadConfig(HeadConfig):
    """A heatmap for each keypoint and, with location refinement, the way from each cell to the keypoint."""

    feature: int | None = Field(
        None, description="Which of the incoming feature maps (from 0); may be left out when there is only one."
    )
    keypoints: Literal["animal", "unique"] = Field(
        "animal", description="Keypoints of the animal, or the skeleton's unique keypoints (once a frame)."
    )
    deconv_layers: int | None = Field(
        None,
        ge=0,
        le=5,
        description="Transposed convolutions that each halve the stride; null: one for features of a stride above 4.",
    )
    deconv_channels: int = Field(256, ge=1, description="Channels between several transposed convolutions.")
    deconv_kernel: int = Field(3, ge=2, le=8, description="Kernel size of the transposed convolutions.")
    deconv_padding: Literal["same", "valid"] = Field(
        "same", description="same: n cells become 2n; valid: no padding, 2n + 1 with the default kernel."
    )
    location_refinement: bool = Field(True, description="Predict offsets from cells to keypoints too.")
    locref_std: float = Field(
        7.2801, gt=0, description="Pixels a unit of the location refinement layer (DeepLabCut's value)."
    )
    grid_offset: float | None = Field(
        None,
        description="Centre of cell 0 in pixels of the network's input; null: where the layers put it. For imported "
        "weights that were trained in another frame.",
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

    @field_validator("losses", mode="before")
    @classmethod
    def _every_output_has_a_loss(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict):
            return given
        outputs = (HEATMAP, LOCREF) if info.data.get("location_refinement", True) else (HEATMAP,)
        # Without location refinement its default loss, which the merge brought in, has nothing to compare.
        unknown = sorted(str(n) for n in given if n not in outputs and given[n] != _DEFAULT_LOSSES.get(n))
        if unknown:
            raise ValueError(f"the head has no output {', '.join(unknown)}; its outputs are {', '.join(outputs)}")
        return {name: given.get(name, _DEFAULT_LOSSES[name]) for name in outputs}

    def predicts_unique(self) -> bool:
        return self.keypoints == "unique"

    def chosen_feature(self, features: Sequence[Feature]) -> int:
        """Index of the feature map that is used.

        Raises:
            ValueError: the choice is ambiguous, does not exist or is no map; names the field ``feature``.
        """
        return choose_feature(features, self.feature)

    def layers_on(self, feature: Feature) -> int:
        """How many transposed convolutions there are on this feature map."""
        if self.deconv_layers is not None:
            return self.deconv_layers
        return 1 if feature.stride > 4 else 0

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        feature = features[self.chosen_feature(features)]
        layers = self.layers_on(feature)
        stride = feature.stride / 2**layers
        if stride < 1:
            raise ValueError(
                f"deconv_layers: {layers} on a feature map of stride {feature.stride} give more cells than pixels; "
                f"at most {feature.stride.bit_length() - 1}"
            )
        if isinstance(self.target_generator, HeatmapTargetConfig):
            self.target_generator.check_stride(stride)

    def decided_predictor(self) -> PredictorConfig:
        """The predictor with ``sigmoid`` decided from the loss of the heatmaps."""
        predictor: PredictorConfig = self.predictor
        if isinstance(predictor, HeatmapPredictorConfig) and predictor.sigmoid is None:
            return predictor.model_copy(update={"sigmoid": self.heatmaps_are_logits()})
        return predictor

    def heatmaps_are_logits(self) -> bool:
        """Whether the loss of the heatmaps works on logits."""
        return isinstance(self.losses[HEATMAP], BceConfig)
