"""What a configuration says of the use of a trained model: prediction and evaluation."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from pose_core.definitions import Content
from pose_core.specs.base import Spec
from pose_core.specs.components import AnyRuntime, AnyStage, RuntimeConfig
from pose_core.specs.training_components import Probability

RUNTIME: Content = {"type": "core/auto"}
"""What computes networks unless something else is said."""


class TilesSpec(Spec):
    """Tiles in which large frames are looked at."""

    size: int = Field(ge=32, description="Side of a tile, pixels of the frame.")
    overlap: int | None = Field(
        None,
        ge=0,
        description="Pixels of the frame that neighbours share, at least: as long as an animal, which is then whole in "
        "one of them; null: a quarter of the size.",
    )

    @property
    def shared(self) -> int:
        """The overlap, pixels of the frame."""
        return self.size // 4 if self.overlap is None else self.overlap

    @model_validator(mode="after")
    def _check(self) -> TilesSpec:
        if self.shared > self.size // 2:
            raise ValueError(f"overlap {self.shared} must be at most half of the size {self.size}")
        return self


class InferenceSpec(Spec):
    """Settings of the prediction."""

    batch_size: int = Field(8, ge=1, description="Frames a batch.")
    runtime: AnyRuntime = Field(
        cast(RuntimeConfig, RUNTIME),
        description="What computes the networks; 'pose runtimes' lists what is installed. auto: PyTorch, and what is "
        "faster once a long prediction has measured it on this machine.",
    )
    precision: Literal[32, 16, 8] = Field(
        32,
        description="Bits that pose networks compute with. 16: half precision, on a GPU, or on a CPU with bfloat16. "
        "8: integers, on a CPU, calibrated on images of the training. Both need a runtime that has them, and are "
        "compared with 32 bits before they are used.",
    )
    accept_drift: bool = Field(
        False,
        description="precision 16 or 8: use it even where keypoints move by more than half a pixel.",
    )
    decoder: Literal["ffmpeg", "torchcodec"] = Field(
        "ffmpeg",
        description="What decodes videos. torchcodec (pip install torchcodec): on a GPU of CUDA, where frames stay; it "
        "does not tell damaged frames from whole ones.",
    )
    threshold: Probability | dict[str, Probability] = Field(
        0.0,
        description="Keypoints with a lower score are reported as missing; one number, or by keypoint name (0 for "
        "those that are not named).",
    )
    identity_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="An animal stays without a name when the best one left for it is less probable; null: half "
        "of what a guess would be right (0.125 with four individuals).",
    )
    # A word and not null, for null is an answer of its own: any number.
    max_animals: PositiveInt | Literal["project"] | None = Field(
        "project",
        description="At most so many animals a frame, of boxes those with the highest scores; project: as "
        "many as the "
        "project has individuals; null: no limit.",
    )
    crops: int = Field(
        32, ge=1, description="Top-down: crops the pose network gets at once, from several frames."
    )
    tiles: TilesSpec | None = Field(
        None,
        description="Networks that look at whole frames, pose networks and detectors, look at overlapping tiles of "
        "them, each as they would at a frame of that size; what two tiles show is one animal where poses (or boxes) "
        "coincide. For frames much larger than those of the training. null: whole frames.",
    )
    follow: bool = Field(
        False,
        description="Start from the poses of the last frame. Of one animal: look at a crop around it, and at "
        "the whole "
        "frame (or the detector's box) when it is lost. Methods of plugins say what it means for them.",
    )
    follow_threshold: float = Field(
        0.3, ge=0, le=1, description="follow: an animal is lost below this mean score of its keypoints."
    )
    stages: dict[str, AnyStage] = Field(
        default_factory=dict,
        description="Settings of the stages that the method predicts with, by the names that the method "
        "gives them.",
    )


class EvaluationSpec(Spec):
    """Settings of the evaluation."""

    sigmas: NonNegativeFloat | dict[str, NonNegativeFloat] = Field(
        0.1, description="OKS sigma of every keypoint, or by keypoint name (COCO's definition: k = 2 sigma)."
    )
    keypoints: tuple[str, ...] | None = Field(
        None, min_length=1, description="Names of the keypoints that are measured; null: all."
    )
    pck: tuple[PositiveFloat, ...] = Field(
        (0.05, 0.1, 0.2), description="PCK thresholds as fractions of the longer side of the animal's box."
    )
    threshold: float = Field(
        0.6, ge=0, le=1, description="Smallest score in the metrics of confident keypoints only."
    )
    bootstrap: int = Field(1000, ge=0, description="Resamplings for the 95 % intervals; 0: none.")
