"""Match animals to tracks, and tell high scores from low ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def is_clear(rows: Ints, columns: Ints) -> bool:
    """Test whether of some possible pairs no two have a track or an animal in common: nothing is to be decided then."""
    return len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))


def is_rising(rows: Ints) -> bool:
    """Test whether rows are in order."""
    there: list[int] = rows.tolist()
    return there == sorted(there)


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
    row, column = (own & possible).nonzero()
    # Mostly nobody else is near.
    if not len(row) or np.count_nonzero(possible) == len(row):
        return margins
    gain = np.where(possible, similarity, 0.0)
    # Of the animals that are matched, in the order of their tracks.
    crossed, rivals = gain.take(column, axis=1), possible.take(column, axis=1)
    left_out = None
    if len(row) < len(tracks):
        free = np.ones(len(tracks), bool)
        free[row] = False
        left_out = np.where(rivals[free], crossed[free], -np.inf).max(axis=0)
        crossed, rivals = crossed[row], rivals[row]
    match = crossed.diagonal()
    # Two matches exchange their animals.
    rivals = rivals | rivals.T
    rivals.flat[:: len(row) + 1] = False
    exchange = (match[:, None] + match - crossed - crossed.T) / 2
    nearest = np.where(rivals, exchange, np.inf).min(axis=1)
    # The animal is left to a track that has none.
    if left_out is not None:
        nearest = np.minimum(nearest, match - left_out)
    # The track takes an animal that began one.
    if np.count_nonzero(ids >= 0) > len(row):
        begun = (ids >= 0) & ~own.any(axis=0)
        taken = np.where(possible[row][:, begun], gain[row][:, begun], -np.inf)
        nearest = np.minimum(nearest, match - taken.max(axis=1, initial=-np.inf))
    margins[column] = np.where(nearest < np.inf, np.minimum(np.maximum(nearest, 0.0), 1.0), np.nan)
    return margins


class ScoreScale:
    """Scores relative to those of the video so far.

    Mean keypoint scores of one model may hardly exceed 0.5 and those of another be 1 throughout; thresholds mean the
    same for both. The scale is the 95th percentile of all animals up to and with the current frame, of a histogram.

    Attributes:
        counts: (bins,) the histogram of the frames so far.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, np.int64)

    def scale(self, animals: Sequence[Instances]) -> tuple[Floats, Ints]:
        """Scale the scores of the next frames, each by the frames up to and with it.

        Args:
            animals: of F frames. They do not count as seen before :attr:`counts` is set.

        Returns:
            (N,) relative scores of the animals of all of them, up to 1; (F, bins) :attr:`counts` after each.
        """
        scores = np.concatenate([some.scores for some in animals]).astype(np.float64)
        if not np.isfinite(scores).all():
            means = np.concatenate([some.keypoint_scores.mean(axis=1) for some in animals])
            scores = np.where(np.isfinite(scores), scores, means)
        frame = np.repeat(np.arange(len(animals)), [len(some) for some in animals])
        bins = np.minimum(np.maximum(scores * _BINS, 0), _BINS - 1).astype(np.int64)
        counts = np.bincount(frame * _BINS + bins, minlength=len(animals) * _BINS).reshape(-1, _BINS)
        counts[0] += self.counts
        counts = counts.cumsum(axis=0)
        total = counts.cumsum(axis=1)
        highest = (total < _QUANTILE * total[:, -1:]).sum(axis=1)[frame]
        relative = np.minimum(scores * (_BINS / (highest + 1)), 1.0)
        # Of predictions without any score all animals count alike.
        return np.where(highest == 0, 1.0, relative), counts

    def state_dict(self) -> dict[str, Any]:
        """Copy the histogram."""
        return {"counts": self.counts.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self.counts = np.array(state["counts"])
