"""Smooth by polynomials that are fitted to the frames around each (Savitzky and Golay, 1964)."""

from __future__ import annotations

import numpy as np

from pose_core.interfaces import Filter, Series
from pose_smoothing.config import SavgolConfig
from pose_smoothing.shapes import Floats, slide


class Savgol(Filter):
    """Each keypoint is the value there of a polynomial through those measured in the frames around.

    At gaps and at the ends it is fitted to fewer of them, and a keypoint with no more neighbours than the order of the
    polynomial stays where it is.
    """

    config: SavgolConfig

    @property
    def reach(self) -> int:
        """Half of the window."""
        return self.config.window // 2

    def apply(self, series: Series) -> Floats:
        """Fit polynomials where a keypoint is; nothing is filled in."""
        points, half, terms = series.points, self.reach, self.config.order + 1
        there = np.asarray(np.isfinite(points).all(axis=-1))
        around = slide(np.where(there[..., None], points, np.nan), half)[there]
        measured = np.isfinite(around[:, 0])
        # Frames that are missing in the same places have the same weights; there are few such patterns.
        patterns, inverse = np.unique(np.packbits(measured, axis=1), axis=0, return_inverse=True)
        masks = np.unpackbits(patterns, axis=1, count=2 * half + 1).astype(bool)
        powers = (np.arange(-half, half + 1) / half)[:, None] ** np.arange(terms)
        weights = np.zeros(masks.shape)
        weights[:, half] = 1.0
        enough = masks.sum(axis=1) >= terms
        # The value at 0 is the first coefficient of the least-squares polynomial.
        weights[enough] = np.linalg.pinv(powers * masks[enough][..., None])[:, 0]
        # About the frame's own place, so that rounding does not grow with the distance from the origin.
        own = points[there]
        off = np.where(measured[:, None], around - own[..., None], 0.0)
        smooth = points.copy()
        smooth[there] = own + np.einsum("nw,ncw->nc", weights[inverse.reshape(-1)], off)
        return smooth
