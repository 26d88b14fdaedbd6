"""Metrics of tracks: HOTA with its parts, IDF1, and MOTA with switches.

Luiten et al. (2021) for HOTA, Ristani et al. (2016) for IDF1, Bernardin and Stiefelhagen (2008) for MOTA; where papers
leave a choice it is that of TrackEval, and a test compares the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pose_core.interfaces.tracker import Floats
from pose_core.structures import IntArray

ALPHAS: Floats = np.arange(0.05, 0.99, 0.05)
"""Similarities from which on HOTA takes a pair for a match."""

THRESHOLD = 0.5
"""Similarity from which on IDF1 and MOTA do."""

_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class ComparedFrame:
    """One frame of truth and tracks.

    Attributes:
        truth: (G,) int64 ids of the right animals, each once.
        tracks: (T,) int64 ids of the found ones, each once.
        similarity: (G, T) in [0, 1].
    """

    truth: IntArray
    tracks: IntArray
    similarity: Floats


@dataclass(frozen=True)
class TrackScores:
    """How good tracks are, by one similarity.

    Attributes:
        hota, deta, assa, loca: HOTA and what it is made of: detection, association, localisation; means over
            :data:`ALPHAS`.
        idf1, idp, idr: share of animals under the right id, after one assignment of ids for the whole video.
        mota, motp: 1 - (missed + false + switches) / animals; mean similarity of matches.
        switches: how often an animal is found under another id than before.
        switches_per_1000: a 1,000 frames and animal.
        fragments: how often an animal is lost and found again.
        missed, false: animals of the truth without a match, and found ones.
        animals: of the truth, all frames together.
        ids, true_ids: that were found, and of the truth.
    """

    hota: float
    deta: float
    assa: float
    loca: float
    idf1: float
    idp: float
    idr: float
    mota: float
    motp: float
    switches: int
    switches_per_1000: float
    fragments: int
    missed: int
    false: int
    animals: int
    ids: int
    true_ids: int


def score_tracks(frames: Sequence[ComparedFrame]) -> TrackScores:
    """Compute all metrics of one video."""
    pairs = _Pairs.of(frames)
    hota = _score_hota(frames, pairs)
    clear = _count_clear(frames, pairs)
    id_matches = _count_id_matches(pairs)
    found, right = int(pairs.track_counts.sum()), int(pairs.truth_counts.sum())
    matches, similarity, switches, fragments = clear
    return TrackScores(
        **hota,
        idf1=id_matches / max(1.0, (found + right) / 2),
        idp=id_matches / max(1, found),
        idr=id_matches / max(1, right),
        mota=(matches - (found - matches) - switches) / max(1, right),
        motp=similarity / max(1, matches),
        switches=switches,
        switches_per_1000=1000 * switches / max(1, right),
        fragments=fragments,
        missed=right - matches,
        false=found - matches,
        animals=right,
        ids=len(pairs.track_counts),
        true_ids=len(pairs.truth_counts),
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """All pairs of all frames in one row each; ids are numbered from 0.

    Attributes:
        truth, track: (P,) numbers of the ids.
        similarity: (P,).
        overlap: (P,) similarity over the union of it in row and column, which says how much a pair stands out.
        starts: (F + 1,) where the pairs of each frame begin.
        truth_counts, track_counts: frames that each id is in.
    """

    truth: IntArray
    track: IntArray
    similarity: Floats
    overlap: Floats
    starts: IntArray
    truth_counts: IntArray
    track_counts: IntArray

    @classmethod
    def of(cls, frames: Sequence[ComparedFrame]) -> _Pairs:
        rows = _join([frame.truth for frame in frames])
        columns = _join([frame.tracks for frame in frames])
        truth_names, truth_counts = np.unique(rows, return_counts=True)
        track_names, track_counts = np.unique(columns, return_counts=True)
        overlaps = []
        for frame in frames:
            s = frame.similarity
            union = s.sum(axis=0)[None] + s.sum(axis=1)[:, None] - s
            overlaps.append(np.where(union > _EPSILON, s / np.maximum(union, _EPSILON), 0.0).ravel())
        return cls(
            truth=np.searchsorted(truth_names, _join([np.repeat(f.truth, len(f.tracks)) for f in frames])),
            track=np.searchsorted(track_names, _join([np.tile(f.tracks, len(f.truth)) for f in frames])),
            similarity=np.concatenate([np.zeros(0), *(f.similarity.ravel() for f in frames)]),
            overlap=np.concatenate([np.zeros(0), *overlaps]),
            starts=np.cumsum([0, *(f.similarity.size for f in frames)]),
            truth_counts=truth_counts,
            track_counts=track_counts,
        )

    def number(self) -> tuple[IntArray, IntArray, IntArray]:
        """Number the pairs of ids that occur: number of each row (P,), and truth and track of each number."""
        keys, inverse = np.unique(self.truth * len(self.track_counts) + self.track, return_inverse=True)
        width = max(len(self.track_counts), 1)
        return inverse, keys // width, keys % width


def _join(arrays: Sequence[IntArray]) -> IntArray:
    return np.concatenate([np.zeros(0, np.int64), *arrays])


def _score_hota(frames: Sequence[ComparedFrame], pairs: _Pairs) -> dict[str, float]:
    number, truths, tracks = pairs.number()
    common = np.bincount(number, pairs.overlap, minlength=len(truths))
    union = pairs.truth_counts[truths] + pairs.track_counts[tracks] - common
    aligned = (common / union)[number] * pairs.similarity
    chosen = []
    for frame, start in zip(frames, pairs.starts[:-1].tolist(), strict=True):
        rows, columns = linear_sum_assignment(
            aligned[start : start + frame.similarity.size].reshape(frame.similarity.shape), maximize=True
        )
        chosen.append(start + rows * len(frame.tracks) + columns)
    matched = _join(chosen)
    similarity = pairs.similarity[matched]
    found, right = int(pairs.track_counts.sum()), int(pairs.truth_counts.sum())
    scores = []
    for alpha in ALPHAS:
        good = similarity >= alpha - _EPSILON
        true = int(good.sum())
        counts = np.bincount(number[matched[good]], minlength=len(truths))
        both = pairs.truth_counts[truths] + pairs.track_counts[tracks] - counts
        association = float((counts * (counts / np.maximum(1, both))).sum()) / max(1, true)
        detection = true / max(1, found + right - true)
        place = max(1e-10, float(similarity[good].sum())) / max(1e-10, true)
        scores.append((np.sqrt(detection * association), detection, association, place))
    return {
        name: float(value)
        for name, value in zip(("hota", "deta", "assa", "loca"), np.mean(scores, axis=0), strict=True)
    }


def _count_clear(frames: Sequence[ComparedFrame], pairs: _Pairs) -> tuple[int, float, int, int]:
    """Match frame by frame, who was matched in the frame before first.

    Returns:
        matches, the sum of their similarity, switches, fragments.
    """
    names = np.unique(_join([frame.truth for frame in frames]))
    ever = np.full(len(names), -1, np.int64)
    before = np.full(len(names), -1, np.int64)
    pieces = np.zeros(len(names), np.int64)
    matches, similarity, switches = 0, 0.0, 0
    for frame in frames:
        # Frames with nothing on one side do not count as a loss, as in TrackEval.
        if not frame.similarity.size:
            continue
        own = np.searchsorted(names, frame.truth)
        score = 1000.0 * (frame.tracks[None] == before[own][:, None]) + frame.similarity
        score[frame.similarity < THRESHOLD - _EPSILON] = 0.0
        rows, columns = linear_sum_assignment(score, maximize=True)
        real = score[rows, columns] > _EPSILON
        rows, columns = rows[real], columns[real]
        who, ids = own[rows], frame.tracks[columns]
        switches += int(((ever[who] >= 0) & (ever[who] != ids)).sum())
        pieces[who] += before[who] < 0
        ever[who] = ids
        before[:] = -1
        before[who] = ids
        matches += len(rows)
        similarity += float(frame.similarity[rows, columns].sum())
    return matches, similarity, switches, int((pieces[pieces > 0] - 1).sum())


def _count_id_matches(pairs: _Pairs) -> int:
    """Count the animals under the right id, with the assignment of ids by which they are most."""
    near = pairs.similarity >= THRESHOLD
    table = np.zeros((len(pairs.truth_counts), len(pairs.track_counts)), np.int64)
    np.add.at(table, (pairs.truth[near], pairs.track[near]), 1)
    return int(table[linear_sum_assignment(table, maximize=True)].sum())


def match_frame(similarity: Floats) -> tuple[IntArray, IntArray]:
    """Match animals of the truth (G,) with those found (T,) by their similarity (G, T), from :data:`THRESHOLD` on.

    Returns:
        rows and columns of the pairs.
    """
    good = np.where(similarity >= THRESHOLD - _EPSILON, similarity, 0.0)
    rows, columns = linear_sum_assignment(good, maximize=True)
    real = good[rows, columns] > 0
    return rows[real], columns[real]


def compare_keypoints(
    truth: npt.NDArray[np.floating],
    found: npt.NDArray[np.floating],
    boxes: npt.NDArray[np.floating],
    sigma: float = 0.1,
) -> Floats:
    """Compute the object keypoint similarity of poses (G, K, 2) and (T, K, 2), (G, T).

    Args:
        truth: NaN where not labelled; those keypoints do not count.
        found: NaN where missing, which counts as far away.
        boxes: (G, 4) of the truth; their area is the scale.
        sigma: tolerance of all keypoints, relative to the root of that area.
    """
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    # A thin animal seen along an axis has hardly any area.
    longer = sides.max(axis=1, initial=0.0)
    area = np.maximum(np.maximum(sides.prod(axis=1), (longer / 4) ** 2), 1.0)
    squared = ((truth.astype(np.float64)[:, None] - found.astype(np.float64)[None]) ** 2).sum(axis=-1)
    near = np.nan_to_num(
        np.exp(-squared / (2 * (2 * sigma) ** 2 * np.nan_to_num(area, nan=1.0)[:, None, None]))
    )
    labelled = np.isfinite(truth).all(axis=-1).sum(axis=1)
    return np.asarray(near.sum(axis=-1) / np.maximum(labelled, 1)[:, None])
