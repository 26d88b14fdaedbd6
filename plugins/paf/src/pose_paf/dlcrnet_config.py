"""What a user can write about the multi-scale ResNet. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import BackboneConfig, Feature, FrozenNorms, Pretrained

BANK_CHANNELS = 128


class DLCRNetConfig(BackboneConfig):
    """ResNet-50 whose first and second stage are brought to the resolution of the last one and put beside it."""

    output_stride: Literal[16, 32] = Field(
        16, description="Stride of what is put out; for 16 the last stage is dilated instead of strided."
    )
    alignment: Literal["exact", "resized"] = Field(
        "exact",
        description="How the early stages get there. exact: strided convolutions whose cells stay where they are; "
        "resized: convolutions without padding and a resize with antialiasing, as DeepLabCut's weights need.",
    )
    pretrained: Pretrained = "auto"
    freeze_bn: FrozenNorms = False

    def features(self) -> tuple[Feature, ...]:
        """One map: the last stage and both early ones."""
        return (Feature(2048 + 2 * BANK_CHANNELS, self.output_stride),)
