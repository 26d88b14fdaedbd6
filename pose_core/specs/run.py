"""The spec of a run: everything that decides what a trained model is and does.

``"auto"`` values are decided once, from the data, when training starts; the run folder holds the decided numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pose_core.catalog import get_catalog
from pose_core.catalog.merge import merge
from pose_core.hooks import MethodSpec
from pose_core.specs.base import Spec
from pose_core.specs.components import AnyDetector, AnyReader, AnyStage
from pose_core.specs.model import ModelSpec
from pose_core.specs.train import AugmentationSpec, CropSpec, TrainSpec
from pose_core.structures import Skeleton


class SplitSpec(Spec):
    """Which images train, choose the best weights, and are kept for the final test."""

    test: float = Field(0.2, ge=0, lt=1, description="Fraction of the images for the test, touched by evaluation only.")
    validation: float = Field(0.1, ge=0, lt=1, description="Fraction of the images that choose the best weights.")
    seed: int | None = Field(None, ge=0, description="Seed of the split; the training seed by default.")
    file: str | None = Field(
        None,
        description="YAML file with lists 'train', 'validation' and 'test' of image names, instead of fractions.",
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> SplitSpec:
        if self.test + self.validation >= 1:
            raise PydanticCustomError("split", "test and validation leave nothing to train on")
        return self


class DataSpec(Spec):
    """Where the labelled images are."""

    source: str = Field(description="The labelled project: a folder or a file.")
    reader: AnyReader | None = Field(None, description="What reads it; found by looking at the source by default.")
    split: SplitSpec = Field(default_factory=SplitSpec)


class DetectorAugmentationSpec(AugmentationSpec):
    """Random changes of the images that a detector learns from. Boxes stay upright: by default nothing is rotated."""

    rotation: float = Field(0.0, ge=0, le=180, description="Largest rotation either way, degrees; boxes grow with it.")
    scale: tuple[float, float] = Field((0.7, 1.4), description="Smallest and largest zoom.")
    translation: float = Field(0.2, ge=0, le=1, description="Largest shift as a fraction of the image's size.")
    crop: CropSpec = Field(CropSpec(size=None), description="Windows around animals; size: null shows whole frames.")


class DetectorSpec(Spec):
    """What finds the animals for a top-down model, and how it is trained."""

    network: AnyDetector
    min_box: float | Literal["auto"] = Field(
        "auto", description="Boxes it learns are at least so long; as model.preprocess.min_box."
    )
    augmentation: DetectorAugmentationSpec = Field(default_factory=DetectorAugmentationSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)


class InferenceSpec(Spec):
    """How frames are predicted."""

    batch_size: int = Field(8, ge=1, description="Frames a batch.")
    threshold: float = Field(0.0, ge=0, le=1, description="Keypoints with a lower score are reported as missing.")
    max_animals: PositiveInt | Literal["project"] | None = Field(
        "project",
        description="At most so many animals a frame, of boxes those with the highest scores; project: as many as the "
        "project has individuals; null: no limit.",
    )
    crops: int = Field(32, ge=1, description="Top-down: crops the pose network gets at once, from several frames.")
    follow: bool = Field(
        False,
        description="Start from the poses of the last frame. Of one animal: look at a crop around it, and at the whole "
        "frame (or the detector's box) when it is lost. Methods of plugins say what it means for them.",
    )
    follow_threshold: float = Field(
        0.3, ge=0, le=1, description="follow: an animal is lost below this mean score of its keypoints."
    )
    stages: dict[str, AnyStage] = Field(
        default_factory=dict,
        description="Settings of the stages that the method predicts with, by the names that the method gives them.",
    )


class EvaluationSpec(Spec):
    """How predictions are measured."""

    sigmas: NonNegativeFloat | dict[str, NonNegativeFloat] = Field(
        0.1, description="OKS sigma of every keypoint, or by keypoint name (COCO's definition: k = 2 sigma)."
    )
    pck: tuple[PositiveFloat, ...] = Field(
        (0.05, 0.1, 0.2), description="PCK thresholds as fractions of the longer side of the animal's box."
    )
    threshold: float = Field(0.6, ge=0, le=1, description="Smallest score in the metrics of confident keypoints only.")
    bootstrap: int = Field(1000, ge=0, description="Resamplings for the 95 % intervals; 0: none.")


class RunSpec(Spec):
    """One run: data, model, training, inference, evaluation."""

    version: Literal[1] = Field(1, description="Version of this format.")
    skeleton: Skeleton
    data: DataSpec
    model: ModelSpec
    detector: DetectorSpec | None = Field(
        None, description="Finds the animals for a top-down model; null: boxes come from elsewhere."
    )
    augmentation: AugmentationSpec = Field(default_factory=AugmentationSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)
    inference: InferenceSpec = Field(default_factory=InferenceSpec)
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    metadata: dict[str, str] = Field(
        default_factory=dict, description="What the reader noted for writers of the same family."
    )

    @model_validator(mode="before")
    @classmethod
    def _has_the_stages_of_its_method(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        content = with_stages(value)
        method = _method(content)
        stages = _section(content, "inference").get("stages", {}) if method is not None else {}
        for name in stages if isinstance(stages, Mapping) else ():
            if method is not None and name not in method.stages:
                message = f"{method.name} has no stage of this name; its stages are {', '.join(method.stages)}"
                reason = PydanticCustomError("stage", "{m}", {"m": message})
                error = InitErrorDetails(type=reason, loc=("inference", "stages", str(name)), input=None)
                raise ValidationError.from_exception_data("RunSpec", [error])
        return content

    @model_validator(mode="after")
    def _a_detector_is_for_crops(self) -> RunSpec:
        if self.detector is not None and self.model.preprocess.view != "animal":
            raise PydanticCustomError(
                "detector",
                "detector: {name} looks at whole frames and needs none; leave it out",
                {"name": self.model.name},
            )
        return self


def with_stages(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the stages of its method below what the content of a run spec says of them.

    What is wrong in it is left for validation to say.
    """
    method, inference = _method(content), _section(content, "inference")
    if method is None or not isinstance(settings := inference.get("stages", {}), Mapping):
        return content
    if not isinstance(content.get("inference", {}), Mapping | InferenceSpec):
        return content
    return {**content, "inference": {**inference, "stages": merge(method.stages, settings)}}


def _method(content: Mapping[str, Any]) -> MethodSpec | None:
    """The method that the content of a run spec names; None where there is none of that name."""
    name = _section(content, "model").get("method", ModelSpec.model_fields["method"].default)
    return next((method for method in get_catalog().methods() if method.name == name), None)


def _section(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section as keys and values; empty where it is something else."""
    section = content.get(key)
    if isinstance(section, Spec):
        return section.model_dump(mode="json")
    return section if isinstance(section, Mapping) else {}


class DetectorRunSpec(DetectorSpec):
    """The run of a detector: ``detector/`` in the folder of a top-down run, or a run of its own."""

    version: Literal[1] = Field(1, description="Version of this format.")
    skeleton: Skeleton
    data: DataSpec
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    metadata: dict[str, str] = Field(default_factory=dict, description="What the reader noted.")
