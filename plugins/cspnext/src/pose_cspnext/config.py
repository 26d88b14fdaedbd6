"""Config of CSPNeXt. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from pose_core.specs import STAGES, BackboneConfig, Feature, FrozenNorms, OutFeatures

# Of the P5 architecture before both factors: channels of the stem and the stages, blocks of the stages.
_CHANNELS = (64, 128, 256, 512, 1024)
_BLOCKS = (3, 6, 6, 3)


class CSPNeXtConfig(BackboneConfig):
    """CSPNeXt (Lyu et al. 2022) with four stages (P5), the backbone of RTMDet and RTMPose."""

    deepen: float = Field(
        0.33, gt=0, le=4, description="Factor of the number of blocks (3, 6, 6 and 3 in stages 1 to 4)."
    )
    widen: float = Field(
        0.5,
        ge=0.125,
        le=4,
        description="Factor of the number of channels (128, 256, 512 and 1024 in stages 1 to 4).",
    )
    out_features: OutFeatures = (4,)
    freeze_bn: FrozenNorms = False

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {"deepen": 0.1, "widen": 0.125}

    def channels(self) -> tuple[int, ...]:
        """Return the channels after the stem and after each of the four stages."""
        return tuple(int(channels * self.widen) for channels in _CHANNELS)

    def blocks(self) -> tuple[int, ...]:
        """Return the number of blocks of each of the four stages."""
        return tuple(max(round(blocks * self.deepen), 1) for blocks in _BLOCKS)

    def features(self) -> tuple[Feature, ...]:
        """Return one map for each of ``out_features``."""
        return tuple(self._feature(stage) for stage in self.out_features)

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """Return ``stage1`` to ``stage4``, at the end of each."""
        return {f"stage{stage}": (self._feature(stage),) for stage in STAGES[: max(self.out_features)]}

    def _feature(self, stage: int) -> Feature:
        return Feature(self.channels()[stage], 2 ** (stage + 1))
