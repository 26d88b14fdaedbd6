"""Config of HRNet. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from pose_core.specs import BackboneConfig, Feature, FrozenNorms, Pretrained

STRIDES = (4, 8, 16, 32)
INCREMENTAL_CHANNELS = 128
"""Channels of the finest branch behind timm's module that increases them, for every width."""


class HRNetConfig(BackboneConfig):
    """HRNet (Sun et al. 2019; Wang et al. 2020) on timm.

    Four branches, of strides 4 to 32, run in parallel.
    """

    width: Literal[18, 32, 48] = Field(
        32, description="Channels of the finest branch; each coarser branch has twice as many."
    )
    branches: Literal["first", "concatenated", "incremental", "all"] = Field(
        "first",
        description="Output maps. first: the finest branch (stride 4). concatenated: all four, interpolated "
        "to stride "
        "4 and joined to one map of 15 widths. incremental: the finest branch, increased to 128 channels. "
        "all: four "
        "maps, of strides 4 to 32.",
    )
    pretrained: Pretrained = "auto"
    freeze_bn: FrozenNorms = False

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {"width": 18}

    def features(self) -> tuple[Feature, ...]:
        """Return one map of stride 4, or four maps with ``branches: all``."""
        if self.branches == "all":
            return tuple(Feature(self.width * 2**i, stride) for i, stride in enumerate(STRIDES))
        channels = {"first": self.width, "concatenated": 15 * self.width, "incremental": INCREMENTAL_CHANNELS}
        return (Feature(channels[self.branches], STRIDES[0]),)

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """Return ``transition1`` to ``transition3``: the branches before the stages 2 to 4."""
        # Each transition adds a coarser branch to those of the stage before.
        branches = tuple(Feature(self.width * 2**i, stride) for i, stride in enumerate(STRIDES))
        return {f"transition{n}": branches[: n + 1] for n in (1, 2, 3)}

    def size_multiple(self) -> int:
        """Return the stride of the coarsest branch, which takes part whatever the output is."""
        return STRIDES[-1]

    def timm_name(self) -> str:
        """Return the name of the network in timm."""
        return f"hrnet_w{self.width}"
