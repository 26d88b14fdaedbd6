"""The spec of a run: everything that decides what a trained model is and does.

``"auto"`` values are decided once, from the data, when training starts; the run folder holds the decided numbers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from pose_core.specs.base import Spec
from pose_core.specs.components import (
    AnyBackbone,
    AnyDetector,
    AnyHead,
    AnyInput,
    AnyNeck,
    AnyReader,
    Feature,
    declared,
)
from pose_core.structures import Skeleton

CUSTOM = "custom"
"""Name of a model that is no preset."""

Method = Literal["single_animal", "bottom_up", "top_down", "conditional_top_down"]


def parse_duration(value: object) -> object:
    """Seconds from ``90``, ``"90s"``, ``"10m"``, ``"1.5h"``; other values are left to the validator."""
    if isinstance(value, str):
        units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
        number, unit = (value[:-1], value[-1:]) if value[-1:] in units else (value, "s")
        try:
            return float(number) * units[unit]
        except ValueError:
            raise PydanticCustomError("duration", "must be a time such as 90s, 10m or 1.5h") from None
    return value


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Size = Annotated[tuple[int, int], Field(description="(height, width) in pixels")]


class PreprocessSpec(Spec):
    """How an image becomes the network's input; the same in training and inference."""

    view: Literal["frame", "animal"] = Field(
        "frame", description="What the network sees: the whole frame, or a crop around one animal."
    )
    scale: float | Literal["auto"] = Field(
        "auto",
        description="Factor by which frames are resized (view: frame). auto: animals come out about 60 pixels long.",
    )
    size: Size | None = Field(
        None, description="Fixed input size (height, width); required for view: animal and for networks of fixed size."
    )
    margin: float = Field(
        0.25,
        ge=0,
        description="view: animal. Free space around the box, as a fraction of its longer side, on each side.",
    )
    least_box: float | Literal["auto"] = Field(
        "auto",
        description="view: animal. Boxes are enlarged to be at least so long, pixels of the frame, for a few keypoints "
        "do not span an animal; auto: half as long as the median animal.",
    )
    margin_pixels: float = Field(
        0.0,
        ge=0,
        description="view: animal. Free space around the box in pixels of the frame, beside margin.",
    )
    half_pixel: bool = Field(
        True,
        description="view: animal. Keypoints move with the centres of pixels when a crop is resized by s, as the "
        "pixels do: x' = (x + 0.5) s - 0.5; false: x' = x s, as imported models were trained.",
    )
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="Subtracted from RGB in [0, 1] (ImageNet's mean by default)."
    )
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="Divisor after the mean.")

    @model_validator(mode="after")
    def _sizes(self) -> PreprocessSpec:
        if self.view == "animal" and self.size is None:
            raise PydanticCustomError("size", "view: animal needs size, the (height, width) of the crop")
        if self.view == "frame" and not self.half_pixel:
            raise PydanticCustomError("half_pixel", "half_pixel: false is for view: animal only; leave it out")
        if isinstance(self.scale, float) and not 0 < self.scale <= 8:
            raise PydanticCustomError("scale", "scale must be above 0 and at most 8")
        return self


def _or_null(schema: dict[str, Any]) -> None:
    """What a file may say beyond what is left when it has been merged; see :mod:`pose_core.specs.extra_heads`."""
    schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}


class ModelSpec(Spec):
    """A network: backbone, optional neck, heads; and what comes before and after it."""

    name: str = Field(CUSTOM, description="Name of the preset it came from.")
    method: Method = Field("single_animal", description="How animals are found.")
    preprocess: PreprocessSpec = Field(default_factory=PreprocessSpec, description="Image -> input of the network.")
    backbone: AnyBackbone
    neck: AnyNeck | None = None
    heads: dict[str, AnyHead] = Field(
        description="Heads by name. They are decoded in this order, each refining what the ones before it found. Null "
        "instead of a head that the model would have leaves it out.",
        json_schema_extra=_or_null,
    )
    inputs: dict[str, AnyInput] = Field(
        default_factory=dict, description="Where the extra inputs of the backbone come from, by input name."
    )

    def head_features(self) -> tuple[Feature, ...]:
        """What the heads get: the features of the neck, or of the backbone without one."""
        features = declared(self.backbone.type, self.backbone.features)
        neck = self.neck
        return features if neck is None else declared(neck.type, lambda: neck.features(features))

    def predicts_unique(self) -> bool:
        """Whether a head finds the keypoints that exist once a frame."""
        return any(head.predicts_unique() for head in self.heads.values())

    def predicts_identity(self) -> bool:
        """Whether a head tells which individual an animal is."""
        return any(head.predicts_identity() for head in self.heads.values())

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelSpec:
        errors: list[InitErrorDetails] = []

        def add(loc: tuple[str, ...], message: str) -> None:
            # Errors of a part are placed at that part, so that the message names the YAML field.
            errors.append(
                InitErrorDetails(type=PydanticCustomError("part", "{m}", {"m": message}), loc=loc, input=None)
            )

        if not self.heads:
            add(("heads",), "needs at least one head")
        wanted, given = set(self.backbone.extra_inputs()), set(self.inputs)
        for name in sorted(wanted - given):
            add(("inputs",), f"backbone {self.backbone.type} needs an input {name!r}")
        for name in sorted(given - wanted):
            add(("inputs", name), f"backbone {self.backbone.type} takes no input of this name")
        try:
            if self.neck is not None:
                self.neck.check(declared(self.backbone.type, self.backbone.features), self.preprocess.size)
            features = self.head_features()
        except ValueError as error:
            add(("neck",), str(error))
        else:
            for name, head in self.heads.items():
                try:
                    head.check(features, self.preprocess.size)
                except ValueError as error:
                    add(("heads", name), str(error))
        if errors:
            raise ValidationError.from_exception_data("ModelSpec", errors)
        return self


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


