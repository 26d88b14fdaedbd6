"""Config of the Swin Transformer. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import STAGES, BackboneConfig, Feature, OutFeatures, Pretrained

Four = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]

VARIANTS: dict[str, tuple[int, Four, Four]] = {
    "tiny": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
}
"""Channels of the first stage, blocks and attention heads of the stages (Liu et al. 2021, section 3.3)."""

_PUBLISHED_PATCH, _PUBLISHED_WINDOW = 4, 7


class SwinConfig(BackboneConfig):
    """Swin Transformer (Liu et al. 2021), version 1, on torchvision's blocks: patches and four stages, each
    of which but the first halves the resolution and doubles the channels."""

    size: Literal["tiny", "small", "base"] = Field(
        "tiny",
        description="Which of the published networks; embed_dim, depths and num_heads override it.",
    )
    embed_dim: PositiveInt | None = Field(
        None, description="Channels of the first stage; null: those of size."
    )
    depths: Four | None = Field(None, description="Blocks of the four stages; null: those of size.")
    num_heads: Four | None = Field(
        None,
        description="Attention heads of the four stages, divisors of their channels; null: those of size.",
    )
    window_size: int = Field(
        7, ge=2, le=32, description="Cells a side of the windows within which cells attend to one another."
    )
    patch_size: Literal[2, 4, 8] = Field(4, description="Pixels a side that a cell of the first stage sees.")
    stem_patch_stride: Literal[2, 4] = Field(
        4,
        description="Pixels from patch to patch, the stride of the first stage; with 2 patches overlap, all "
        "maps are twice as fine, and the published weights still fit.",
    )
    stem_padding: int | None = Field(
        None,
        ge=0,
        description="Pixels around the image in the stem; null: half of patch_size minus stride, so that "
        "cells tile the image. For imported weights that were trained otherwise.",
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
        "goes into each stage, and beside these maps the output of the last. The output of stage 4 is "
        "normalised.",
    )

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {
            "embed_dim": 8,
            "depths": [1, 1, 2, 1],
            "num_heads": [1, 1, 2, 2],
            "window_size": 3,
            "pretrained": False,
        }

    @model_validator(mode="after")
    def _check(self) -> SwinConfig:
        patch, stride, padding = self.patch_size, self.stem_patch_stride, self.decided_padding()
        # Else it would leave out pixels, or give more or fewer cells than the sides divided by the stride.
        if patch < stride or not patch - stride <= 2 * padding < patch:
            raise PydanticCustomError(
                "stem",
                "a stem with patch_size {patch}, stem_patch_stride {stride} and stem_padding {padding} does "
                "not cover the image cell by cell; leave stem_padding out, with a patch_size not below the "
                "stride",
                {"patch": patch, "stride": stride, "padding": padding},
            )
        for stage, heads in zip(STAGES, self.decided_heads(), strict=True):
            if self._channels(stage) % heads:
                raise PydanticCustomError(
                    "num_heads",
                    "num_heads: {heads} heads cannot share the {channels} channels of stage {stage}; choose "
                    "a divisor",
                    {"heads": heads, "channels": self._channels(stage), "stage": stage},
                )
        if self.pretrained and self.published() is None:
            raise PydanticCustomError(
                "pretrained",
                "pretrained: there are no published weights for embed_dim {embed}, depths {depths}, "
                "num_heads {heads}, window_size {window} and patch_size {patch}; set pretrained: false",
                {
                    "embed": self.decided_embed(),
                    "depths": list(self.decided_depths()),
                    "heads": list(self.decided_heads()),
                    "window": self.window_size,
                    "patch": patch,
                },
            )
        return self

    def decided_embed(self) -> int:
        """Return the channels of the first stage."""
        return self.embed_dim or VARIANTS[self.size][0]

    def decided_depths(self) -> Four:
        """Return the number of blocks of each stage."""
        return self.depths or VARIANTS[self.size][1]

    def decided_heads(self) -> Four:
        """Return the number of attention heads of each stage."""
        return self.num_heads or VARIANTS[self.size][2]

    def decided_padding(self) -> int:
        """Return the padding of the stem."""
        if self.stem_padding is not None:
            return self.stem_padding
        return max(self.patch_size - self.stem_patch_stride, 0) // 2

    def published(self) -> str | None:
        """Return the size whose published weights fit; None where none do."""
        if (self.patch_size, self.window_size) != (_PUBLISHED_PATCH, _PUBLISHED_WINDOW):
            return None
        own = self.decided_embed(), self.decided_depths(), self.decided_heads()
        return next((size for size, variant in VARIANTS.items() if variant == own), None)

    def features(self) -> tuple[Feature, ...]:
        """Return one map for each of ``out_features``; with ``taps: before`` the output of the last, too."""
        maps = tuple(self._feature(stage) for stage in self.out_features)
        return maps if self.taps == "after" else (*maps, maps[-1])

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """Return ``stage1`` to ``stage4``, at the end of each."""
        return {f"stage{stage}": (self._feature(stage),) for stage in STAGES[: max(self.out_features)]}

    def _channels(self, stage: int) -> int:
        return self.decided_embed() << (stage - 1)

    def _feature(self, stage: int) -> Feature:
        return Feature(self._channels(stage), self.stem_patch_stride * 2 ** (stage - 1))
