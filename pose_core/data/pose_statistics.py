"""Measure how poses are turned, and whether mirrored ones look like them, from labels alone.

The shape of a pose is its keypoints about their centre, as complex numbers x + iy. The correlation of two
shapes over their common keypoints says by its angle how the one is turned onto the other, and by its size how
alike they are then (Procrustes analysis; Dryden and Mardia, Statistical Shape Analysis, 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_core.structures import present_keypoints

MOST_POSES = 200
"""More poses are sampled, evenly."""

FEWEST_KEYPOINTS = 3
"""Common keypoints of two poses whose shapes are compared: two have no shape."""

# Distance of shapes (of size 1) that labels by hand have anyway; keeps the ratios of exact ones finite.
_NOISE = 0.01

_Floats = npt.NDArray[np.float64]
_Complex = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class PoseStatistics:
    """How poses are turned and what their mirror images look like.

    Attributes:
        poses: number of poses that were compared.
        concentration: length of the mean direction, 1 where all have the same.
        turn: degrees from the mean direction within which 95 % of the poses are.
        mirrored: median distance of mirrored poses to others, as a multiple of that of the poses themselves,
            after turning one onto the other.
        mirrored_upright: the same without turning.
        size_range: factor between the sizes of small and large poses (5 and 95 %).
    """

    poses: int
    concentration: float
    turn: float
    mirrored: float
    mirrored_upright: float
    size_range: float


def measure_poses(keypoints: npt.NDArray[np.floating], mirror: Sequence[int]) -> PoseStatistics | None:
    """Compare each pose with each other, and with the mirror images of the others.

    Args:
        keypoints: (N, K, 2) of the animals, pixels, NaN where missing; without landmarks.
        mirror: for each keypoint the index of the one whose place it takes in a mirrored image.

    Returns:
        None where there are no two poses with three common keypoints.
    """
    points = np.asarray(keypoints, np.float64)
    labelled = present_keypoints(points)
    rows = np.flatnonzero(labelled.sum(axis=1) >= FEWEST_KEYPOINTS)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_POSES)).round().astype(int)]
    if len(rows) < 2:
        return None
    weights = labelled[rows].astype(np.float64)
    shapes: _Complex = np.where(labelled[rows], points[rows, :, 0] + 1j * points[rows, :, 1], 0)
    shapes -= weights * (shapes.sum(axis=1) / weights.sum(axis=1))[:, None]
    order = list(mirror)
    alike, known, ratios = _correlate(shapes, weights, shapes, weights)
    flipped, known_flipped, _ = _correlate(-shapes[:, order].conj(), weights[:, order], shapes, weights)
    # A pose says nothing when it is compared with itself.
    np.fill_diagonal(known, False)
    np.fill_diagonal(known_flipped, False)
    if not known.any() or not known_flipped.any():
        return None
    own, own_upright = _distances(alike[known])
    other, other_upright = _distances(flipped[known_flipped])
    angles = _directions(alike, known)
    sizes = np.where(known, ratios, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    small, large = np.percentile(sizes[known.any(axis=1)], (5, 95))
    mean = np.exp(1j * angles).mean()
    turns = np.abs(np.angle(np.exp(1j * (angles - np.angle(mean)))))
    return PoseStatistics(
        poses=len(rows),
        concentration=float(abs(mean)),
        turn=float(np.degrees(np.percentile(turns, 95))),
        mirrored=(other + _NOISE) / (own + _NOISE),
        mirrored_upright=(other_upright + _NOISE) / (own_upright + _NOISE),
        size_range=float(np.exp(large - small)),
    )


def _correlate(
    one: _Complex, of_one: _Floats, other: _Complex, of_other: _Floats
) -> tuple[_Complex, npt.NDArray[np.bool_], _Floats]:
    """Correlations (N, N) of shapes (N, K) over their common keypoints, which are known, and log ratios of sizes.

    Args:
        one, other: shapes, 0 where missing.
        of_one, of_other: 1 where a keypoint is labelled, else 0.
    """
    count = of_one @ of_other.T
    sums_one, sums_other = one @ of_other.T, of_one @ other.T
    least = np.maximum(count, 1)
    cross = one.conj() @ other.T - sums_one.conj() * sums_other / least
    spread_one = (np.abs(one) ** 2) @ of_other.T - np.abs(sums_one) ** 2 / least
    spread_other = of_one @ (np.abs(other) ** 2).T - np.abs(sums_other) ** 2 / least
    size = np.sqrt(np.maximum(spread_one, 0) * np.maximum(spread_other, 0))
    # Keypoints that all lie in one place have no shape.
    known = (count >= FEWEST_KEYPOINTS) & (size > 1e-9)
    positive = np.where(known, spread_one, 1), np.where(known, spread_other, 1)
    ratios = np.log(positive[0] / positive[1]) / 2
    return np.where(known, cross / np.where(known, size, 1), 0), known, ratios


def _distances(correlations: _Complex) -> tuple[float, float]:
    """Median distance of two shapes of size 1 after turning and scaling, and without turning."""
    turned = np.sqrt(np.maximum(2 - 2 * np.abs(correlations), 0))
    upright = np.sqrt(np.maximum(2 - 2 * correlations.real, 0))
    return float(np.median(turned)), float(np.median(upright))


def _directions(alike: _Complex, known: npt.NDArray[np.bool_]) -> _Floats:
    """One angle for each pose (N,), radians, which together explain best how each is turned onto each."""
    # The leading eigenvector of a Hermitian matrix whose entries turn pose i onto pose j.
    values = np.where(known, alike, 0)
    np.fill_diagonal(values, 1)
    _, vectors = np.linalg.eigh((values + values.conj().T) / 2)
    angles: _Floats = -np.angle(vectors[:, -1])
    return angles
