"""What a user can write about an HRNet. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pose_core.specs import BackboneConfig, Feature, FrozenNorms, Pretrained

STRIDES = (4, 8, 16, 32)
INCREMENTAL_CHANNELS = 128
"""Channels of the finest branch behind timm's module that increases them, for every width."""


class HRNetConfig(BackboneConfig):
    """HRNet (Sun et al. 2019; Wang et al. 2020) on timm: four branches, of strides 4 to 32, that run in parallel."""

    width: Literal[18, 32, 48] = Field(
        32, description="Channels of the finest branch; each coarser branch has twice as many."
    )
    branches: Literal["first", "concatenated", "incremental", "all"] = Field(
        "first",
        description="What is put out. first: the finest branch (stride 4). concatenated: all four, brought to stride 4 "
        "and joined to one map of 15 widths. incremental: the finest branch, increased to 128 channels. all: four "
        "maps, of strides 4 to 32.",
    )
    pretrained: Pretrained = "auto"
    freeze_bn: FrozenNorms = False

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        """The smallest."""
        return {"width": 18}

    def features(self) -> tuple[Feature, ...]:
        """One map of stride 4, or four maps with ``branches: all``."""
        if self.branches == "all":
            return tuple(Feature(self.width * 2**i, stride) for i, stride in enumerate(STRIDES))
        channels = {"first": self.width, "concatenated": 15 * self.width, "incremental": INCREMENTAL_CHANNELS}
        return (Feature(channels[self.branches], STRIDES[0]),)

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """``transition1`` to ``transition3``: the branches, a new one among them, before the stages 2 to 4."""
        branches = tuple(Feature(self.width * 2**i, stride) for i, stride in enumerate(STRIDES))
        return {f"transition{n}": branches[: n + 1] for n in (1, 2, 3)}

    def size_multiple(self) -> int:
        """The stride of the coarsest branch: it takes part whatever is put out."""
        return STRIDES[-1]

    def timm_name(self) -> str:
        """Name of the network in timm."""
        return f"hrnet_w{self.width}"
