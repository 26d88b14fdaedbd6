"""Join frame numbers to ranges (first, last), both included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FrameRange = tuple[int, int]


def to_ranges(numbers: npt.ArrayLike) -> list[FrameRange]:
    """Join increasing numbers to ranges."""
    values = np.asarray(numbers, np.int64)
    if not len(values):
        return []
    breaks = np.flatnonzero(np.diff(values) != 1)
    firsts, lasts = values[np.append(0, breaks + 1)], values[np.append(breaks, len(values) - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def add_to_ranges(ranges: list[FrameRange], number: int) -> None:
    """Append a number, larger than all in the ranges, to the last one or as a new one."""
    if ranges and ranges[-1][1] == number - 1:
        ranges[-1] = (ranges[-1][0], number)
    else:
        ranges.append((number, number))


def describe_ranges(ranges: Sequence[FrameRange], limit: int = 5) -> str:
    """Describe ranges for a message: ``25, 30-41 and 3 more places``."""
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in ranges[:limit]]
    return ", ".join(parts) + (f" and {len(ranges) - limit} more places" if len(ranges) > limit else "")


def count_ranges(ranges: Sequence[FrameRange]) -> int:
    """Count the numbers in some ranges."""
    return sum(b - a + 1 for a, b in ranges)
