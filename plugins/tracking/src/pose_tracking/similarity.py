"""How similar poses are: object keypoint similarity, and that of centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pose_tracking.motion import Floats, Ints, Places

SCALE = 0.65
"""Root of the area of a usual animal, in its sizes."""

Mask = npt.NDArray[np.bool_]


def compare_keypoints(
    apart: Places, common: Mask | Floats, most: npt.NDArray[np.int64], sizes: Floats, stddev: float
) -> Floats:
    """Compute the object keypoint similarity of pairs of poses, times the share of keypoints that both have.

    Args:
        apart: (T, N, K) differences x + iy; any finite number where one has no keypoint.
        common: (T, N, K) whether both have it; True or 1.
        most: (T, N) keypoints of the one that has more, or whatever else counts as all of them.
        sizes: (T,) of the animals in pixels.
        stddev: tolerance of keypoints, relative to size.

    Returns:
        (T, N) from 0 to 1.
    """
    scale = -2 * (SCALE * 2 * stddev * sizes) ** 2
    near = add_up(np.exp(square(apart) / scale[:, None, None]) * common)
    return np.asarray(near / np.maximum(most, 1))


def compare_centres(apart: Places, sizes: Floats) -> Floats:
    """Compute the similarity of centres (T, N) that lie ``apart``, 0 to 1; half a size away it is 0.6."""
    return np.asarray(np.exp(square(apart) * (-2 / sizes**2)[:, None]))


def compare_within(
    points: Places, known: Mask, sizes: Floats, some: Ints, others: Ints, stddev: float
) -> Floats:
    """Compute the similarity of poses of one frame, (S, O), over the keypoints that both have.

    Args:
        points, known, sizes: (N, K), (N, K) and (N,) of all of them.
        some, others: (S,) and (O,) rows.
        stddev: as for :func:`compare_keypoints`.
    """
    # Of a second detection often only some keypoints are found: those that both have decide.
    common = known[some, None] & known[others]
    squared = square(points[some, None] - points[others])
    scale = 2 * (SCALE * np.maximum(sizes[some, None], sizes[others]) * 2 * stddev) ** 2
    near = add_up(np.exp(-squared / scale[..., None]) * common)
    return np.asarray(near / np.maximum(add_up(common), 1))


# Sums are called on the ufunc, which for a few animals takes half the time of the method.
def add_up(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sum over the last axis."""
    return np.asarray(np.add.reduce(values, axis=-1))


def square(points: Places) -> Floats:
    """Compute the squared length of each."""
    return np.asarray(points.real**2 + points.imag**2)
