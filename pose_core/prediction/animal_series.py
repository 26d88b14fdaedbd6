"""Follow each animal of stored predictions: where it is in each frame, and how sure the model is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from pose_core.structures import Frame, Skeleton

_AT_ONCE = 4096
"""Frames whose arrays are joined before anything is computed of them."""

_TRACK, _IDENTITY, _ROW = range(3)


@dataclass(frozen=True)
class AnimalSeries:
    """One animal in all frames in which it was found.

    Attributes:
        name: of the individual, the number of the track, or the place in each frame where it has neither.
        frames: (n,) int64, their numbers, rising.
        times: (n,) float64, seconds; NaN where unknown.
        points: (n, 2) float32, pixels of the frame; NaN where no keypoint was sure enough.
        scores: (n,) float32, of the animal.
        number: of the track, individual or place; gives its colour.
        followed: whether a track or an individual says that it is the same animal in every frame.
    """

    name: str
    frames: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    points: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    number: int
    followed: bool

    def speeds(self, in_seconds: bool, every: int = 1) -> npt.NDArray[np.float64]:
        """Speed at each frame since the frame before it: (n,), NaN where it was not found there.

        Args:
            in_seconds: pixels a second; else pixels a frame.
            every: frames from one that was predicted to the next.
        """
        found = np.full(len(self.frames), np.nan)
        if len(found) > 1:
            way = np.linalg.norm(np.diff(self.points.astype(np.float64), axis=0), axis=1)
            apart = np.diff(self.frames)
            step = np.diff(self.times) if in_seconds else apart.astype(np.float64)
            next_to = (apart <= every) & (step > 0)
            found[1:][next_to] = way[next_to] / step[next_to]
        return found


def collect_series(
    frames: Iterable[Frame], skeleton: Skeleton, keypoint: int | None = None, threshold: float = 0.0
) -> list[AnimalSeries]:
    """Follow each animal through frames, those found in most frames first.

    Memory holds a few numbers for each animal and frame, not the keypoints.

    Args:
        frames: in order.
        skeleton: of the frames.
        keypoint: whose places are taken; None: the mean of those that are sure enough.
        threshold: keypoints with a lower score are left out.
    """
    parts: dict[tuple[int, int], list[_Rows]] = {}
    for rows in _read(frames, keypoint, threshold):
        kinds = rows.keys[:, 0] * (1 << 40) + rows.keys[:, 1]
        for kind in np.unique(kinds).tolist():
            chosen = rows.select(kinds == kind)
            key = (int(chosen.keys[0, 0]), int(chosen.keys[0, 1]))
            parts.setdefault(key, []).append(chosen)
    series = [_join(key, found, skeleton) for key, found in parts.items()]
    return sorted(series, key=lambda animal: -len(animal.frames))


@dataclass(frozen=True)
class _Rows:
    """Animals of some frames, a row each; ``keys`` (n, 2) say which animal it is."""

    keys: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    points: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    def select(self, rows: npt.NDArray[np.bool_]) -> _Rows:
        """Some of the rows."""
        return _Rows(
            self.keys[rows], self.frames[rows], self.times[rows], self.points[rows], self.scores[rows]
        )


def _read(frames: Iterable[Frame], keypoint: int | None, threshold: float) -> Iterator[_Rows]:
    stream = iter(frames)
    while taken := list(islice(stream, _AT_ONCE)):
        animals = [frame.instances for frame in taken]
        counts = np.array([len(each) for each in animals])
        if not counts.sum():
            continue
        of = np.repeat(np.arange(len(taken)), counts)
        row = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        track, identity = (
            np.concatenate([getattr(a, name) for a in animals]) for name in ("track", "identity")
        )
        keys = np.stack([np.full(len(of), _ROW), row], axis=1).astype(np.int64)
        for kind, numbers in ((_IDENTITY, identity), (_TRACK, track)):
            keys[numbers >= 0] = np.stack([np.full(len(of), kind), numbers], axis=1)[numbers >= 0]
        points = np.concatenate([a.keypoints for a in animals])
        sure = np.concatenate([a.keypoint_scores for a in animals]) >= threshold
        times = [np.nan if frame.time is None else frame.time for frame in taken]
        yield _Rows(
            keys,
            np.array([frame.index for frame in taken], np.int64)[of],
            np.array(times, np.float64)[of],
            _find_places(points, sure, keypoint),
            np.concatenate([a.scores for a in animals]).astype(np.float32),
        )


def _find_places(
    points: npt.NDArray[np.float32], sure: npt.NDArray[np.bool_], keypoint: int | None
) -> npt.NDArray[np.float32]:
    """One place an animal, (n, 2)."""
    known = np.where(sure[..., None] & np.isfinite(points).all(-1, keepdims=True), points, np.nan)
    if keypoint is not None:
        return known[:, keypoint].astype(np.float32)
    there = np.isfinite(known[..., :1])
    total = np.where(there, known, 0.0).sum(axis=1)
    count = there.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _join(key: tuple[int, int], parts: list[_Rows], skeleton: Skeleton) -> AnimalSeries:
    kind, number = key
    names = {_TRACK: f"track {number}", _ROW: f"animal {number + 1} of each frame"}
    if kind == _ROW and skeleton.num_individuals == 1 and not number:
        names[_ROW] = "animal"
    return AnimalSeries(
        names[kind] if kind in names else skeleton.individuals[number],
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.scores for part in parts]),
        number,
        kind != _ROW or skeleton.num_individuals == 1,
    )
