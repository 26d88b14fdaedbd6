"""Sum up tracklets as frames pass, some hundred bytes each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pose_core.interfaces.tracker import Floats, Tracklet, TrackletEnd
from pose_core.structures import Frame, Instances, IntArray, Skeleton, fill_boxes

_BLOCK = 2048
"""Animals that are kept until they are sorted by their tracklets; numpy is slow for a few at a time."""

_ENDS = 6
"""Frames at either end that the velocity there is measured over."""

_ROWS = 64
"""Tracklets that there is room for at first."""


def _make_type(keypoints: int, names: int) -> np.dtype[Any]:
    """What is kept of a tracklet: one row of a table, for objects take ten times the memory."""
    end = np.dtype(
        [
            ("known", np.int64),
            ("frames", np.int64, (_ENDS,)),
            ("centres", np.float64, (_ENDS, 2)),
            ("pose", np.float32, (keypoints, 2)),
        ]
    )
    return np.dtype(
        [
            ("id", np.int64),
            ("first", end),
            ("last", end),
            ("count", np.int64),
            ("sizes", np.float64),
            ("sized", np.int64),
            ("scores", np.float64),
            ("identity", np.float64, (names,)),
        ]
    )


class Tracklets(Sequence[Tracklet]):
    """Tracklets by their first frames, made of a table when they are asked for.

    Args:
        table: a row each.
    """

    def __init__(self, table: npt.NDArray[Any]) -> None:
        self._table = table
        self._order = np.lexsort((table["id"], table["first"]["frames"][:, 0]))

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, place: int) -> Tracklet: ...
    @overload
    def __getitem__(self, place: slice) -> list[Tracklet]: ...
    def __getitem__(self, place: int | slice) -> Tracklet | list[Tracklet]:
        if isinstance(place, slice):
            return [_make_tracklet(self._table[row]) for row in self._order[place]]
        return _make_tracklet(self._table[self._order[place]])

    def __iter__(self) -> Iterator[Tracklet]:
        return (_make_tracklet(self._table[row]) for row in self._order)


class TrackletCollector:
    """Sum up the tracklets of a video; memory grows with their number and not with that of frames.

    Args:
        skeleton: of the predictions.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._names = len(skeleton.individuals)
        # Landmarks do not move with the animal.
        fixed = skeleton.landmarks or ()
        self._moving = np.array([name not in fixed for name in skeleton.keypoints])
        self._table = np.zeros(_ROWS, _make_type(len(skeleton.keypoints), self._names))
        self._row_of: dict[int, int] = {}
        self._held: list[tuple[Frame, IntArray]] = []
        self._rows = 0

    def add(self, frame: Frame, ids: IntArray) -> None:
        """Take note of a frame; ``ids`` (N,) are those of its animals, -1 for none."""
        if max(ids.tolist(), default=-1) >= 0:
            self._held.append((frame, ids))
            self._rows += len(ids)
            if self._rows >= _BLOCK:
                self._sort()

    def collect(self) -> Tracklets:
        """List the tracklets, by their first frames."""
        self._sort()
        return Tracklets(self._table[: len(self._row_of)])

    def _sort(self) -> None:
        if not self._held:
            return
        frames = np.repeat([f.index for f, _ in self._held], [len(ids) for _, ids in self._held])
        ids = np.concatenate([ids for _, ids in self._held])
        animals = [frame.instances for frame, _ in self._held]
        points = np.concatenate([a.keypoints for a in animals]).astype(np.float32)
        boxes = fill_boxes(np.concatenate([a.boxes for a in animals]), points).astype(np.float64)
        scores = np.nan_to_num(np.concatenate([a.scores for a in animals]).astype(np.float64))
        named = np.concatenate([a.identity for a in animals])
        sure = np.concatenate([a.identity_scores for a in animals]).astype(np.float64)
        # What the model said of all of them is worth more than the name that was chosen.
        chances = join_chances(animals, self._names)
        evidence = np.where(np.isfinite(chances), chances, spread_identity(named, sure, self._names))
        self._held, self._rows = [], 0
        centres = measure_centres(points[:, self._moving], boxes)
        sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        order = np.argsort(ids, kind="stable")
        order = order[ids[order] >= 0]
        starts = np.flatnonzero(np.diff(ids[order], prepend=-1))
        for rows in np.split(order, starts[1:]):
            kept = self._find_row(int(ids[rows[0]]))
            first, last = kept["first"], kept["last"]
            if not kept["count"]:
                first["pose"] = points[rows[0]]
            known = int(first["known"])
            more = rows[: _ENDS - known]
            first["frames"][known : known + len(more)] = frames[more]
            first["centres"][known : known + len(more)] = centres[more]
            first["known"] += len(more)
            # The latest at the end.
            more = rows[-_ENDS:]
            for name, values in (("frames", frames), ("centres", centres)):
                last[name] = np.concatenate([last[name], values[more]])[-_ENDS:]
            last["known"] = min(int(last["known"]) + len(more), _ENDS)
            last["pose"] = points[rows[-1]]
            sized = np.isfinite(sizes[rows])
            kept["count"] += len(rows)
            kept["sizes"] += sizes[rows][sized].sum()
            kept["sized"] += sized.sum()
            kept["scores"] += scores[rows].sum()
            kept["identity"] += evidence[rows].sum(axis=0)

    def _find_row(self, id_: int) -> np.void:
        """The row of a tracklet, which may be written; a new one for a new tracklet."""
        row = self._row_of.get(id_)
        if row is None:
            row = self._row_of[id_] = len(self._row_of)
            if row == len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._table[row]["id"] = id_
        found: np.void = self._table[row]
        return found


