"""Bases for the configs of heads that make maps, and of predictors that read heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, PositiveInt

from pose_core.specs.components import HeadConfig, PredictorConfig
from pose_core.specs.features import Feature, choose_feature
from pose_core.specs.fields import FeatureIndex, GridOffset


class FeatureMapHeadConfig(HeadConfig):
    """Base of the configs of heads that use one feature map."""

    feature: FeatureIndex = None
    grid_offset: GridOffset = None

    def chosen_feature(self, features: Sequence[Feature]) -> int:
        """Index of the feature map that is used.

        Raises:
            ValueError: it does not exist or is no map; names the field ``feature``.
        """
        return choose_feature(features, self.feature)


class DeconvolutionHeadConfig(FeatureMapHeadConfig):
    """Base of the configs of heads that make maps by transposed convolutions of stride 2."""

    deconv_layers: int | None = Field(
        None,
        ge=0,
        le=5,
        description="Transposed convolutions that each halve the stride; null: one for features of a stride "
        "above 4.",
    )
    deconv_channels: PositiveInt = Field(256, description="Channels between several transposed convolutions.")
    deconv_kernel: int = Field(3, ge=2, le=8, description="Kernel size of the transposed convolutions.")
    deconv_padding: Literal["same", "valid"] = Field(
        "same", description="same: n cells become 2n; valid: no padding, 2n + 1 with the default kernel."
    )

    def layers_on(self, feature: Feature) -> int:
        """Count the transposed convolutions on this feature map."""
        if self.deconv_layers is not None:
            return self.deconv_layers
        return 1 if feature.stride > 4 else 0

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        feature = features[self.chosen_feature(features)]
        layers = self.layers_on(feature)
        stride = feature.stride / 2**layers
        if stride < 1:
            raise ValueError(
                f"deconv_layers: {layers} on a feature map of stride {feature.stride} give more cells than "
                "pixels; "
                # The largest power of 2 that is not above the stride.
                f"at most {feature.stride.bit_length() - 1}"
            )
        self.check_stride(stride)


class HeatmapPredictorConfig(PredictorConfig):
    """Base of the configs of predictors that read heatmaps."""

    sigmoid: bool | None = Field(
        None,
        description="Whether heatmaps are logits; null: when their loss compares logits (cross-entropy).",
    )

    def decided(self, *, logits: bool) -> PredictorConfig:
        """With ``sigmoid`` as the loss of the heatmaps needs it, where it is null."""
        return self if self.sigmoid is not None else self.model_copy(update={"sigmoid": logits})
