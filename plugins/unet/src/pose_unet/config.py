"""Config of the U-Net. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import BackboneConfig, Feature


class UNetConfig(BackboneConfig):
    """U-Net (Ronneberger et al. 2015) with the parameters of SLEAP (Pereira et al. 2022).

    Level i of the encoder has stride ``stem_stride * 2**i`` and ``filters * rate**i`` channels.
    """

    filters: int = Field(16, ge=1, description="Channels of the finest level.")
    rate: float = Field(2.0, ge=1, description="Factor by which channels grow from level to level.")
    max_stride: int = Field(
        16, description="Stride of the coarsest level, a power of 2; decides the receptive field."
    )
    output_stride: int = Field(4, description="Stride of the output, a power of 2.")
    stem_stride: Literal[1, 2, 4] = Field(
        1,
        description="Stride of a first convolution, so that no level computes at full resolution; 1: no stem.",
    )
    convs_per_block: int = Field(
        2, ge=1, le=8, description="Convolutions a level, in encoder and decoder each."
    )
    middle_block: bool = Field(True, description="Whether the coarsest level has convolutions of its own.")
    up: Literal["bilinear", "transposed"] = Field(
        "bilinear", description="How the decoder doubles the resolution."
    )
    norm: Literal["batch", "group", "none"] = Field(
        "batch", description="Normalisation after each convolution."
    )
    kernel: Literal[1, 3, 5, 7] = Field(3, description="Kernel size of the convolutions.")

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of the smallest network."""
        return {"filters": 4}

    @model_validator(mode="after")
    def _check_strides(self) -> UNetConfig:
        # value & (value - 1) is zero only for powers of 2.
        for name in ("max_stride", "output_stride"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1) or value > 256:
                raise PydanticCustomError(
                    "stride",
                    "{name} must be a power of 2 up to 256, not {value}",
                    {"name": name, "value": value},
                )
        if not self.stem_stride <= self.output_stride <= self.max_stride:
            raise PydanticCustomError(
                "stride",
                "output_stride {output} must lie between stem_stride {stem} and max_stride {coarsest}",
                {"output": self.output_stride, "stem": self.stem_stride, "coarsest": self.max_stride},
            )
        return self

    def levels(self) -> tuple[Feature, ...]:
        """Return channels and stride of each level of the encoder, from fine to coarse."""
        count = (self.max_stride // self.stem_stride).bit_length()
        return tuple(Feature(int(self.filters * self.rate**i), self.stem_stride * 2**i) for i in range(count))

    def features(self) -> tuple[Feature, ...]:
        """Return one map: the decoder's output, or the coarsest level if there is no decoder."""
        levels = self.levels()
        at = next(i for i, level in enumerate(levels) if level.stride == self.output_stride)
        if at == len(levels) - 1 and at > 0 and not self.middle_block:
            # Without convolutions of its own the coarsest level is the pooled one before it.
            return (Feature(levels[at - 1].channels, levels[at].stride),)
        return (levels[at],)

    def size_multiple(self) -> int:
        """Return the coarsest stride, so that every level halves without remainder."""
        return self.max_stride
