"""Poses as complex numbers, with centres and sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pose_core.interfaces import TrackerContext
from pose_core.structures import FloatArray
from pose_tracking.motion import Floats, Places, join_places
from pose_tracking.similarity import FAR, Mask, add_up, square

_LENGTH = 12**0.5
"""Length of a bar whose points have a root mean square distance of 1 from its middle."""

_SHARE = 0.05
"""Size of an animal of which nobody knows it, as a share of the frame's diagonal."""

_SIZE = 40.0
"""The same in pixels, where the size of frames is unknown too."""


class Poses(NamedTuple):
    """N poses.

    Attributes:
        there: (N,) whether an animal has any keypoint.
        centres: (N,) means of them, x + iy in pixels; 0 without any.
        sizes: (N,) pixels; NaN where too few keypoints say it.
        points: (N, K) places of keypoints, 0 where missing.
        distant: (N, K) the same, ``FAR`` where missing.
        known: (N, K) whether they are there.
        weights: (N, K) 1 where they are, else 0; complex, as points are, to be multiplied with them.
        counts: (N,) of keypoints that are.
    """

    there: Mask
    centres: Places
    sizes: Floats
    points: Places
    distant: Places
    known: Mask
    weights: Places
    counts: Floats


def measure_poses(keypoints: FloatArray) -> Poses:
    """Measure centres and sizes of poses (N, K, 2), NaN where a keypoint is missing."""
    whole = join_places(keypoints.astype(np.float64))
    known = np.isfinite(whole)
    points: Places = np.where(known, whole, 0.0)
    counts = add_up(known).astype(np.float64)
    some = np.maximum(counts, 1)
    centres = np.asarray(add_up(points) / some, np.complex128)
    spread = add_up(square(points - centres[:, None]) * known)
    sizes = _LENGTH * np.sqrt(spread / some)
    # Two neighbouring keypoints say nothing of the size of the animal.
    sizes[(counts < 0.6 * points.shape[1]) | (sizes <= 0)] = np.nan
    distant: Places = np.where(known, whole, FAR)
    return Poses(counts > 0, centres, sizes, points, distant, known, known.astype(np.complex128), counts)


def guess_size(context: TrackerContext) -> float:
    """Guess the size of animals before one was seen, pixels."""
    return _SHARE * float(np.hypot(context.width, context.height)) or _SIZE
