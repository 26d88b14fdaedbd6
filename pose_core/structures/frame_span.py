"""Some of the frames of a video or sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pose_core.structures.instances import IntArray


class FrameSpan(NamedTuple):
    """Frames at even steps: ``1000-2000:5``.

    Attributes:
        first, last: numbers of frames, from 0; ``last`` is among them where the steps meet it.
        step: from one to the next, at least 1.
    """

    first: int
    last: int
    step: int = 1

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{self.last}" + (f":{self.step}" if self.step > 1 else "")


def list_frames(spans: Sequence[FrameSpan]) -> IntArray:
    """List the numbers of the frames of some spans.

    Args:
        spans: at least one, in any order; they may overlap.

    Returns:
        (n,) int64: each once, rising.
    """
    return np.unique(np.concatenate([np.arange(s.first, s.last + 1, s.step, dtype=np.int64) for s in spans]))
