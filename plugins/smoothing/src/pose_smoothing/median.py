"""Remove spikes by the median of the frames around each."""

from __future__ import annotations

import numpy as np

from pose_core.interfaces import Filter, Series
from pose_smoothing.config import MedianConfig
from pose_smoothing.shapes import Floats, slide


class Median(Filter):
    """Each coordinate is the median of those measured in the frames around; ends have fewer of them."""

    config: MedianConfig

    @property
    def reach(self) -> int:
        """Half of the window."""
        return self.config.window // 2

    def apply(self, series: Series) -> Floats:
        """Take medians where a keypoint is; nothing is filled in."""
        there = np.asarray(np.isfinite(series.points).all(axis=-1))
        ordered = np.sort(slide(series.points, self.reach), axis=-1)
        # NaN is sorted to the end.
        count = np.isfinite(ordered).sum(axis=-1)
        low, high = (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[-1] - 1))
        middle = [np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (low, high)]
        return np.where(there[..., None], (middle[0] + middle[1]) / 2, np.nan)
