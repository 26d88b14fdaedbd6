"""Config of ConvNeXt. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import STAGES, BackboneConfig, Feature, OutFeatures, Pretrained

Four = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]

VARIANTS: dict[str, tuple[Four, Four]] = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
"""Blocks and channels of the stages (Liu et al. 2022, section 3)."""

_PUBLISHED_KERNEL = 4


class ConvNeXtConfig(BackboneConfig):
    """ConvNeXt (Liu et al. 2022) on torchvision's blocks: a patch stem and four stages, each of which but the
    first halves the resolution."""

    size: Literal["tiny", "small", "base", "large"] = Field(
        "tiny", description="Which of the published networks; depths and channels override it."
    )
    depths: Four | None = Field(None, description="Blocks of the four stages; null: those of size.")
    channels: Four | None = Field(None, description="Channels of the four stages; null: those of size.")
    stem_patch_kernel: Literal[2, 4, 8] = Field(4, description="Kernel size of the stem.")
    stem_patch_stride: Literal[2, 4] = Field(
        4,
        description="Stride of the stem and of the first stage; with 2 all maps are twice as fine, and the "
        "published weights still fit.",
    )
    stem_padding: int | None = Field(
        None,
        ge=0,
        description="Pixels around the image in the stem; null: half of kernel minus stride, so that cells "
        "tile the image. For imported weights that were trained otherwise.",
    )
    drop_path_rate: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Stochastic depth: probability in training that the last block is left out for an image; "
        "it grows to this linearly from the first block on.",
    )
    pretrained: Pretrained = "auto"
    out_features: OutFeatures = (4,)
    taps: Literal["after", "before"] = Field(
        "after",
        description="Where the maps of out_features are taken. after: what each stage puts out. before: what "
        "goes into each stage, and beside these maps the output of the last.",
    )

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {"depths": [1, 1, 1, 1], "channels": [8, 16, 24, 32], "pretrained": False}

    @model_validator(mode="after")
    def _check(self) -> ConvNeXtConfig:
        kernel, stride, padding = self.stem_patch_kernel, self.stem_patch_stride, self.decided_padding()
        # Else it would leave out pixels, or give more or fewer cells than the sides divided by the stride.
        if kernel < stride or not kernel - stride <= 2 * padding < kernel:
            raise PydanticCustomError(
                "stem",
                "a stem with stem_patch_kernel {kernel}, stem_patch_stride {stride} and stem_padding "
                "{padding} does not cover the image cell by cell; leave stem_padding out, with a kernel "
                "not below the stride",
                {"kernel": kernel, "stride": stride, "padding": padding},
            )
        if self.pretrained and self.published() is None:
            raise PydanticCustomError(
                "pretrained",
                "pretrained: there are no published weights for depths {depths}, channels {channels} and "
                "stem_patch_kernel {kernel}; set pretrained: false",
                {
                    "depths": list(self.decided_depths()),
                    "channels": list(self.decided_channels()),
                    "kernel": kernel,
                },
            )
        return self

    def decided_depths(self) -> Four:
        """Return the number of blocks of each stage."""
        return self.depths or VARIANTS[self.size][0]

    def decided_channels(self) -> Four:
        """Return the channels of each stage."""
        return self.channels or VARIANTS[self.size][1]

    def decided_padding(self) -> int:
        """Return the padding of the stem."""
        if self.stem_padding is not None:
            return self.stem_padding
        return max(self.stem_patch_kernel - self.stem_patch_stride, 0) // 2

    def published(self) -> str | None:
        """Return the size whose published weights fit; None where none do."""
        own = self.decided_depths(), self.decided_channels()
        if self.stem_patch_kernel != _PUBLISHED_KERNEL:
            return None
        return next((size for size, variant in VARIANTS.items() if variant == own), None)

    def features(self) -> tuple[Feature, ...]:
        """Return one map for each of ``out_features``; with ``taps: before`` the output of the last, too."""
        maps = tuple(self._feature(stage) for stage in self.out_features)
        return maps if self.taps == "after" else (*maps, maps[-1])

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """Return ``stage1`` to ``stage4``, at the end of each."""
        return {f"stage{stage}": (self._feature(stage),) for stage in STAGES[: max(self.out_features)]}

    def _feature(self, stage: int) -> Feature:
        return Feature(self.decided_channels()[stage - 1], self.stem_patch_stride * 2 ** (stage - 1))
