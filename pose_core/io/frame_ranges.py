"""Runs of frame numbers: (first, last), both included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FrameRange = tuple[int, int]


def to_ranges(numbers: npt.ArrayLike) -> list[FrameRange]:
    """The runs that rising numbers form."""
    values = np.asarray(numbers, np.int64)
    if not len(values):
        return []
    breaks = np.flatnonzero(np.diff(values) != 1)
    firsts, lasts = values[np.append(0, breaks + 1)], values[np.append(breaks, len(values) - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def describe_ranges(runs: Sequence[FrameRange], most: int = 5) -> str:
    """``25, 30-41 and 3 more places``, for a message."""
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:most]]
    return ", ".join(parts) + (f" and {len(runs) - most} more places" if len(runs) > most else "")


def count_ranges(runs: Sequence[FrameRange]) -> int:
    """How many numbers the runs hold."""
    return sum(b - a + 1 for a, b in runs)
