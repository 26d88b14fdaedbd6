"""Fill short gaps in by straight lines."""

from __future__ import annotations

import numpy as np

from pose_core.interfaces import Filter, Series
from pose_smoothing.config import InterpolateConfig
from pose_smoothing.shapes import Floats


class Interpolate(Filter):
    """A keypoint that is missing for a few frames lies on the line between where it was before and after."""

    config: InterpolateConfig

    @property
    def reach(self) -> int:
        """From the last frame of a gap to the one before it."""
        return self.config.max_gap

    def apply(self, series: Series) -> Floats:
        """Fill gaps in; nothing else changes."""
        points = series.points
        length = len(points)
        there = np.isfinite(points).all(axis=-1)
        frames = np.arange(length).reshape(-1, 1, 1)
        before = np.maximum.accumulate(np.where(there, frames, -1), axis=0)
        after = np.minimum.accumulate(np.where(there, frames, length)[::-1], axis=0)[::-1]
        gap = ~there & (before >= 0) & (after < length) & (after - before - 1 <= self.config.max_gap)
        t, a, k = np.nonzero(gap)
        one, other = before[gap], after[gap]
        share = ((t - one) / (other - one))[:, None]
        filled = points.copy()
        filled[t, a, k] = (1 - share) * points[one, a, k] + share * points[other, a, k]
        return filled
