"""Poses as complex numbers, with centres and sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_core.interfaces import TrackerContext
from pose_core.structures import FloatArray
from pose_tracking.motion import Floats, Places, join_places
from pose_tracking.similarity import Mask, add_up, square

_LENGTH = 12**0.5
"""Length of a bar whose points have a root mean square distance of 1 from its middle."""

_SHARE = 0.05
"""Size of an animal of which nobody knows it, as a share of the frame's diagonal."""

_SIZE = 40.0
"""The same in pixels, where the size of frames is unknown too."""


@dataclass(frozen=True, eq=False)
class Poses:
    """N poses.

    Attributes:
        points: (N, K) places x + iy in pixels, 0 where missing.
        known: (N, K) whether they are there.
        counts: (N,) of keypoints that are.
        centres: (N,) means of them; 0 without any.
        sizes: (N,) pixels; NaN where too few keypoints say it.
    """

    points: Places
    known: Mask
    counts: Floats
    centres: Places
    sizes: Floats


def measure_poses(keypoints: FloatArray) -> Poses:
    """Measure centres and sizes of poses (N, K, 2), NaN where a keypoint is missing."""
    whole = join_places(keypoints.astype(np.float64))
    known = np.isfinite(whole)
    points = np.where(known, whole, 0.0)
    counts = add_up(known)
    some = np.maximum(counts, 1)
    centres = add_up(points) / some
    spread = add_up(square(points - centres[:, None]) * known)
    sizes = _LENGTH * np.sqrt(spread / some)
    # Two neighbouring keypoints say nothing of the size of the animal.
    sizes[(counts < 0.6 * points.shape[1]) | (sizes <= 0)] = np.nan
    return Poses(points, known, counts, centres, sizes)


def guess_size(context: TrackerContext) -> float:
    """Guess the size of animals before one was seen, pixels."""
    return _SHARE * float(np.hypot(context.width, context.height)) or _SIZE
