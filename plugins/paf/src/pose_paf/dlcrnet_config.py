"""What a user can write about the multi-scale ResNet. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import AnyBackbone, BackboneConfig, Feature, FrozenNorms

BANK_CHANNELS = 128
_EARLY_STRIDES = (4, 8)


class DLCRNetConfig(BackboneConfig):
    """A ResNet whose early stages are brought to the resolution of the last one and put beside it."""

    backbone: AnyBackbone = Field(
        description="The ResNet: {type: resnet/resnet, depth: 50, output_stride: 16}. It puts out one map of "
        "stride 16 "
        "or 32."
    )
    early: tuple[str, str] = Field(
        # Of the second stage the third of four blocks, where DeepLabCut 3 takes it.
        ("stage1", "stage2_block3"),
        description="Insert points of the backbone where the early maps are taken, of strides 4 and 8.",
    )
    alignment: Literal["exact", "resized"] = Field(
        "exact",
        description="How the early stages get there. exact: strided convolutions whose cells stay where they "
        "are; "
        "resized: convolutions without padding and a resize with antialiasing, as DeepLabCut's weights need.",
    )
    freeze_bn: FrozenNorms = False

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """The smallest ResNet with three blocks in its second stage."""
        return {"backbone": {"type": "resnet/resnet", "depth": 34}}

    @model_validator(mode="after")
    def _backbone_fits(self) -> DLCRNetConfig:
        features, points = self.backbone.features(), self.backbone.insert_points()
        if len(features) != 1 or features[0].stride not in (16, 32):
            raise PydanticCustomError(
                "backbone", "backbone: must put out one feature map, of stride 16 or 32"
            )
        for point, stride in zip(self.early, _EARLY_STRIDES, strict=True):
            fitting = [name for name, maps in points.items() if [f.stride for f in maps] == [stride]]
            if point not in fitting:
                raise PydanticCustomError(
                    "early",
                    "early: {name} has no insert point {point} with one map of stride {stride}; such are "
                    "{fitting}",
                    {
                        "name": self.backbone.type,
                        "point": point,
                        "stride": stride,
                        "fitting": ", ".join(fitting) or "none",
                    },
                )
        return self

    def features(self) -> tuple[Feature, ...]:
        """One map: the last stage and both early ones."""
        (last,) = self.backbone.features()
        return (Feature(last.channels + 2 * BANK_CHANNELS, last.stride),)

    def extra_inputs(self) -> tuple[str, ...]:
        """What the backbone within takes."""
        return self.backbone.extra_inputs()

    def size_multiple(self) -> int:
        """That of the backbone within."""
        return self.backbone.size_multiple()