class CropSpec(Spec):
    """Training sees windows of the resized frame around animals, which is faster and better than whole frames."""

    size: Size | Literal["auto"] | None = Field(
        "auto", description="(height, width) of the window; auto: twice the animal's size; null: the whole frame."
    )
    shift: float = Field(
        0.3, ge=0, le=1, description="Largest shift of the window's centre, as a fraction of its size."
    )
    background: float = Field(
        0.1, ge=0, le=1, description="Fraction of windows placed anywhere in the frame, to learn what is no animal."
    )


class AugmentationSpec(Spec):
    """Random changes of training images. The geometric ones form one matrix, used once on image and keypoints."""

    rotation: float = Field(180.0, ge=0, le=180, description="Largest rotation either way, degrees.")
    scale: tuple[float, float] = Field((0.8, 1.25), description="Smallest and largest zoom.")
    translation: float = Field(0.0, ge=0, le=1, description="Largest shift as a fraction of the image's size.")
    flip: float = Field(
        0.5, ge=0, le=1, description="Probability of mirroring; left/right keypoint pairs change places."
    )
    crop: CropSpec = Field(default_factory=CropSpec)
    brightness: float = Field(0.2, ge=0, le=1, description="Largest change of brightness, fraction of full scale.")
    contrast: float = Field(0.2, ge=0, le=1, description="Largest relative change of contrast.")
    noise: float = Field(
        0.03, ge=0, le=1, description="Largest standard deviation of Gaussian noise, fraction of full scale."
    )
    blur: float = Field(0.2, ge=0, le=1, description="Probability of motion blur.")
    blur_length: int = Field(7, ge=2, description="Longest motion blur, pixels.")
    erase: float = Field(0.2, ge=0, le=1, description="Probability of erasing a rectangle.")
    erase_size: float = Field(
        0.2, gt=0, le=1, description="Longest side of the erased rectangle, fraction of the image."
    )

    @model_validator(mode="after")
    def _range(self) -> AugmentationSpec:
        low, high = self.scale
        if not 0 < low <= high:
            raise PydanticCustomError("scale", "scale must be [smallest, largest] with 0 < smallest <= largest")
        return self


