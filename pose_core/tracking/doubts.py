"""Find the moments in which a swap of two animals is likely, as tracked frames pass.

Five signs: two tracks come close to each other; a choice was only a little better than the next-best; a track is found
again after it was lost; it jumps; the model takes it for another individual than its track is named after. Signs of
the same animals at the same time are one moment. Memory does not grow with the number of frames.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pose_core.interfaces.tracker import Floats
from pose_core.structures import Frame, IntArray, Skeleton
from pose_core.tracking.tracked_rows import RowCollector, TrackedRows

Kind = Literal["crossing", "margin", "lost", "jump", "identity"]

MOST = 1000
"""Moments that are kept of a video, those with most need."""

LEAST = 0.5
"""Need from which on a moment is listed; on synthetic crowds hardly any swap has less."""

_NEAR = 0.5
"""Distance of two centres in sizes from which on animals lie on each other."""

_SMALL = 0.35
"""Margin below which a choice is in doubt by itself."""

_REST = 15
"""Frames without a sign after which a moment is over."""

_LONG = 8
"""Frames between two sightings from which on an animal was lost, for a tracker that did not end its tracklet."""

_JUMP = 0.6
"""Sizes between a place and where it was expected from which on an animal jumped."""

_FRAMES_OF_NAMES = 15
"""Frames over which the probabilities of names are averaged."""

_AGAINST = 0.2
"""How much more probable another name must be, on average, to speak against a track."""


@dataclass(frozen=True)
class Doubt:
    """A moment in which a swap is likely.

    Attributes:
        frame: number of the frame to look at first, where the sign is strongest.
        first, last: numbers of its frames.
        tracks: whom it concerns.
        kind: its strongest sign.
        need: 0 to 1, how much it needs to be looked at.
        look: what to look at, in words.
    """

    frame: int
    first: int
    last: int
    tracks: tuple[int, ...]
    kind: Kind
    need: float
    look: str


@dataclass(frozen=True)
class Doubts:
    """The moments of a video.

    Attributes:
        found: by their need, the greatest first.
        left_out: how many more there are, with less need.
    """

    found: tuple[Doubt, ...]
    left_out: int = 0


_LONGEST = 300
"""Frames of a sign; of animals that lie on each other for longer there are several moments."""

_AROUND = 2.0
"""Sizes within which another animal may be the one that is found again."""


@dataclass
class _Sign:
    """A sign that may go on."""

    first: int
    last: int
    value: float
    frame: int


class DoubtFinder:
    """Find doubts in frames with tracks, given in order.

    Args:
        skeleton: of the predictions.
        names: track -> its individual, where it has one.
        most: how many are kept, those with most need.
    """

    def __init__(self, skeleton: Skeleton, names: Mapping[int, int], most: int = MOST) -> None:
        self._individuals = skeleton.individuals
        self._names = names
        self._rows = RowCollector(skeleton)
        self._most = most
        self._kept: list[tuple[float, int, Doubt]] = []
        self._count = 0
        self._signs: dict[tuple[Kind, tuple[int, ...]], _Sign] = {}
        # Moments that are over, and that another sign may still belong to.
        self._over: list[Doubt] = []
        self._evidence: dict[int, float] = {}
        self._tells_margins = False

    def watch(self, frame: Frame, tracklets: IntArray) -> None:
        """Take note of a frame with tracks, and of the tracklets (N,) of its animals."""
        if self._rows.add(frame, tracklets):
            self._look()

    def finish(self) -> Doubts:
        """List the moments, when all frames are over."""
        self._look()
        self._close(None)
        found = sorted((doubt for _, _, doubt in self._kept), key=lambda d: (-d.need, d.first, d.tracks))
        return Doubts(tuple(found), self._count - len(found))

    def _look(self) -> None:
        rows = self._rows.take()
        if rows is None:
            return
        self._tells_margins |= bool(np.isfinite(rows.margin).any())
        self._look_at_steps(rows)
        for pair, frames, apart in rows.find_near(_NEAR):
            self._extend("crossing", pair, frames, apart)
        low = np.flatnonzero(rows.margin < _SMALL)
        for track in np.unique(rows.track[low]).tolist():
            own = low[rows.track[low] == track]
            self._extend("margin", (track,), rows.frame[own], rows.margin[own])
        self._look_at_names(rows)
        self._close(int(rows.frame.max()))

    def _look_at_steps(self, rows: TrackedRows) -> None:
        """Find animals that were lost, and those that jumped."""
        lost = (rows.gap > 1) & (rows.joined | (rows.gap >= _LONG))
        jumped = ~lost & (rows.off > _JUMP)
        for row in np.flatnonzero(lost | jumped).tolist():
            track, frame, gap = int(rows.track[row]), int(rows.frame[row]), int(rows.gap[row])
            off = float(rows.off[row]) if np.isfinite(rows.off[row]) else 0.0
            where = f"{off:.1f} body sizes from where it was expected"
            if jumped[row]:
                need = min(0.2 + 0.4 * (off - _JUMP), 0.8)
                self._over.append(
                    Doubt(frame, frame - gap, frame, (track,), "jump", need, f"track {track} is {where}")
                )
                continue
            # As far as an animal comes in that time, far is no surprise.
            surprise = min(off / (0.5 * (1 + 0.35 * gap**0.5)), 2.0) / 2
            rival, apart = _find_rival(rows, row)
            close = max(1 - apart / _AROUND, 0.0)
            need = 1 - (1 - 0.4 * surprise) * (1 - 0.4 * close) * 0.99 ** min(gap, 30)
            look = f"track {track} is not seen for {gap - 1} frames, then found {where}"
            tracks: tuple[int, ...] = (track,)
            if rival is not None and close:
                tracks = (min(track, rival), max(track, rival))
                look += f", near track {rival}"
            self._over.append(Doubt(frame, frame - gap, frame, tracks, "lost", need, look))

    def _look_at_names(self, rows: TrackedRows) -> None:
        """Find tracks whose frames speak for another individual."""
        known = np.isfinite(rows.chances).all(axis=1) & (rows.chances.shape[1] > 1)
        keep = 1 - 1 / _FRAMES_OF_NAMES
        for track in np.unique(rows.track[known]).tolist():
            name = self._names.get(track)
            if name is None:
                continue
            own = np.flatnonzero(known & (rows.track == track))
            others = rows.chances[own].copy()
            others[:, name] = -np.inf
            ahead = others.max(axis=1) - rows.chances[own, name]
            mean, means = self._evidence.get(track, 0.0), np.empty(len(own))
            for i, value in enumerate(ahead.tolist()):
                means[i] = mean = keep * mean + (1 - keep) * value
            self._evidence[track] = mean
            against = means > _AGAINST
            self._extend("identity", (track,), rows.frame[own][against], -means[against])

    def _extend(self, kind: Kind, tracks: tuple[int, ...], frames: IntArray, values: Floats) -> None:
        """Go on with a sign in these frames, or begin it again after a rest; its least value counts."""
        if not len(frames):
            return
        # Rests, and what of one block is too long for a moment.
        breaks = np.flatnonzero((np.diff(frames) > _REST) | (np.diff(frames // _LONGEST) > 0)) + 1
        if frames[-1] - frames[0] <= _LONGEST:
            breaks = np.flatnonzero(np.diff(frames) > _REST) + 1
        for part, least in zip(np.split(frames, breaks), np.split(values, breaks), strict=True):
            first, last, best = int(part[0]), int(part[-1]), int(least.argmin())
            value, frame = float(least[best]), int(part[best])
            sign = self._signs.get((kind, tracks))
            if sign is not None and first - sign.last <= _REST and last - sign.first <= _LONGEST:
                sign.last = last
                if value < sign.value:
                    sign.value, sign.frame = value, frame
                continue
            if sign is not None:
                self._over.append(self._describe(kind, tracks, sign))
            self._signs[kind, tracks] = _Sign(first, last, value, frame)

    def _describe(self, kind: Kind, tracks: tuple[int, ...], sign: _Sign) -> Doubt:
        """Make a moment of a sign that is over."""
        if kind == "crossing":
            # Without margins nothing tells an easy crossing from a difficult one.
            need = (0.4 if self._tells_margins else 0.9) * (1 - sign.value / _NEAR)
            look = f"tracks {tracks[0]} and {tracks[1]} are {sign.value:.1f} body sizes apart"
        elif kind == "margin":
            need = 0.8 * (1 - sign.value / _SMALL) ** 2
            look = f"track {tracks[0]} was only {sign.value:.2f} ahead of the next-best choice"
        else:
            need = min(0.4 - 0.6 * sign.value, 1.0)
            name = self._individuals[self._names[tracks[0]]]
            look = f"the model takes track {tracks[0]} for another animal than {name}"
        return Doubt(sign.frame, sign.first, sign.last, tracks, kind, need, look)

    def _close(self, now: int | None) -> None:
        """End signs that rest for long enough, join those of one moment, and keep what is over; None: all of it."""
        for key, sign in list(self._signs.items()):
            if now is None or sign.last < now - _REST:
                self._over.append(self._describe(*key, sign))
                del self._signs[key]
        joined = _join_moments(self._over)
        self._over = []
        earliest = min((sign.first for sign in self._signs.values()), default=now)
        for doubt in joined:
            if now is None or earliest is None or doubt.last < min(earliest, now) - _REST:
                self._keep(doubt)
            else:
                self._over.append(doubt)

    def _keep(self, doubt: Doubt) -> None:
        if doubt.need < LEAST:
            return
        self._count += 1
        # The counter decides between equals: of those the earlier ones stay.
        entry = (doubt.need, -self._count, doubt)
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)


def _find_rival(rows: TrackedRows, row: int) -> tuple[int | None, float]:
    """Find the nearest other track of the frame of a row, and how far it is in sizes."""
    others = np.flatnonzero((rows.frame == rows.frame[row]) & (rows.track != rows.track[row]))
    away = np.linalg.norm(rows.centre[others] - rows.centre[row], axis=1) / rows.size[row]
    others, away = others[np.isfinite(away)], away[np.isfinite(away)]
    if not len(others):
        return None, np.inf
    return int(rows.track[others[away.argmin()]]), float(away.min())


def _join_moments(doubts: Sequence[Doubt]) -> list[Doubt]:
    """Join moments at one time of which one concerns only tracks of the other; their needs add up as chances do."""
    joined: list[Doubt] = []
    # Those of pairs first, so that signs of single animals go to them.
    for doubt in sorted(doubts, key=lambda d: (-len(d.tracks), d.first, d.tracks, d.kind)):
        for i, other in enumerate(joined):
            near = doubt.first <= other.last + _REST and other.first <= doubt.last + _REST
            long = max(doubt.last, other.last) - min(doubt.first, other.first) > 2 * _LONGEST
            if near and not long and set(doubt.tracks) <= set(other.tracks):
                strong, weak = sorted((doubt, other), key=lambda d: -d.need)
                joined[i] = replace(
                    strong,
                    first=min(doubt.first, other.first),
                    last=max(doubt.last, other.last),
                    tracks=other.tracks,
                    need=1 - (1 - doubt.need) * (1 - other.need),
                    look="; ".join(
                        list(dict.fromkeys([*strong.look.split("; "), *weak.look.split("; ")]))[:3]
                    ),
                )
                break
        else:
            joined.append(doubt)
    return joined
