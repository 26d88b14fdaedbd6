"""What a user can write about the transformer and its head. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    Feature,
    FeatureIndex,
    GridOffset,
    HeadConfig,
    NeckConfig,
    choose_feature,
)

HEATMAP = "heatmap"
_SIZE_FIELD = "model.preprocess.size"


class TransformerConfig(NeckConfig):
    """Keypoint tokens beside the patches of a feature map, in one transformer (TokenPose, Li et al. 2021)."""

    feature: FeatureIndex = None
    patch_size: tuple[PositiveInt, PositiveInt] = Field(
        (4, 4), description="(height, width) in cells of the feature map of what becomes one token."
    )
    dim: PositiveInt = Field(192, description="Length of a token; a multiple of 4 and of heads.")
    blocks: PositiveInt = Field(
        3, description="Groups of layers; the keypoint tokens after each of them are put out side by side."
    )
    depth: PositiveInt = Field(6, description="Layers a block.")
    heads: PositiveInt = Field(8, description="Attention heads a layer.")
    mlp_ratio: float = Field(
        3.0, gt=0, description="Hidden width of the feed-forward part, as a multiple of dim."
    )
    mlp_width: PositiveInt | None = Field(
        None,
        description="Hidden width itself, instead of mlp_ratio. DeepLabCut 3 has 3 where the paper has a "
        "ratio of 3.",
    )
    positions: Literal["every_layer", "first_layer", "later_blocks"] = Field(
        "every_layer",
        description="Where the position embedding is added. first_layer: once, before the first layer; "
        "every_layer: "
        "also before each layer but the first of every block; later_blocks: the same without the first block "
        "(DeepLabCut 3).",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="In the attention's output and the feed-forward part."
    )
    embedding_dropout: float = Field(0.0, ge=0, lt=1, description="Of the tokens before the first layer.")

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """The smallest."""
        return {"dim": 24, "blocks": 2, "depth": 1}

    @model_validator(mode="after")
    def _dim_divides(self) -> TransformerConfig:
        if self.dim % 4:
            raise PydanticCustomError(
                "dim",
                "dim: sine and cosine of x and y need a multiple of 4, not {dim}; {near} is near",
                {"dim": self.dim, "near": max(4, round(self.dim / 4) * 4)},
            )
        if self.dim % self.heads:
            raise PydanticCustomError(
                "heads",
                "heads: {heads} heads cannot share a dim of {dim}; choose a divisor of it",
                {"heads": self.heads, "dim": self.dim},
            )
        return self

    def hidden_width(self) -> int:
        """Width of the hidden layer of the feed-forward part."""
        # Rounded, as a ratio such as 1.5 need not give a whole number.
        return self.mlp_width or max(1, round(self.mlp_ratio * self.dim))

    def chosen_feature(self, features: Sequence[Feature]) -> int:
        """Index of the feature map that is used.

        Raises:
            ValueError: the choice is ambiguous, does not exist or is no map; names the field ``feature``.
        """
        return choose_feature(features, self.feature)

    def features(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        """The keypoint tokens after each block, side by side."""
        stride = features[self.chosen_feature(features)].stride
        return (Feature(self.blocks * self.dim, stride, tokens=True),)

    def patches(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> tuple[int, int]:
        """Rows and columns of patches.

        Raises:
            ValueError: the input size is not fixed, or patches do not divide it; one line that names what to
                change.
        """
        stride = features[self.chosen_feature(features)].stride
        step = (self.patch_size[0] * stride, self.patch_size[1] * stride)
        # Made before the checks, since both messages propose a size.
        near = [
            max(s, round((n or 256) / s) * s) for n, s in zip(input_size or (None, None), step, strict=True)
        ]
        if input_size is None:
            raise ValueError(
                f"the transformer needs an input of fixed size; set {_SIZE_FIELD}, for example to {near}"
            )
        if input_size[0] % step[0] or input_size[1] % step[1]:
            raise ValueError(
                f"patch_size: patches of {self.patch_size[0]} x {self.patch_size[1]} cells of {stride} "
                "pixels do not "
                f"divide an input of {input_size[0]} x {input_size[1]}; set {_SIZE_FIELD}, for example to "
                f"{near}"
            )
        return input_size[0] // step[0], input_size[1] // step[1]

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        self.patches(features, input_size)


class TokenHeatmapConfig(HeadConfig):
    """A heatmap for each keypoint, from its token, by one linear layer that all keypoints share."""

    heatmap_output: ClassVar[str | None] = HEATMAP

    stride: PositiveInt = Field(
        4,
        description="Pixels of the network's input a cell of the heatmaps; a divisor of its height and width.",
    )
    grid_offset: GridOffset = None
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "heatmap/gaussian"}), description="Labels -> heatmaps."
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "heatmap/subpixel"}), description="Heatmaps -> keypoints."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, {HEATMAP: {"type": "heatmap/mse"}}),
        description="By output (heatmap); what is written is merged with the default.",
    )

    def heatmap_size(
        self, features: Sequence[Feature], input_size: tuple[int, int] | None
    ) -> tuple[int, int]:
        """(h, w) of the heatmaps.

        Raises:
            ValueError: what arrives is no tokens, or the input size is not fixed or not a multiple of the
                stride; one line that names what to change.
        """
        if len(features) != 1 or not features[0].tokens:
            raise ValueError("needs keypoint tokens; set model.neck, for example to tokenpose/transformer")
        if input_size is None:
            raise ValueError(f"needs an input of fixed size; set {_SIZE_FIELD}, for example to [256, 256]")
        if input_size[0] % self.stride or input_size[1] % self.stride:
            raise ValueError(
                f"stride: {self.stride} does not divide an input of {input_size[0]} x {input_size[1]}; "
                f"change it or {_SIZE_FIELD}"
            )
        return input_size[0] // self.stride, input_size[1] // self.stride

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        self.heatmap_size(features, input_size)
        self.check_stride(self.stride)
