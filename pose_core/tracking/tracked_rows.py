"""Lay out tracked animals as rows, with what each did since it was seen before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pose_core.interfaces.tracker import Floats
from pose_core.structures import Frame, IntArray, Skeleton, fill_boxes
from pose_core.tracking.tracklets import join_chances, measure_centres

_BLOCK = 2048
"""Animals that are kept until they are looked at; numpy is slow for a few at a time."""

_BEFORE = 6
"""Rows of a track that its velocity is measured over."""

_TRACKS = 500
"""Tracks whose last rows are remembered; of more, as where animals come and go, those that were seen last."""

_DECAY = 0.9
_SIZE = 40.0


@dataclass(frozen=True, eq=False)
class TrackedRows:
    """R tracked animals, by frame and track.

    Attributes:
        frame, track, piece: numbers of the frame, the track and the tracklet.
        centre: (R, 2) mean of the keypoints, or centre of the box; NaN where an animal has neither.
        size: (R,) usual longer side of the track's boxes, pixels.
        margin: (R,) of the choice; NaN where there is none.
        chances: (R, individuals) probabilities; NaN where unknown.
        gap: (R,) frames since the track was seen before; 0 in its first frame.
        joined: (R,) whether it was another tracklet then.
        off: (R,) sizes between the centre and where it was expected; NaN where there is nothing to compare.
    """

    frame: IntArray
    track: IntArray
    piece: IntArray
    centre: Floats
    size: Floats
    margin: Floats
    chances: Floats
    gap: IntArray
    joined: npt.NDArray[np.bool_]
    off: Floats

    def select(self, chosen: npt.NDArray[np.generic]) -> TrackedRows:
        """The rows chosen by a mask or indices, in that order."""
        return TrackedRows(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def find_near(self, near: float) -> Iterator[tuple[tuple[int, int], IntArray, Floats]]:
        """Yield pairs of tracks that are nearer than ``near`` sizes: their ids, the frames, and the distances there."""
        frames, at = np.unique(self.frame, return_inverse=True)
        tracks, of = np.unique(self.track, return_inverse=True)
        centre, size = (
            np.full((len(tracks), len(frames), 2), np.nan),
            np.full((len(tracks), len(frames)), np.nan),
        )
        centre[of, at], size[of, at] = self.centre, self.size
        for i in range(len(tracks) - 1):
            apart = np.linalg.norm(centre[i + 1 :] - centre[i], axis=-1) / ((size[i + 1 :] + size[i]) / 2)
            # NaN, where one of them is not seen, compares as false.
            close = apart < near
            for j in np.flatnonzero(close.any(axis=1)).tolist():
                yield (int(tracks[i]), int(tracks[i + 1 + j])), frames[close[j]], apart[j, close[j]]


class RowCollector:
    """Collect tracked frames to blocks of rows.

    Args:
        skeleton: of the predictions.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._individuals = len(skeleton.individuals)
        # Landmarks do not move with the animal.
        fixed = skeleton.landmarks or ()
        self._moving = np.array([name not in fixed for name in skeleton.keypoints])
        self._held: list[tuple[Frame, IntArray]] = []
        self._waiting = 0
        self._before: TrackedRows | None = None

    def add(self, frame: Frame, tracklets: IntArray) -> bool:
        """Take a frame and the tracklets (N,) of its animals; True when it is time to :meth:`take` the rows."""
        if len(tracklets):
            self._held.append((frame, tracklets))
            self._waiting += len(tracklets)
        return self._waiting >= _BLOCK

    def take(self) -> TrackedRows | None:
        """Give the rows of the frames since the last call; None where no animal has a track."""
        held, self._held, self._waiting = self._held, [], 0
        rows = self._lay_out(held) if held else None
        if rows is None or not len(rows.frame):
            return None
        new = np.ones(len(rows.frame), bool)
        if self._before is not None:
            new = np.concatenate([np.zeros(len(self._before.frame), bool), new])
            rows = TrackedRows(
                *(
                    np.concatenate([getattr(self._before, field.name), getattr(rows, field.name)])
                    for field in fields(rows)
                )
            )
        order = np.lexsort((rows.frame, rows.track))
        rows, new = _compare_with_before(rows.select(order)), new[order]
        ends = np.append(np.flatnonzero(np.diff(rows.track)), len(rows.track) - 1)
        last = ends[np.argsort(-rows.frame[ends], kind="stable")[:_TRACKS]]
        kept = (last[:, None] - np.arange(_BEFORE)).ravel()
        kept = kept[(kept >= 0) & (rows.track[kept] == np.repeat(rows.track[last], _BEFORE))]
        self._before = rows.select(np.sort(kept))
        rows = rows.select(new)
        return rows.select(np.lexsort((rows.track, rows.frame)))

    def _lay_out(self, held: list[tuple[Frame, IntArray]]) -> TrackedRows:
        animals = [frame.instances for frame, _ in held]
        track = np.concatenate([a.track for a in animals])
        points = np.concatenate([a.keypoints for a in animals])
        boxes = fill_boxes(np.concatenate([a.boxes for a in animals]), points).astype(np.float64)
        points = points[:, self._moving]
        size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        count = len(track)
        rows = TrackedRows(
            frame=np.repeat([f.index for f, _ in held], [len(ids) for _, ids in held]),
            track=track,
            piece=np.concatenate([ids for _, ids in held]),
            centre=measure_centres(points, boxes),
            size=np.where(size > 0, size, np.nan),
            margin=np.concatenate([a.track_margins for a in animals]).astype(np.float64),
            chances=join_chances(animals, self._individuals),
            gap=np.zeros(count, np.int64),
            joined=np.zeros(count, bool),
            off=np.full(count, np.nan),
        )
        return rows.select(track >= 0)


def _compare_with_before(rows: TrackedRows) -> TrackedRows:
    """Compare each row, by track and frame, with those of its track before it."""
    count = len(rows.track)
    here = np.arange(count)
    starts = np.flatnonzero(np.diff(rows.track, prepend=rows.track[0] - 1))
    of = np.repeat(np.arange(len(starts)), np.diff(starts, append=count))
    start = starts[of]
    known = np.isfinite(rows.size)
    # The usual size of a track: single boxes shrink where keypoints are not found.
    sums = np.bincount(of, np.where(known, rows.size, 0.0))
    counts = np.bincount(of, known)
    usual = sums.sum() / counts.sum() if counts.any() else _SIZE
    size = np.where(counts > 0, sums / np.maximum(counts, 1), usual)[of]
    before = np.maximum(here - 1, start)
    oldest = np.maximum(before - (_BEFORE - 1), start)
    gap = rows.frame - rows.frame[before]
    way = rows.centre[before] - rows.centre[oldest]
    velocity = way / np.maximum(rows.frame[before] - rows.frame[oldest], 1)[:, None]
    # As in linking: an animal that is not seen slows down.
    reach = (1 - _DECAY**gap) / (1 - _DECAY) * _DECAY
    expected = rows.centre[before] + velocity * reach[:, None]
    off = np.linalg.norm(rows.centre - expected, axis=1) / size
    first = here == start
    return TrackedRows(
        rows.frame,
        rows.track,
        rows.piece,
        rows.centre,
        size,
        rows.margin,
        rows.chances,
        np.where(first, 0, gap),
        ~first & (rows.piece != rows.piece[before]),
        np.where(first, np.nan, off),
    )
