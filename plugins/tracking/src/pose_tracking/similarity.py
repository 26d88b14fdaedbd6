"""How similar poses are: object keypoint similarity, and that of centres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pose_tracking.motion import Floats, Ints, Places

if TYPE_CHECKING:
    from pose_tracking.poses import Poses

SCALE = 0.65
"""Root of the area of a usual animal, in its sizes."""

FAR = 1e100
"""Where missing keypoints are put to be compared: from there nothing is similar, and its square is still a number."""

Mask = npt.NDArray[np.bool_]


def compare_keypoints(
    poses: Places, known: Floats, points: Places, most: Floats, sizes: Floats, stddev: float
) -> Floats:
    """Compute the object keypoint similarity of pairs of poses, times the share of keypoints that both have.

    Args:
        poses: (T, K) places x + iy; any finite number where a keypoint is missing.
        known: (T, K) 1 where it is there, else 0.
        points: (N, K) places of the others; :data:`FAR` where one is missing.
        most: (T, N) keypoints of the one that has more, or whatever else counts as all of them; at least 1.
        sizes: (T,) of the animals in pixels.
        stddev: tolerance of keypoints, relative to size.

    Returns:
        (T, N) from 0 to 1.
    """
    scale = -2 * (SCALE * 2 * stddev) ** 2 * (sizes * sizes)
    near = np.exp(square(points - poses[:, None]) / scale[:, None, None])
    # A product of matrices takes half the time of a sum over what both have.
    return np.asarray((near @ known[..., None])[..., 0] / most)


def compare_centres(squared: Floats, sizes: Floats) -> Floats:
    """Compute the similarity of centres (T, N), 0 to 1, by their squared distances; half a size away it is 0.6."""
    return np.asarray(np.exp(squared * (-2 / sizes**2)[:, None]))


def compare_within(found: Poses, sizes: Floats, some: Ints, others: Ints, stddev: float) -> Floats:
    """Compute the similarity of poses of one frame, (S, O), over the keypoints that both have.

    Args:
        found: all N of them.
        sizes: (N,) pixels.
        some, others: (S,) and (O,) rows.
        stddev: as for :func:`compare_keypoints`.
    """
    one, other = found.weights.take(some, axis=0), found.weights.take(others, axis=0)
    apart = found.distant.take(others, axis=0) - found.points.take(some, axis=0)[:, None]
    scale = -2 * (SCALE * 2 * stddev * np.maximum(sizes[some, None], sizes[others])) ** 2
    near = (np.exp(square(apart) / scale[..., None]) @ one.real[..., None])[..., 0]
    # Of a second detection often only some keypoints are found: those that both have decide.
    return np.asarray(near / np.maximum(one.dot(other.T).real, 1))


# Sums are called on the ufunc, which for a few animals takes half the time of the method.
def add_up(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sum over the last axis."""
    return np.asarray(np.add.reduce(values, axis=-1))


def square(places: Places) -> Floats:
    """Compute the squared length of each."""
    return np.asarray((places * places.conj()).real)