class OptimizerSpec(Spec):
    """Optimiser of all parameters."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Not applied to biases and normalisation parameters.")
    momentum: float = Field(0.9, ge=0, lt=1, description="For sgd.")


class ScheduleSpec(Spec):
    """Learning rate over the course of training (of the epochs, or of max_time where that ends earlier)."""

    name: Literal["cosine", "constant"] = "cosine"
    warmup: float = Field(0.03, ge=0, lt=1, description="Fraction of training with linearly rising learning rate.")
    final: float = Field(0.01, ge=0, le=1, description="Last learning rate as a fraction of the highest.")


class TrainSpec(Spec):
    """How the model is trained."""

    epochs: PositiveInt | Literal["auto"] = Field(
        "auto", description="Passes over the training images; auto: about 6000 steps."
    )
    max_time: Seconds | None = Field(
        None, description="Stop after this time (90s, 10m, 2h); the schedule fits into it."
    )
    batch_size: int = Field(8, ge=1, description="Images a step, on each device.")
    seed: int = Field(0, ge=0, description="Of initial weights, split, order and augmentation.")
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec)
    schedule: ScheduleSpec = Field(default_factory=ScheduleSpec)
    gradient_clip: float | None = Field(1.0, gt=0, description="Largest norm of the gradient; null: no limit.")
    ema: float | None = Field(
        0.998, gt=0, lt=1, description="Decay of the moving average of weights that is evaluated and kept; null: none."
    )
    early_stopping: int | None = Field(
        None, ge=1, description="Stop after this many validations without improvement; null: never."
    )
    validate_every: PositiveInt | Literal["auto"] = Field(
        "auto", description="Epochs between validations (and checkpoints); auto: about 100 steps."
    )
    precision: Literal["32", "16-mixed", "bf16-mixed"] = Field("32", description="Arithmetic of the forward pass.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    devices: int = Field(1, ge=1, description="Number of devices (processes on the CPU); above 1 trains with DDP.")
    workers: NonNegativeInt | Literal["auto"] = Field(
        "auto", description="Processes that load images; auto: none on the CPU."
    )
    cache: float = Field(2.0, ge=0, description="Decoded images kept in memory, GiB a process.")
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="Beside history.csv, which is always written."
    )
    weights: str | None = Field(
        None,
        description="Weights to start from: a name ('pose weights' lists them), a file or a run folder; null: what the "
        "model's parts ask for by themselves; none: random weights throughout.",
    )
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="What keypoints of the project are called in the weights, where the names differ: own name -> name "
        "there. DeepLabCut's conversion tables are taken from the project.",
    )


class DetectorAugmentationSpec(AugmentationSpec):
    """Random changes of the images that a detector learns from. Boxes stay upright: by default nothing is rotated."""

    rotation: float = Field(0.0, ge=0, le=180, description="Largest rotation either way, degrees; boxes grow with it.")
    scale: tuple[float, float] = Field((0.7, 1.4), description="Smallest and largest zoom.")
    translation: float = Field(0.2, ge=0, le=1, description="Largest shift as a fraction of the image's size.")
    crop: CropSpec = Field(CropSpec(size=None), description="Windows around animals; size: null shows whole frames.")


class DetectorSpec(Spec):
    """What finds the animals for a top-down model, and how it is trained."""

    network: AnyDetector
    least_box: float | Literal["auto"] = Field(
        "auto", description="Boxes it learns are at least so long; as model.preprocess.least_box."
    )
    augmentation: DetectorAugmentationSpec = Field(default_factory=DetectorAugmentationSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)


class InferenceSpec(Spec):
    """How frames are predicted."""

    batch_size: int = Field(8, ge=1, description="Frames a batch.")
    threshold: float = Field(0.0, ge=0, le=1, description="Keypoints with a lower score are reported as missing.")
    max_animals: PositiveInt | Literal["project"] | None = Field(
        "project",
        description="Top-down: at most so many boxes a frame, the surest ones; project: as many as the project has "
        "individuals; null: no limit.",
    )
    crops: int = Field(32, ge=1, description="Top-down: crops the pose network gets at once, from several frames.")
    follow: bool = Field(
        False,
        description="Start from the poses of the last frame. Conditional models: each of them is refined, and the "
        "whole frame is searched while an animal is missing. Others, for one animal only: look at a crop around it, "
        "and at the whole frame (or the detector's box) when it is lost.",
    )
    follow_threshold: float = Field(
        0.3, ge=0, le=1, description="follow: an animal is lost below this mean score of its keypoints."
    )
    search_every: PositiveInt | None = Field(
        10,
        description="follow, conditional models: the whole frame is searched in every so many-th frame even when no "
        "animal is missing; an animal that is found and nobody follows takes the place of one that is followed and not "
        "found. null: never.",
    )
    condition_threshold: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Conditional models: keypoints of rough poses with a lower score are not shown to the network.",
    )
    duplicate: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Conditional models: of two poses more similar than this (OKS with sigma 0.1) the surer is kept.",
    )


class EvaluationSpec(Spec):
    """How predictions are measured."""

    sigmas: NonNegativeFloat | dict[str, NonNegativeFloat] = Field(
        0.1, description="OKS sigma of every keypoint, or by keypoint name (COCO's definition: k = 2 sigma)."
    )
    pck: tuple[PositiveFloat, ...] = Field(
        (0.05, 0.1, 0.2), description="PCK thresholds as fractions of the longer side of the animal's box."
    )
    threshold: float = Field(0.6, ge=0, le=1, description="Smallest score in the figures of confident keypoints only.")
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

    @model_validator(mode="after")
    def _a_detector_is_for_crops(self) -> RunSpec:
        if self.detector is not None and self.model.preprocess.view != "animal":
            raise PydanticCustomError(
                "detector",
                "detector: {name} looks at whole frames and needs none; leave it out",
                {"name": self.model.name},
            )
        return self


class DetectorRunSpec(DetectorSpec):
    """The run of a detector: ``detector/`` in the folder of a top-down run, or a run of its own."""

    version: Literal[1] = Field(1, description="Version of this format.")
    skeleton: Skeleton
    data: DataSpec
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    metadata: dict[str, str] = Field(default_factory=dict, description="What the reader noted.")
