"""What a user can write about part affinity fields: head, targets and assembly. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

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
PAF = "paf"

Limb = tuple[NonNegativeInt, NonNegativeInt] | tuple[str, str]


class FieldTargetConfig(TargetGeneratorConfig):
    """Directions of limbs."""

    width: float | None = Field(
        None,
        gt=0,
        description="How far a limb's strip reaches to either side, pixels of the network's input (quartic: where "
        "vectors are 0.61 long); null: 1.5 cells, at least 6 pixels.",
    )
    profile: Literal["linear", "flat", "quartic"] = Field(
        "linear",
        description="Length of the vectors at the distance d from the limb. linear: 1 - d / width, 0 from there "
        "on; flat: 1 up to width; quartic: exp(-(d / width)^4 / 2), around the ends of the limb too, as SLEAP "
        "trains (its sigma is width^2).",
    )
    overlap: Literal["nearest", "sum"] = Field(
        "nearest",
        description="Where strips of several animals overlap. nearest: the vector of the nearest limb; sum: all "
        "of them added up, as SLEAP trains.",
    )
    missing: Literal["unknown", "absent"] = Field(
        "unknown",
        description="What a limb with an unlabelled end teaches. unknown: nothing near the animal; absent: that "
        "it is nowhere.",
    )

    def teaches_absent(self) -> bool:
        return self.missing == "absent"

    def decided_width(self, stride: float) -> float:
        """Reach of a strip in pixels for cells of this size."""
        return self.width or max(1.5 * stride, 6.0)

    def check_stride(self, stride: float) -> None:
        """Refuse strips that fall between cells of this size."""
        if self.width is not None and self.width < 0.75 * stride:
            raise ValueError(
                f"width: {self.width:g} is too small for cells of {stride:g} pixels; "
                f"at least {0.75 * stride:.3g}, or leave it out"
            )


class PafTargetConfig(FieldTargetConfig):
    """Directions of limbs, beside the heatmaps and location refinement that another generator makes."""

    maps: AnyTargetGenerator = Field(
        cast(Any, {"type": "heatmap/gaussian"}), description="Labels -> heatmaps and location refinement."
    )

    def check_stride(self, stride: float) -> None:
        """Refuse strips, or blobs of ``maps``, that fall between cells of this size."""
        super().check_stride(stride)
        with prefix_errors("maps"):
            self.maps.check_stride(stride)


class GroupingConfig(PredictorConfig):
    """Candidates of the heads before it, joined to animals along the part affinity fields."""

    candidates: PositiveInt | None = Field(
        None,
        description="Candidates of each keypoint that are looked at, those with the highest scores; null: three "
        "times the animals, at least 20.",
    )
    samples: int = Field(10, ge=2, le=100, description="Points along a limb at which the field is read.")
    sampling: Literal["bilinear", "nearest"] = Field(
        "bilinear", description="How the field is read between the centres of cells."
    )
    min_affinity: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Limbs along which the field agrees less with their direction are none (1: fully; SLEAP: "
        "0.25).",
    )
    length_penalty: float = Field(
        0.0,
        ge=0,
        description="Subtracted from the affinity of a limb that is longer than long_limb: this, times the share "
        "of its length that is too much (SLEAP: 1).",
    )
    long_limb: float = Field(
        0.25,
        gt=0,
        description="Length from which length_penalty counts, as a fraction of the longer side of the network's "
        "input.",
    )
    limbs: tuple[NonNegativeInt, ...] | None = Field(
        None,
        min_length=1,
        description="Numbers, from 0, of the limbs of the head's graph that join animals; null: all.",
    )
    max_animals: PositiveInt | Literal["project"] | None = Field(
        "project",
        description="Maximum number of animals an image; project: as many as the project has individuals; "
        "null: any.",
    )
    min_keypoints: PositiveInt | None = Field(
        None,
        description="Animals with fewer keypoints are dropped; null: 2, and with over 8 keypoints a quarter.",
    )

    def predicts_several(self) -> bool:
        return True

    def groups_candidates(self) -> bool:
        return True

    def decided_candidates(self, individuals: int) -> int:
        """Candidates of each keypoint."""
        animals = individuals if self.max_animals == "project" else self.max_animals or individuals
        return self.candidates or max(20, 3 * animals)

    def limit(self, individuals: int) -> int | None:
        """Maximum number of animals of an image; None for any number."""
        return individuals if self.max_animals == "project" else self.max_animals

    def decided_min_keypoints(self, keypoints: int) -> int:
        """The fewest keypoints of an animal."""
        return min(self.min_keypoints or max(2, (keypoints + 3) // 4), keypoints)


class AssemblyConfig(GroupingConfig, HeatmapPredictorConfig):
    """Blobs joined to animals along the part affinity fields."""

    blur: float = Field(
        0.0,
        ge=0,
        le=5,
        description="Standard deviation, in cells, by which heatmaps are smoothed first; 0: not.",
    )
    nms: Literal[3, 5, 7, 9, 11] = Field(
        5, description="Cells a side of the square in which a blob must have the highest cell."
    )
    threshold: float = Field(0.1, ge=0, lt=1, description="Lower blobs are no keypoints.")
    window: Literal[1, 3, 5] = Field(
        3,
        description="Cells a side, around a blob's highest one, over which location refinement is averaged.",
    )

    def groups_candidates(self) -> bool:
        # It finds its own.
        return False


class _LimbsHeadConfig(HeadConfig):
    """What heads with part affinity fields have in common."""

    graph: Literal["auto", "skeleton", "bridged", "full", "pruned"] | tuple[Limb, ...] = Field(
        "auto",
        description="Which pairs of keypoints are limbs. skeleton: its edges; bridged: also pairs two edges "
        "apart, so "
        "that an animal holds together where one keypoint is missing; full: every pair; pruned: learn every "
        "pair, and "
        "after training keep those that assemble the validation images best (predictor.limbs); auto: the "
        "skeleton "
        "where it connects all keypoints, else every pair, with over 15 keypoints about three a keypoint; or "
        "a list of "
        "pairs of names (or of numbers of keypoints, from 0).",
    )

    @field_validator("losses", check_fields=False)
    @classmethod
    def _vectors_have_a_loss_for_vectors(cls, losses: dict[str, LossConfig]) -> dict[str, LossConfig]:
        loss = losses[PAF]
        if loss.compares_logits():
            raise ValueError(
                f"paf: {loss.type} compares probabilities, not vectors; heatmap/mse does for them"
            )
        # Any plugin's loss may stand here, and only some have such a setting.
        if getattr(loss, "foreground", 1.0) != 1.0:
            raise ValueError(
                "paf.foreground: vectors have components below 0, so it must be 1; set weight instead"
            )
        return losses


_DEFAULT_LOSSES: dict[str, Mapping[str, str | float]] = {
    HEATMAP: {"type": "heatmap/mse"},
    LOCREF: {"type": "heatmap/smooth_l1", "weight": 0.02},
    PAF: {"type": "heatmap/mse", "weight": 0.5},
}


class PafHeadConfig(_LimbsHeadConfig, DeconvolutionHeadConfig):
    """Heatmaps, location refinement and part affinity fields of one feature map."""

    heatmap_output: ClassVar[str | None] = HEATMAP

    deconv_layers: int | None = Field(
        None,
        ge=0,
        le=5,
        description="Transposed convolutions that each halve the stride; null: as many as lead to a stride "
        "of 4 "
        "(without stages all but the last are shared by the outputs).",
    )
    deconv_channels: PositiveInt = Field(128, description="Channels between several transposed convolutions.")
    deconv_padding: Literal["same", "valid"] = Field(
        "same",
        description="same: n cells become 2n; valid: no padding, 2n + 1 with the default kernel (with "
        "stages: from the "
        "second one on).",
    )
    stages: int = Field(
        0,
        ge=0,
        le=20,
        description="Convolutions one after another that refine heatmaps and fields after the first "
        "transposed "
        "convolution.",
    )
    stage_features: PositiveInt = Field(
        128, description="With stages: feature channels that every stage sees too."
    )
    stage_channels: PositiveInt | None = Field(
        None, description="With stages: channels of a hidden layer in each; null: one convolution a stage."
    )
    stage_activation: bool = Field(
        True,
        description="With stages: ReLU on their feature channels; false: all is one linear map, as in "
        "DeepLabCut.",
    )
    locref_std: float = Field(
        7.2801, gt=0, description="Pixels a unit of the location refinement layer (DeepLabCut's value)."
    )
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "paf/paf"}), description="Labels -> heatmaps, location refinement and fields."
    )
    predictor: AnyPredictor = Field(cast(Any, {"type": "paf/assembly"}), description="Outputs -> animals.")
    losses: dict[str, AnyLoss] = Field(
        cast(Any, _DEFAULT_LOSSES),
        description="By output (heatmap, locref, paf); what is written is merged with the default.",
    )

    def layers_on(self, feature: Feature) -> int:
        """How many transposed convolutions there are on this feature map."""
        if self.deconv_layers is not None:
            return self.deconv_layers
        return max((feature.stride // 4).bit_length() - 1, 1 if self.stages else 0)

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        super().check(features, input_size)
        if self.stages and not self.layers_on(features[self.chosen_feature(features)]):
            raise ValueError(
                "deconv_layers: stages come after a transposed convolution; set at least 1, or stages: 0"
            )


class FieldsHeadConfig(_LimbsHeadConfig, DeconvolutionHeadConfig):
    """Part affinity fields alone, of a feature map and grid of their own; they group the candidates of the
    heads before."""

    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "paf/fields"}), description="Labels -> fields."
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "paf/grouping"}), description="Fields and candidates -> animals."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, {PAF: _DEFAULT_LOSSES[PAF]}), description="By output; there is one, paf."
    )
