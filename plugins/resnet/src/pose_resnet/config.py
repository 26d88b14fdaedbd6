"""Config of ResNet. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import STAGES, BackboneConfig, Feature, FrozenNorms, OutFeatures, Pretrained

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Number of residual blocks of each stage, by depth (He et al. 2016, table 1)."""


def insert_point(stage: int, block: int, blocks: tuple[int, ...]) -> str:
    """Name the insert point after a block.

    Args:
        stage, block: counted from 1; the point after a stage's last block is named after the stage.
        blocks: number of blocks of each stage.
    """
    return f"stage{stage}" if block == blocks[stage - 1] else f"stage{stage}_block{block}"


class ResNetConfig(BackboneConfig):
    """ResNet (He et al. 2016) on timm, with dilated convolutions where the output stride is below 32."""

    depth: Literal[18, 34, 50, 101, 152] = Field(50, description="Number of layers.")
    output_stride: Literal[8, 16, 32] = Field(
        16, description="Stride of the coarsest stages: later ones are dilated instead of strided."
    )
    norm: Literal["batch", "group"] = Field(
        "batch", description="Normalisation; group (for depth 50) does not depend on the batch size."
    )
    pretrained: Pretrained = "auto"
    out_features: OutFeatures = (4,)
    freeze_bn: FrozenNorms = False

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {"depth": 18}

    @model_validator(mode="after")
    def _check_norm(self) -> ResNetConfig:
        # timm has group normalisation, and weights for it, at this depth only.
        if self.norm == "group" and self.depth != 50:
            raise PydanticCustomError(
                "norm",
                "norm: group exists for depth 50 only; use norm: batch for depth {depth}",
                {"depth": self.depth},
            )
        if self.norm == "group" and self.freeze_bn:
            raise PydanticCustomError(
                "norm", "freeze_bn: there is no batch norm with norm: group; leave it out"
            )
        return self

    def features(self) -> tuple[Feature, ...]:
        """Return one map for each of ``out_features``."""
        return tuple(self._feature(stage) for stage in self.out_features)

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """Return a point after each residual block; the last one of a stage has the stage's name."""
        blocks = BLOCKS[self.depth]
        return {
            insert_point(stage, block, blocks): (self._feature(stage),)
            for stage in STAGES[: max(self.out_features)]
            for block in range(1, blocks[stage - 1] + 1)
        }

    def _feature(self, stage: int) -> Feature:
        # From depth 50 on blocks are bottlenecks, which put out four times their channels.
        expansion = 1 if self.depth < 50 else 4
        return Feature(64 * 2 ** (stage - 1) * expansion, min(4 * 2 ** (stage - 1), self.output_stride))

    def timm_name(self) -> str:
        """Return the name of the network in timm."""
        return f"resnet{self.depth}" + ("_gn" if self.norm == "group" else "")
