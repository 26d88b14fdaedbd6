"""Configs of the detectors. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import DetectorConfig, FrozenNorms
from pose_torchvision.coco import CLASSES

STRIDE = 32
"""Stride of the backbones' last stage; images are padded to multiples of it."""


class TorchvisionConfig(DetectorConfig):
    """The settings that all detectors share."""

    network: ClassVar[str]
    """Bare name of the component."""
    backbone_layers: ClassVar[int]
    """Number of groups that ``trainable_layers`` counts."""

    pretrained: Literal["auto", "imagenet", True, False] = Field(
        "auto",
        description="Weights when training starts: true for COCO's; imagenet for those of the backbone "
        "alone; auto "
        "takes the first of these that is available, else random weights, with a warning; false for none.",
    )
    classes: tuple[str, ...] = Field(
        (),
        description="COCO classes (person, cat, bird ...) whose boxes are reported. The detector is then "
        "used as it "
        "was trained on COCO and learns nothing from the project. None: it learns one class, the project's "
        "animal.",
    )
    resize: Literal["core", "torchvision"] = Field(
        "core",
        description="core: the network sees images at the configured size (size). torchvision: torchvision "
        "resizes "
        "them (SSDLite to 320 x 320, Faster R-CNN to a shorter side of 800), as imported weights were "
        "trained.",
    )
    normalize: Literal["once", "twice"] = Field(
        "once",
        description="twice: images are normalised with ImageNet's mean and deviation before torchvision "
        "normalises "
        "them, as imported weights were trained.",
    )
    half_pixel: bool = Field(
        True,
        description="Shift boxes by half a pixel: labels have the centre of the top-left pixel at 0, "
        "torchvision its "
        "corner. false for imported weights that were trained without this shift.",
    )
    freeze_bn: FrozenNorms = False
    trainable_layers: int | None = Field(
        None,
        ge=0,
        description="Number of groups of the backbone's layers, counted from its end, that are trained (with "
        "pretrained weights); null: all.",
    )
    nms: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Of two boxes that overlap by more (intersection over union), the higher-scoring one is "
        "kept.",
    )
    max_boxes: PositiveInt = Field(
        100, description="Largest number of boxes in an image; the highest-scoring remain."
    )

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CLASSES:
                near = difflib.get_close_matches(name.lower(), CLASSES, 3, 0.5)
                hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(CLASSES)}"
                raise PydanticCustomError(
                    "classes", "COCO has no class {name}; {hint}", {"name": repr(name), "hint": hint}
                )
        return names

    @model_validator(mode="after")
    def _check_combination(self) -> TorchvisionConfig:
        # auto would warn and go on with random weights, which know none of these classes.
        if self.classes and self.pretrained is not True:
            raise PydanticCustomError(
                "classes",
                "classes: boxes of COCO's classes need COCO's weights; write pretrained: true as well",
            )
        if self.resize == "torchvision" and self.size is not None:
            raise PydanticCustomError(
                "resize", "resize: torchvision resizes whole frames itself; write size: null as well"
            )
        if self.size is not None and (wrong := [s for s in self.size if s % STRIDE]):
            raise PydanticCustomError(
                "size",
                "size: height and width must be multiples of {stride}, such as {near} instead of {wrong}",
                {"stride": STRIDE, "near": -(-wrong[0] // STRIDE) * STRIDE, "wrong": wrong[0]},
            )
        if self.trainable_layers is not None and self.trainable_layers > self.backbone_layers:
            raise PydanticCustomError(
                "trainable_layers",
                "trainable_layers must be at most {limit}",
                {"limit": self.backbone_layers},
            )
        return self

    def size_multiple(self) -> int:
        """Return 32; 1 where torchvision resizes, so that padding does not change its choice of a size."""
        return 1 if self.resize == "torchvision" else STRIDE

    def trainable(self) -> bool:
        """Return False for a detector of COCO classes."""
        return not self.classes


class SSDLiteConfig(TorchvisionConfig):
    """SSDLite (Sandler et al. 2018) on a MobileNetV3-Large (Howard et al. 2019): small and fast."""

    network: ClassVar[str] = "ssdlite"
    backbone_layers: ClassVar[int] = 6

    size: tuple[PositiveInt, PositiveInt] | None = Field(
        (320, 320),
        description="(height, width) in pixels that frames are fitted into, their aspect ratio kept.",
    )
    nms: float = Field(
        0.55,
        gt=0,
        le=1,
        description="Of two boxes that overlap by more (intersection over union), the higher-scoring one is "
        "kept.",
    )
    anchor_scales: tuple[float, ...] | None = Field(
        None,
        description="Sizes of the default boxes on the six maps (strides 16, 32, 64, 128, 256, 512) and one "
        "size more, "
        "increasing, as fractions of height and width of the input; null: 0.2 to 0.95, and 1, as in COCO's "
        "weights.",
    )
    match_iou: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="Overlap (intersection over union) from which a default box is matched with an animal's "
        "box.",
    )
    negatives: PositiveInt = Field(
        10,
        description="Smallest number of background boxes in the loss of each image (usually three for each "
        "matched "
        "one), so that images without animals are learned from, too.",
    )

    @field_validator("anchor_scales")
    @classmethod
    def _check_scales(cls, scales: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if scales is not None and (
            len(scales) != 7 or min(scales) <= 0 or any(b <= a for a, b in pairwise(scales))
        ):
            raise PydanticCustomError(
                "anchor_scales", "must be 7 increasing numbers, such as [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0]"
            )
        return scales

    def defaults(self) -> Mapping[str, object]:
        """Return learning rate and batch size."""
        return {"train": {"optimizer": {"base_lr": 1e-3}}}


class FasterRCNNConfig(TorchvisionConfig):
    """Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017)."""

    # Fewer images than SSDLite in a batch: each has 640 or 800 pixels on a side, and a second stage.

    def defaults(self) -> Mapping[str, object]:
        """Return learning rate and batch size."""
        return {"train": {"batch_size": 4, "optimizer": {"lr": 1e-4}}}


class FasterRCNNMobileNetConfig(FasterRCNNConfig):
    """Faster R-CNN on a MobileNetV3-Large (Howard et al. 2019)."""

    network: ClassVar[str] = "fasterrcnn_mobilenet_v3_large_fpn"
    backbone_layers: ClassVar[int] = 6

    size: tuple[PositiveInt, PositiveInt] | None = Field(
        (640, 640),
        description="(height, width) in pixels that frames are fitted into, their aspect ratio kept.",
    )


class FasterRCNNResNet50Config(FasterRCNNConfig):
    """Faster R-CNN on a ResNet-50, torchvision's second version (Li et al. 2021): slow and accurate."""

    network: ClassVar[str] = "fasterrcnn_resnet50_fpn_v2"
    backbone_layers: ClassVar[int] = 5

    size: tuple[PositiveInt, PositiveInt] | None = Field(
        (800, 800),
        description="(height, width) in pixels that frames are fitted into, their aspect ratio kept.",
    )