def _make_tracklet(row: np.void) -> Tracklet:
    first, last = row["first"], row["last"]
    known = int(first["known"])
    return Tracklet(
        id=int(row["id"]),
        first=_make_end(first["frames"][:known], first["centres"][:known], first["pose"], 0),
        last=_make_end(last["frames"][-known:], last["centres"][-known:], last["pose"], -1),
        count=int(row["count"]),
        size=float(row["sizes"] / row["sized"]) if row["sized"] else 0.0,
        score=float(row["scores"] / row["count"]),
        identity=row["identity"].copy(),
    )


def _make_end(frames: IntArray, centres: Floats, pose: npt.NDArray[np.float32], at: int) -> TrackletEnd:
    known = np.flatnonzero(np.isfinite(centres).all(axis=1))
    velocity = np.zeros(2)
    if len(known) > 1:
        one, other = known[0], known[-1]
        velocity = (centres[other] - centres[one]) / (frames[other] - frames[one])
    # An animal of which nothing has a place still has a track; it is nowhere, and links to nothing.
    centre = centres[known[at]].copy() if len(known) else np.full(2, np.nan)
    return TrackletEnd(int(frames[at]), pose.copy(), centre, velocity)


def measure_centres(points: npt.NDArray[np.floating], boxes: Floats) -> Floats:
    """Compute the mean of the keypoints (N, K, 2), or the centre of the box (N, 4) where there are none, (N, 2)."""
    there = np.isfinite(points).all(axis=-1)
    counts = there.sum(axis=1)
    sums = np.where(there[..., None], points, 0.0).sum(axis=1, dtype=np.float64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], middle)


def join_chances(animals: Sequence[Instances], names: int) -> Floats:
    """Join the stored probabilities of all animals, (N, names); rows of NaN where there are none."""
    chances = np.full((sum(map(len, animals)), names), np.nan)
    row = 0
    for some in animals:
        if some.identity_probabilities.shape[1] == names:
            chances[row : row + len(some)] = some.identity_probabilities
        row += len(some)
    return chances


def spread_identity(identity: IntArray, scores: Floats, names: int) -> Floats:
    """Spread the probability of a stored name over all ``names``, (N, names); rows of zeros where there is none."""
    spread = np.zeros((len(identity), names))
    rows = np.flatnonzero(identity >= 0)
    if len(rows) and names > 1:
        sure = np.clip(np.nan_to_num(scores[rows]), 1 / names, 1.0)
        spread[rows] = ((1 - sure) / (names - 1))[:, None]
        spread[rows, identity[rows]] = sure
    return spread
