"""Sides of images that a network can take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pose_core.errors import ConfigError

# Sizes such as 640 * 0.1 may come out a rounding error above a whole number; that must not cost a column.
_ROUNDING = 1e-6


def padded_length(length: float, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``length`` (and at least one multiple)."""
    whole = math.ceil(length - _ROUNDING)
    return max(1, -(-whole // multiple)) * multiple


def check_sides(name: str, size: Sequence[int], multiple: int) -> None:
    """Refuse a size that a network cannot take.

    Args:
        name: of the setting, for the message.
        size: (height, width).
        multiple: the network's ``size_multiple``.

    Raises:
        ConfigError: a side is no multiple of it; names the next larger ones.
    """
    if any(side < 1 or side % multiple for side in size):
        near = [padded_length(side, multiple) for side in size]
        raise ConfigError(
            f"{name}: sides must be multiples of {multiple} for this network; use {near} instead of "
            f"{list(size)}"
        )
