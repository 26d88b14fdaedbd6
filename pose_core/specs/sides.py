"""Sides of images that a network can take."""

from __future__ import annotations

from collections.abc import Sequence

from pose_core.errors import ConfigError


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
        near = [max(1, -(-side // multiple)) * multiple for side in size]
        raise ConfigError(
            f"{name}: sides must be multiples of {multiple} for this network; use {near} instead of {list(size)}"
        )
