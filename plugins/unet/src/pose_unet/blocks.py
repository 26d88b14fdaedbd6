"""Plan the blocks of a decoder. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pose_core.specs import Feature


@dataclass(frozen=True)
class Block:
    """A block of a decoder: doubles the resolution, joins the map of the encoder, and convolves.

    Attributes:
        output: channels and stride of what it puts out.
        skip: number of the map of the encoder that is joined; None where the encoder has none of the stride.
        skip_channels: channels of that map; 0 without one.
        convolutions: how many follow.
    """

    output: Feature
    skip: int | None
    skip_channels: int
    convolutions: int


def strides_between(start: int, finest: int) -> tuple[int, ...]:
    """List the strides of the blocks that lead from one stride to a finer one, from coarse to fine."""
    strides: list[int] = []
    while start > finest:
        start //= 2
        strides.append(start)
    return tuple(strides)


def find_skip(skips: Sequence[Feature], stride: int) -> int | None:
    """Number of the map of the encoder that a block of this stride joins, the first of the stride; None where
    there is none."""
    return next((i for i, feature in enumerate(skips) if feature.stride == stride), None)


def plan_blocks(
    start: int, skips: Sequence[Feature], finest: int, widths: Sequence[int], convolutions: int
) -> tuple[Block, ...]:
    """Plan the blocks from a coarse map to the finest output.

    Args:
        start: stride of the map that the first block gets.
        skips: maps that may be joined.
        finest: stride of the output of the last block.
        widths: channels of each block.
        convolutions: of each block; one that joins nothing has one fewer, and at least one.
    """
    blocks: list[Block] = []
    for stride, width in zip(strides_between(start, finest), widths, strict=True):
        skip = find_skip(skips, stride)
        blocks.append(
            Block(
                Feature(width, stride),
                skip,
                0 if skip is None else skips[skip].channels,
                max(convolutions - 1, 1) if skip is None else convolutions,
            )
        )
    return tuple(blocks)
