"""Sum up tracklets as frames pass, some hundred bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pose_core.interfaces.tracker import Floats, Tracklet, TrackletEnd
from pose_core.structures import Frame, Instances, IntArray, Skeleton

_BLOCK = 2048
"""Animals that are kept until they are sorted by their tracklets; numpy is slow for a few at a time."""

_ENDS = 6
"""Frames at either end that the velocity there is measured over."""


@dataclass(eq=False)
class _Growing:
    """A tracklet that may go on."""

    first: list[tuple[int, npt.NDArray[np.float64]]] = field(default_factory=list)
    last: list[tuple[int, npt.NDArray[np.float64]]] = field(default_factory=list)
    poses: list[npt.NDArray[np.float32]] = field(default_factory=list)
    count: int = 0
    sizes: float = 0.0
    sized: int = 0
    scores: float = 0.0
    identity: Floats = field(default_factory=lambda: np.zeros(0))


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
        self._growing: dict[int, _Growing] = {}
        self._held: list[tuple[Frame, IntArray]] = []
        self._rows = 0

    def add(self, frame: Frame, ids: IntArray) -> None:
        """Take note of a frame; ``ids`` (N,) are those of its animals, -1 for none."""
        if len(ids) and bool((ids >= 0).any()):
            self._held.append((frame, ids))
            self._rows += len(ids)
            if self._rows >= _BLOCK:
                self._sort()

    def collect(self) -> list[Tracklet]:
        """List the tracklets, by their first frames."""
        self._sort()
        found = [self._sum_up(id_, growing) for id_, growing in self._growing.items()]
        return sorted(found, key=lambda t: (t.first.frame, t.id))

    def _sort(self) -> None:
        if not self._held:
            return
        frames = np.repeat([f.index for f, _ in self._held], [len(ids) for _, ids in self._held])
        ids = np.concatenate([ids for _, ids in self._held])
        animals = [frame.instances for frame, _ in self._held]
        points = np.concatenate([a.keypoints for a in animals]).astype(np.float32)
        boxes = np.concatenate([a.animal_boxes() for a in animals]).astype(np.float64)
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
            growing = self._growing.setdefault(int(ids[rows[0]]), _Growing())
            if not growing.count:
                growing.poses = [points[rows[0]].copy()]
                growing.identity = np.zeros(self._names)
            missing = _ENDS - len(growing.first)
            # Copies: a view would keep the whole block in memory as long as the tracklet.
            growing.first += [(int(frames[r]), centres[r].copy()) for r in rows[: max(missing, 0)]]
            ends = [(int(frames[r]), centres[r].copy()) for r in rows[-_ENDS:]]
            growing.last = [*growing.last, *ends][-_ENDS:]
            growing.poses[1:] = [points[rows[-1]].copy()]
            known = np.isfinite(sizes[rows])
            growing.count += len(rows)
            growing.sizes += float(sizes[rows][known].sum())
            growing.sized += int(known.sum())
            growing.scores += float(scores[rows].sum())
            growing.identity += evidence[rows].sum(axis=0)

    def _sum_up(self, id_: int, growing: _Growing) -> Tracklet:
        return Tracklet(
            id=id_,
            first=_make_end(growing.first, growing.poses[0], 0),
            last=_make_end(growing.last, growing.poses[-1], -1),
            count=growing.count,
            size=growing.sizes / growing.sized if growing.sized else 0.0,
            score=growing.scores / growing.count,
            identity=growing.identity,
        )


def _make_end(
    places: list[tuple[int, npt.NDArray[np.float64]]], pose: npt.NDArray[np.float32], at: int
) -> TrackletEnd:
    known = [(frame, centre) for frame, centre in places if np.isfinite(centre).all()]
    velocity = np.zeros(2)
    if len(known) > 1:
        velocity = (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0])
    # An animal of which nothing has a place still has a track; it is nowhere, and links to nothing.
    centre = known[at][1] if known else np.full(2, np.nan)
    return TrackletEnd(places[at][0], pose, centre.copy(), velocity)


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
