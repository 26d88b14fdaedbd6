"""Config of the decoder. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from pose_core.specs import Feature, NeckConfig
from pose_unet.blocks import Block, find_skip, plan_blocks, strides_between
from pose_unet.fields import Crop, Kernel, Norm, Outputs, Up, check_crop, check_outputs

LEAST_WIDTH = 32
"""Channels that ``widths: half`` does not go below, where the skip has as many."""


class DecoderConfig(NeckConfig):
    """The decoder of a U-Net (Ronneberger et al. 2015) on the feature maps of any backbone.

    The coarsest map is brought to twice the resolution, joined with the backbone's map of that stride and
    convolved, again and again until the finest output. Maps finer than that are not used.
    """

    outputs: Outputs = Field(
        None,
        description="Strides of the output maps, from fine to coarse, for heads that choose one by feature; "
        "the coarsest may be among them. null: the finest stride that comes in.",
    )
    widths: Literal["half", "full"] | tuple[PositiveInt, ...] = Field(
        "half",
        description="Channels of the blocks. full: as many as the map that is joined; half: half as many, "
        "at least 32; or a list, from the coarsest block. A block that joins nothing has those of the one "
        "before.",
    )
    convs_per_block: int = Field(
        2, ge=1, le=8, description="Convolutions a block; one that joins nothing has one fewer."
    )
    middle_convs: int = Field(
        0,
        ge=0,
        le=8,
        description="Convolutions of a block between backbone and decoder, at half the resolution; 0: there "
        "is none.",
    )
    middle_rate: float = Field(
        2.0, gt=0, le=8, description="Channels of that block, as a multiple of the coarsest map's."
    )
    up: Up = "bilinear"
    crop: Crop = "first"
    norm: Norm = "batch"
    kernel: Kernel = 3

    @model_validator(mode="after")
    def _check(self) -> DecoderConfig:
        check_outputs(self.outputs)
        check_crop(self.up, self.crop)
        return self

    def start(self, features: Sequence[Feature]) -> Feature:
        """Return channels and stride of what the first block gets."""
        coarsest = features[-1]
        if not self.middle_convs:
            return coarsest
        return Feature(max(int(coarsest.channels * self.middle_rate), 1), 2 * coarsest.stride)

    def blocks(self, features: Sequence[Feature]) -> tuple[Block, ...]:
        """Return the blocks, from coarse to fine.

        Args:
            features: those that come in, from fine to coarse.

        Raises:
            ValueError: they do not suit the settings; names the field to change.
        """
        if any(feature.tokens for feature in features):
            raise ValueError("a decoder needs feature maps, and these are keypoint tokens; remove the neck")
        start = self.start(features)
        outputs = self.decided_outputs(features)
        reachable = {start.stride >> i for i in range(start.stride.bit_length()) if not start.stride % 2**i}
        if unknown := [stride for stride in outputs if stride not in reachable]:
            raise ValueError(
                f"outputs: {unknown[0]} is not among the strides that halving {start.stride} leads to: "
                f"{', '.join(map(str, sorted(reachable)))}"
            )
        if outputs == (start.stride,) and not self.middle_convs:
            raise ValueError(
                f"outputs: the coarsest map that comes in has stride {start.stride} already; give a finer "
                "stride, or have the backbone put out coarser maps"
            )
        # Without a middle block the coarsest map is where the blocks start.
        skips = features if self.middle_convs else features[:-1]
        widths = self._widths(start, skips, outputs[0])
        return plan_blocks(start.stride, skips, outputs[0], widths, self.convs_per_block)

    def decided_outputs(self, features: Sequence[Feature]) -> tuple[int, ...]:
        """Return the strides of the outputs, from fine to coarse."""
        return self.outputs or (features[0].stride,)

    def features(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        """Return a map for each of ``outputs``."""
        made = (self.start(features), *(block.output for block in self.blocks(features)))
        wanted = self.decided_outputs(features)
        return tuple(feature for feature in reversed(made) if feature.stride in wanted)

    def size_multiple(self, features: Sequence[Feature]) -> int:
        """Return the stride that the decoder starts from."""
        return self.start(features).stride

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse maps that :meth:`blocks` refuses."""
        self.blocks(features)

    def _widths(self, start: Feature, skips: Sequence[Feature], finest: int) -> tuple[int, ...]:
        strides = strides_between(start.stride, finest)
        if isinstance(self.widths, tuple):
            if len(self.widths) != len(strides):
                raise ValueError(
                    f"widths: {len(self.widths)} are given, and there are {len(strides)} blocks, of the "
                    f"strides {', '.join(map(str, strides))}"
                )
            return self.widths
        widths: list[int] = []
        width = start.channels
        for stride in strides:
            if (skip := find_skip(skips, stride)) is not None:
                channels = skips[skip].channels
                half = max(channels // 2, min(channels, LEAST_WIDTH))
                width = channels if self.widths == "full" else half
            elif not widths:
                # Nothing was joined yet: halved, as most backbones double from stride to stride.
                width = max(width // 2, 1)
            widths.append(width)
        return tuple(widths)
