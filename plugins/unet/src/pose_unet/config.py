"""Config of the U-Net. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import BackboneConfig, Feature
from pose_unet.blocks import Block, plan_blocks, strides_between
from pose_unet.fields import MAX_STRIDE, Crop, Kernel, Norm, Outputs, Up, check_crop, check_outputs, is_stride


class UNetConfig(BackboneConfig):
    """U-Net (Ronneberger et al. 2015) with the parameters of SLEAP (Pereira et al. 2022).

    Level i of the encoder has stride ``stem_stride * 2**i`` and ``filters * rate**i`` channels; with a stem
    of blocks these count as levels, too.
    """

    filters: int = Field(16, ge=1, description="Channels of the finest level.")
    rate: float = Field(2.0, ge=1, description="Factor by which channels grow from level to level.")
    max_stride: int = Field(
        16, description="Stride of the coarsest level, a power of 2; decides the receptive field."
    )
    output_stride: int = Field(4, description="Stride of the finest output, a power of 2.")
    outputs: Outputs = Field(
        None,
        description="Strides of several output maps, from fine to coarse, for heads that choose one by "
        "feature; the finest is output_stride, and max_stride may be among them. null: output_stride alone.",
    )
    stem_stride: Literal[1, 2, 4] = Field(1, description="Stride of the finest level; 1: there is no stem.")
    stem: Literal["conv", "convolutions", "convolutions_only"] = Field(
        "conv",
        description="What leads to stem_stride. conv: one convolution, so that nothing computes at full "
        "resolution. convolutions: blocks of 7x7 convolutions from full resolution on, each pooled. "
        "convolutions_only: the same, and the finest level has no further convolutions.",
    )
    convs_per_block: int = Field(2, ge=1, le=8, description="Convolutions a level of the encoder.")
    decoder_convs: int | None = Field(
        None, ge=1, le=8, description="Convolutions a level of the decoder; null: convs_per_block."
    )
    middle_block: bool = Field(True, description="Whether the coarsest level has convolutions of its own.")
    up: Up = "bilinear"
    crop: Crop = "first"
    norm: Norm = "batch"
    kernel: Kernel = 3

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {"filters": 4}

    @model_validator(mode="before")
    @classmethod
    def _finest_output_follows(cls, value: object) -> object:
        """Take the output stride from ``outputs`` where it is not written."""
        if isinstance(value, dict) and "output_stride" not in value:
            outputs = value.get("outputs")
            if isinstance(outputs, list | tuple) and outputs and all(isinstance(s, int) for s in outputs):
                return {**value, "output_stride": min(outputs)}
        return value

    @model_validator(mode="after")
    def _check(self) -> UNetConfig:
        check_outputs(self.outputs)
        check_crop(self.up, self.crop)
        for name in ("max_stride", "output_stride"):
            value = getattr(self, name)
            if not is_stride(value):
                raise PydanticCustomError(
                    "stride",
                    "{name} must be a power of 2 up to {most}, not {value}",
                    {"name": name, "value": value, "most": MAX_STRIDE},
                )
        # Blocks of convolutions start at full resolution; a single one leaves nothing finer to be joined.
        finest = self.stem_stride if self.stem == "conv" else 1
        if not (finest <= self.output_stride <= self.max_stride and self.stem_stride <= self.max_stride):
            raise PydanticCustomError(
                "stride",
                "output_stride {output} must lie between stem_stride {stem} and max_stride {coarsest}",
                {"output": self.output_stride, "stem": self.stem_stride, "coarsest": self.max_stride},
            )
        if self.outputs is not None and (
            self.outputs[0] != self.output_stride or self.outputs[-1] > self.max_stride
        ):
            raise PydanticCustomError(
                "stride",
                "outputs {outputs} must go from output_stride {output} to max_stride {coarsest} at most; "
                "change one of them",
                {
                    "outputs": list(self.outputs),
                    "output": self.output_stride,
                    "coarsest": self.max_stride,
                },
            )
        if self.stem != "conv" and self.stem_stride == 1:
            raise PydanticCustomError(
                "stem", "stem: {stem} needs stem_stride 2 or 4; leave it out", {"stem": self.stem}
            )
        return self

    def stem_blocks(self) -> tuple[int, ...]:
        """Return the channels of each block of the stem; nothing for ``stem: conv``."""
        count = 0 if self.stem == "conv" else self.stem_stride.bit_length() - 1
        return tuple(self._channels(i) for i in range(count))

    def levels(self) -> tuple[Feature, ...]:
        """Return channels and stride of each level of the encoder, from fine to coarse, as if each had
        convolutions."""
        count = (self.max_stride // self.stem_stride).bit_length()
        # With convolutions_only the last block of the stem takes the place of the finest level's.
        before = len(self.stem_blocks()) - (self.stem == "convolutions_only")
        return tuple(Feature(self._channels(before + i), self.stem_stride * 2**i) for i in range(count))

    def encoder_maps(self) -> tuple[Feature, ...]:
        """Return channels and stride of the maps of the encoder, from fine to coarse."""
        levels = self.levels()
        if self.middle_block or len(levels) == 1:
            return levels
        # Without convolutions of its own the coarsest level is the pooled one before it.
        return (*levels[:-1], Feature(levels[-2].channels, levels[-1].stride))

    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks of the decoder, from coarse to fine."""
        maps = self.encoder_maps()
        # The decoder stops at the finest output: finer levels would be computed for nothing.
        strides = strides_between(self.max_stride, self.output_stride)
        channels = {feature.stride: feature.channels for feature in maps}
        # Finer than the finest level it has the channels of that.
        widths = [channels.get(stride, maps[0].channels) for stride in strides]
        convolutions = self.decoder_convs or self.convs_per_block
        return plan_blocks(self.max_stride, maps[:-1], self.output_stride, widths, convolutions)

    def features(self) -> tuple[Feature, ...]:
        """Return a map for each stride of ``outputs``, from the decoder or, for ``max_stride``, the coarsest
        level."""
        made = (self.encoder_maps()[-1], *(block.output for block in self.blocks()))
        wanted = self.outputs or (self.output_stride,)
        return tuple(feature for feature in reversed(made) if feature.stride in wanted)

    def size_multiple(self) -> int:
        """Return the coarsest stride, so that every level halves without remainder."""
        return self.max_stride

    def _channels(self, level: int) -> int:
        return int(self.filters * self.rate**level)
