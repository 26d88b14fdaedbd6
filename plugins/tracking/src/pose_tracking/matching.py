"""Match animals to tracks, and tell high scores from low ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pose_core.structures import FloatArray, Instances

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BINS = 200
_QUANTILE = 0.95


def assign(similarity: Floats, least: float) -> tuple[Ints, Ints]:
    """Pair tracks with animals so that similarities beyond ``least`` sum up to most.

    That is the assignment in which 'lost' and 'new' cost as much as a pair with the similarity ``least``: no pair
    below it is ever made, and none forces others to change partners.

    Args:
        similarity: (T, D); -inf for pairs outside the gate.
        least: similarity that a pair must exceed.

    Returns:
        rows and columns of the pairs.
    """
    gain = np.maximum(similarity - least, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    real = gain[rows, columns] > 0
    # Quicker than all() for a few.
    if np.count_nonzero(real) == len(rows):
        return rows, columns
    return rows[real], columns[real]


def assign_greedily(similarity: Floats, least: float) -> tuple[Ints, Ints]:
    """Pair tracks with animals one after another, the most similar first; arguments as for :func:`assign`."""
    left = np.where(similarity > least, similarity, -np.inf)
    rows, columns = [], []
    while left.size and (best := np.unravel_index(left.argmax(), left.shape)) and np.isfinite(left[best]):
        rows.append(best[0])
        columns.append(best[1])
        left[best[0]], left[:, best[1]] = -np.inf, -np.inf
    return np.array(rows, np.int64), np.array(columns, np.int64)


def compute_margins(similarity: Floats, tracks: Ints, ids: Ints, least: float) -> FloatArray:
    """Compute how much better each match is than the next-best one.

    That is, the least of what it would cost that a matched pair exchanges animals with another pair (for each of the
    two, so half of the sum), takes an animal that began a track, or leaves its animal to a track that has none. It is
    a bound of the true second-best assignment, which may exchange more than two.

    Args:
        similarity: (T, D); -inf for pairs outside the gate.
        tracks: (T,) ids of the tracks.
        ids: (D,) what the animals were given; -1 for none, others than ``tracks`` for new ones.
        least: similarity that a pair must exceed; others are no rivals.

    Returns:
        (D,) float32 in [0, 1]; NaN for animals that continue no track, and those without a rival.
    """
    margins = np.full(len(ids), np.nan, np.float32)
    own = tracks[:, None] == ids
    possible = similarity > least
    matched = own & possible
    # Mostly nobody else is near.
    if np.count_nonzero(possible) == np.count_nonzero(matched):
        return margins
    row, column = np.nonzero(possible & ~own & (ids >= 0))
    if not len(row):
        return margins
    gain = np.where(possible, similarity, 0.0)
    # Whom the track of each rival pair has, and who has its animal; -1 for nobody.
    animal = np.where(matched.any(axis=1), matched.argmax(axis=1), -1)[row]
    track = np.where(matched.any(axis=0), matched.argmax(axis=0), -1)[column]
    mine, theirs = gain[row, animal], gain[track, column]
    crossed = gain[row, column]
    nearest = np.full(len(ids), np.inf)
    # An exchange, the animal left to a track that has none, and a track that takes an animal that began one.
    both = (animal >= 0) & (track >= 0)
    exchange = ((mine + theirs - crossed - gain[track, animal]) / 2)[both]
    np.minimum.at(nearest, column[both], exchange)
    np.minimum.at(nearest, animal[both], exchange)
    left = (animal < 0) & (track >= 0)
    np.minimum.at(nearest, column[left], (theirs - crossed)[left])
    begun = (animal >= 0) & ~own.any(axis=0)[column]
    np.minimum.at(nearest, animal[begun], (mine - crossed)[begun])
    known = np.isfinite(nearest)
    margins[known] = np.clip(nearest[known], 0.0, 1.0)
    return margins


class ScoreScale:
    """Scores relative to those of the video so far.

    Mean keypoint scores of one model may hardly exceed 0.5 and those of another be 1 throughout; thresholds mean the
    same for both. The scale is the 95th percentile of all animals up to and with the current frame, of a histogram.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def scale(self, animals: Instances) -> Floats:
        """Take note of a frame, and return the relative scores (N,) of its animals, up to 1."""
        scores = np.asarray(animals.scores, np.float64)
        if not np.isfinite(scores).all():
            scores = np.where(np.isfinite(scores), scores, animals.keypoint_scores.mean(axis=1))
        bins = np.minimum(np.maximum(scores * _BINS, 0), _BINS - 1).astype(np.int64)
        self._counts += np.bincount(bins, minlength=_BINS)
        total = self._counts.cumsum()
        highest = int(total.searchsorted(_QUANTILE * total[-1]))
        # Of predictions without any score all animals count alike.
        if highest == 0:
            return np.ones(len(scores))
        return np.minimum(scores * (_BINS / (highest + 1)), 1.0)

    def state_dict(self) -> dict[str, Any]:
        """Copy the histogram."""
        return {"counts": self._counts.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._counts = np.array(state["counts"])
