"""What a user can write about DEKR. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, PositiveInt, field_validator

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    Feature,
    FeatureMapHeadConfig,
    HeatmapPredictorConfig,
    LossConfig,
    TargetGeneratorConfig,
)

HEATMAP = "heatmap"
OFFSET = "offset"


class DekrTargetConfig(TargetGeneratorConfig):
    """Gaussian blobs of keypoints and centres, and offsets in a square around each centre."""

    sigma: float | None = Field(
        None,
        gt=0,
        description="Standard deviation of a keypoint's blob in pixels of the network's input; null: 1.5 "
        "cells, at "
        "least 4 pixels.",
    )
    center_sigma: float | None = Field(
        None,
        gt=0,
        description="Standard deviation of a centre's blob in pixels of the network's input; null: 2 cells.",
    )
    offset_radius: float | None = Field(
        None,
        gt=0,
        description="Offsets are learned in a square that reaches so far from the centre on each side, "
        "pixels of the "
        "network's input; null: 4 cells.",
    )
    background: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Weight of heatmap cells farther than 3 sigma (on either axis) from every blob.",
    )

    def decided_sigma(self, stride: float) -> float:
        """Sigma of keypoints in pixels for cells of this size."""
        return self.sigma or max(1.5 * stride, 4.0)

    def decided_center_sigma(self, stride: float) -> float:
        """Sigma of centres in pixels for cells of this size."""
        return self.center_sigma or 2.0 * stride

    def decided_radius(self, stride: float) -> float:
        """Half the side of the square of offsets in pixels for cells of this size."""
        return self.offset_radius or 4.0 * stride

    def check_stride(self, stride: float) -> None:
        """Refuse blobs and squares that fall between cells of this size."""
        for name, size, least in (
            ("sigma", self.decided_sigma(stride), 0.5 * stride),
            ("center_sigma", self.decided_center_sigma(stride), 0.5 * stride),
            ("offset_radius", self.decided_radius(stride), stride),
        ):
            if size < least:
                raise ValueError(
                    f"{name}: {size:g} is too small for cells of {stride:g} pixels; "
                    f"at least {least:.3g}, or leave it out"
                )


class CentersConfig(HeatmapPredictorConfig):
    """The animals with the highest centres, each the centre plus the offsets found there."""

    animals: PositiveInt | None = Field(
        None, description="Maximum number of animals an image; null: as many as the skeleton has individuals."
    )
    candidates: PositiveInt | None = Field(
        None, description="Centres looked at before duplicates are removed; null: twice animals, at least 30."
    )
    threshold: float = Field(
        0.1, ge=0, le=1, description="Centres that are not higher than this are no animals."
    )
    center_nms: int = Field(
        3, ge=1, le=31, description="A centre is the highest among so many cells a side (an odd number)."
    )
    keypoint_score: Literal["combined", "heatmap", "center"] = Field(
        "combined",
        description="Score of a keypoint. heatmap: the keypoint's heatmap where it lies; center: the height "
        "of the "
        "animal's centre; combined: their product.",
    )
    keypoint_threshold: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Keypoints that lie where their heatmap is lower are missing; 0: none are.",
    )
    refine: float | None = Field(
        None,
        gt=0,
        description="A keypoint moves to the nearest maximum of its heatmap that is no farther than this, "
        "pixels of "
        "the network's input; null: keypoints stay where the offsets put them.",
    )
    pose_nms: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Two poses are one when enough of their keypoints are closer than this fraction of the "
        "diagonal of "
        "the higher-scoring one's box (or than half a cell); 0: every centre is an animal.",
    )
    pose_nms_joints: PositiveInt | None = Field(
        None,
        description="How many keypoints are enough, at most all of them; null: more than half, as the "
        "paper's 9 of 17.",
    )
    suppression: Literal["in_order", "at_once"] = Field(
        "in_order",
        description="in_order: from the highest score to the lowest, what was removed removes nothing. "
        "at_once: all "
        "pairs, ordered by their centres; the box of the lower-scoring one counts, in pixels (DeepLabCut 3).",
    )
    reading: Literal["interpolated", "cells"] = Field(
        "interpolated",
        description="interpolated: heatmaps are read between cells. cells: at the cell up and left of a "
        "keypoint, and "
        "keypoints are refined to whole cells, all other heights being 0; scores are clipped last "
        "(DeepLabCut 3).",
    )

    @field_validator("center_nms")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(
                f"must be odd, a cell has equally many on both sides; {value - 1} or {value + 1}"
            )
        return value


class OffsetLossConfig(LossConfig):
    """Smooth L1 loss of offsets: absolute error, rounded off below beta."""

    beta: float = Field(1 / 9, gt=0, description="Where it becomes linear, in cells.")


_DEFAULT_LOSSES: dict[str, Mapping[str, str | float]] = {
    HEATMAP: {"type": "heatmap/mse"},
    OFFSET: {"type": "dekr/offset", "weight": 0.5},
}


class DekrHeadConfig(FeatureMapHeadConfig):
    """Disentangled keypoint regression (Geng et al. 2021): heatmaps, and offsets by a branch a keypoint."""

    heatmap_output: ClassVar[str | None] = HEATMAP

    heatmap_channels: PositiveInt = Field(32, description="Channels of the heatmap branch.")
    heatmap_blocks: PositiveInt = Field(1, description="Residual blocks of the heatmap branch.")
    offset_channels: PositiveInt = Field(15, description="Channels of the offset branch a keypoint.")
    offset_blocks: PositiveInt = Field(2, description="Adaptive blocks of the offset branch.")
    deform: Literal["torch", "torchvision"] = Field(
        "torch",
        description="How adaptive convolutions are computed. torch: by plain operations, which export and "
        "are several "
        "times faster on a CPU; torchvision: by torchvision.ops.deform_conv2d, which needs less memory in "
        "training.",
    )
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "dekr/dekr"}), description="Labels -> heatmaps and offsets."
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "dekr/centers", "refine": 8.0}), description="Heatmaps and offsets -> animals."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, _DEFAULT_LOSSES),
        description="By output (heatmap, offset); what is written is merged with the default.",
    )

    def predicts_several(self) -> bool:
        """True: it assembles keypoints to any number of animals."""
        return True

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        self.check_stride(features[self.chosen_feature(features)].stride)
