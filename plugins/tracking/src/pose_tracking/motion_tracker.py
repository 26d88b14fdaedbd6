"""What trackers share that predict where an animal goes: passes by score, beginning and end of tracks."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from pose_core.interfaces import Tracker, TrackerContext
from pose_core.structures import FloatArray, Frame, Instances, IntArray
from pose_tracking.config import MotionTrackerConfig
from pose_tracking.matching import ScoreScale, assign, compute_margins, is_clear, is_rising
from pose_tracking.motion import Floats, Ints, Motion, Places, Rows, find_longest
from pose_tracking.poses import guess_size
from pose_tracking.similarity import Mask

_GROWTH = 0.35
"""Sizes by which the gate grows with the root of the frames in which an animal was not seen."""


class Measured(Protocol):
    """What is measured of N animals: a named tuple of arrays with a row for each, some of which every tracker has."""

    @property
    def there(self) -> Mask:
        """(N,) whether an animal has a place."""

    @property
    def centres(self) -> Places:
        """(N,) places of the animals."""

    @property
    def sizes(self) -> Floats:
        """(N,) pixels, NaN where unknown."""

    def __iter__(self) -> Iterator[Any]: ...


class _Sight(NamedTuple):
    """The animals of a frame, measured, and what is decided of them by their scores.

    Attributes:
        frame: its number.
        instances: the animals.
        found: what was measured of them.
        scores: (N,) relative ones.
        high, low, begins: (N,) whether an animal is of the first pass, of the second, and may begin a track.
        lows, beginners: how many are.
        least: (N,) similarity that a pair with the animal must exceed in its pass.
        rival: (N,) similarity beyond which a pair is one of those to choose from, for a margin too.
        counts: of the scale of scores, after this frame.
    """

    frame: int
    instances: Instances
    found: Measured
    scores: Floats
    high: Mask
    low: Mask
    begins: Mask
    lows: int
    beginners: int
    least: Floats
    rival: Floats
    counts: Ints


class MotionTracker(Tracker):
    """Match animals with high scores to all tracks, those with low scores to tracks that are left (ByteTrack, Zhang et
    al., 2022); what is left of the high ones begins tracks.

    A subclass measures animals and compares them with what is expected of tracks. Where ids are final and the number of
    animals is known, tracks never end: one that is lost is looked for in an ever larger circle.

    Attributes:
        motion: of the tracks.
        found: the animals of the frame as :meth:`measure` gave them.
    """

    config: MotionTrackerConfig
    found: Measured

    def __init__(self, config: MotionTrackerConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        self.motion = Motion(config)
        self._scale = ScoreScale()
        self._ids = np.zeros(0, np.int64)
        self._next = 0
        # The next frames, as far as they are measured already.
        self._ahead: deque[_Sight] = deque()
        # Of the last frame, for margins: similarities of its tracks with its animals, the ids of both, where there was
        # something to decide; and how many animals it has.
        self._compared: tuple[Floats, Ints, Ints] | None = None
        self._count = 0
        self._endless = context.animals is not None and not context.linked
        self._default_size = guess_size(context)

    @abstractmethod
    def measure(self, animals: Sequence[Instances]) -> Measured:
        """Measure the animals of several frames, each by itself; what it gives is cut into frames by its rows."""

    @abstractmethod
    def compare(self, frame: int, expected: Places) -> tuple[Floats, Places, Floats]:
        """Compare tracks, expected at (T,), with the animals that are found.

        Returns:
            (T, N) similarities, (T, N) how far each animal is from where it is expected, pixels, and (T, N) the squares
            of these distances; NaN where that is unknown.
        """

    @abstractmethod
    def compare_each_other(self, some: Ints, others: Ints) -> Floats:
        """Compare animals that are found with others of the frame, (S, O)."""

    @abstractmethod
    def correct(self, frame: int, tracks: Rows, animals: Ints, measured: Places) -> None:
        """Take animals (R,), measured at (R,), as the new observations of tracks."""

    @abstractmethod
    def begin(self, frame: int, animals: Ints) -> None:
        """Begin a track with each of these animals; their motion is there already."""

    @abstractmethod
    def keep(self, kept: Mask) -> None:
        """Forget the other tracks; their motion is forgotten already."""

    def fill_sizes(self, sizes: Floats) -> Floats:
        """Fill in the sizes (N,) that are not known: that of the others, or a guess where there is none."""
        missing = np.isnan(sizes)
        if not np.count_nonzero(missing):
            return sizes
        known = np.concatenate([sizes[~missing], self.motion.size])
        return np.where(missing, np.median(known) if len(known) else self._default_size, sizes)

    def takes_low(self) -> bool:
        """Whether animals with low scores may continue tracks; by default they may."""
        return True

    def prepare(self, frames: Sequence[Frame]) -> None:
        """Measure the animals of the next frames at once."""
        self._ahead = deque(self._look([frame for frame in frames if len(frame.instances)]))

    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are."""
        ids = np.full(len(instances), -1, np.int64)
        self._compared, self._count = None, len(ids)
        if not len(instances):
            return ids
        sight = self._take_sight(frame, instances)
        self.found, self._scale.counts = sight.found, sight.counts
        self._forget(frame)
        if len(self._ids):
            self._match(frame, ids, sight)
        if sight.beginners and min(ids.tolist()) < 0:
            self._begin(frame, ids, sight)
        return ids

    def _take_sight(self, frame: int, instances: Instances) -> _Sight:
        """Take the measurements of a frame; it is measured now unless it is the next of those that are."""
        if self._ahead:
            sight = self._ahead.popleft()
            if sight.frame == frame and sight.instances is instances:
                return sight
            # Others were to come; the scores of these do not count.
            self._ahead.clear()
        return self._look([Frame(frame, instances)])[0]

    def _look(self, frames: Sequence[Frame]) -> list[_Sight]:
        """Measure the animals of the next frames, each with at least one, and tell high scores from low ones."""
        if not frames:
            return []
        config, animals = self.config, [frame.instances for frame in frames]
        found = self.measure(animals)
        scores, counts = self._scale.scale(animals)
        high = found.there & (scores >= config.track_high_threshold)
        low = found.there & ~high & (scores >= config.track_low_threshold) & self.takes_low()
        begins = high & (scores >= config.new_track_threshold)
        first, second = config.min_match_similarity, config.second_match_similarity
        least = np.where(high, first, np.where(low, second, np.inf))
        rival = np.where(low, min(first, second), least)
        sights, end = [], 0
        for frame, after in zip(frames, counts, strict=True):
            start, end = end, end + len(frame.instances)
            rows = slice(start, end)
            sights.append(
                _Sight(
                    frame.index,
                    frame.instances,
                    type(found)(*[values[rows] for values in found]),
                    scores[rows],
                    high[rows],
                    low[rows],
                    begins[rows],
                    int(np.count_nonzero(low[rows])),
                    int(np.count_nonzero(begins[rows])),
                    least[rows],
                    rival[rows],
                    after,
                )
            )
        return sights

    def _begin(self, frame: int, ids: Ints, sight: _Sight) -> None:
        """Begin tracks with animals that are left, and write their ids."""
        left = (sight.begins & (ids < 0)).nonzero()[0]
        if not len(left):
            return
        # By score, then by place: the order of animals within the frame means nothing.
        centres = self.found.centres
        left = left[np.lexsort((centres[left].imag, centres[left].real, -sight.scores[left]))]
        new = self._choose_new(left, np.flatnonzero(ids >= 0))
        if not len(new):
            return
        ids[new] = self._next + np.arange(len(new))
        self._next += len(new)
        self._ids = np.concatenate([self._ids, ids[new]])
        self.motion.add(frame, centres[new], self.fill_sizes(self.found.sizes)[new])
        self.begin(frame, new)
        self._end_surplus()

    def compute_margins(self) -> FloatArray:
        """Compute how much similarity the nearest rival of each match of the last frame was behind."""
        # Mostly no other choice came into question.
        if self._compared is None:
            return np.full(self._count, np.nan, np.float32)
        return compute_margins(*self._compared, self.config.min_match_similarity)

    def _forget(self, frame: int) -> None:
        """Forget tracks that were not seen for too long."""
        if self._endless or not len(self._ids):
            return
        last = frame - self.config.track_buffer - 1
        # Mostly none is to be forgotten, which a list of a few tells soonest.
        if min(self.motion.frame.tolist()) < last:
            self._drop(self.motion.frame >= last)

    def _end_surplus(self) -> None:
        """End tracks beyond the number of animals, those that were not seen for longest.

        With more tracks than animals one animal has two, and they would take turns: it is better to have two pieces
        joined afterwards.
        """
        surplus = 0 if self.context.animals is None else len(self._ids) - self.context.animals
        if surplus > 0:
            kept = np.ones(len(self._ids), bool)
            kept[np.argsort(self.motion.frame, kind="stable")[:surplus]] = False
            self._drop(kept)

    def _drop(self, kept: Mask) -> None:
        self._ids = self._ids[kept]
        self.motion.keep(kept)
        self.keep(kept)

    def _match(self, frame: int, ids: Ints, sight: _Sight) -> None:
        """Match tracks with animals, and write the ids of these."""
        expected = self.motion.predict(frame)
        similarity, off, squared = self.compare(frame, expected)
        # n frames, n - 1 of them unseen.
        n = frame - self.motion.frame
        longest = find_longest(n)
        reach = (self.config.gate * self.motion.size) * (1 + _GROWTH * (1 if longest == 1 else np.sqrt(n)))
        # Before the assignment: a pair that cannot be must not force others to change partners.
        near = squared <= (reach * reach)[:, None]
        tracks, animals = (near & (similarity > sight.rival)).nonzero()
        if is_clear(tracks, animals):
            if sight.lows:
                real = similarity[tracks, animals] > sight.least[animals]
                tracks, animals = tracks[real], animals[real]
        else:
            similarity = np.where(near, similarity, -np.inf)
            self._compared = similarity, self._ids, ids
            tracks, animals = self._decide(similarity, sight)
        ids[animals] = self._ids[tracks]
        if self._endless and len(tracks) < len(n):
            # Nothing joins tracks later, so that one that was lost is looked for as far as it may have come.
            far = self.config.gate * self.motion.size * (1 + _GROWTH * n)
            more = self._assign(1 - np.sqrt(squared) / far[:, None], 0.0, sight.high & (ids < 0), tracks)
            ids[more[1]] = self._ids[more[0]]
            tracks, animals = (np.concatenate(found) for found in zip((tracks, animals), more, strict=True))
        if longest > 1:
            tracks, animals = self._leave_second_detections(n, ids, tracks, animals)
        if len(tracks):
            measured = expected[tracks] + off[tracks, animals]
            # Rows in order and all of them, which is usual, are a slice: numpy looks nothing up then.
            whole = len(tracks) == len(n) and is_rising(tracks)
            self.correct(frame, slice(None) if whole else tracks, animals, measured)

    def _decide(self, similarity: Floats, sight: _Sight) -> tuple[Ints, Ints]:
        """Assign animals with high scores to all tracks, then those with low ones to tracks that are left."""
        config, none = self.config, np.zeros(0, np.int64)
        high = self._assign(similarity, config.min_match_similarity, sight.high, none)
        if not sight.lows:
            return high
        low = self._assign(similarity, config.second_match_similarity, sight.low, high[0])
        return np.concatenate([high[0], low[0]]), np.concatenate([high[1], low[1]])

    def _assign(self, similarity: Floats, least: float, animals: Mask, taken: Ints) -> tuple[Ints, Ints]:
        """Assign some animals to the tracks that are not taken."""
        if not len(taken) and np.count_nonzero(animals) == len(animals):
            return assign(similarity, least)
        free = np.ones(len(similarity), bool)
        free[taken] = False
        rows, columns = free.nonzero()[0], animals.nonzero()[0]
        found = assign(similarity[rows[:, None], columns], least)
        return rows[found[0]], columns[found[1]]

    def _leave_second_detections(self, n: Ints, ids: Ints, tracks: Ints, animals: Ints) -> tuple[Ints, Ints]:
        """Leave animals, and take their ids, that are second detections of others and were given to a lost track."""
        late = n[tracks] > 1
        if 0 < np.count_nonzero(late) < len(late):
            same = self.compare_each_other(animals[late], animals[~late])
            twice = np.flatnonzero(late)[(same >= self.config.duplicate_similarity).any(axis=1)]
            ids[animals[twice]] = -1
            tracks, animals = np.delete(tracks, twice), np.delete(animals, twice)
        return tracks, animals

    def _choose_new(self, left: Ints, tracked: Ints) -> Ints:
        """Choose which animals without a track begin one, of those given by score."""
        least = self.config.duplicate_similarity
        if len(tracked):
            left = left[~(self.compare_each_other(left, tracked) >= least).any(axis=1)]
        if len(left) > 1:
            alike = np.triu(self.compare_each_other(left, left) >= least, 1)
            left = left[~alike.any(axis=0)]
        if self.context.animals is None:
            return left
        there = len(self._ids) if self._endless else len(tracked)
        return left[: max(self.context.animals - there, 0)]

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {
            "motion": self.motion.state_dict(),
            "scores": self._scale.state_dict(),
            "ids": self._ids.copy(),
            "next": self._next,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._ahead.clear()
        self.motion.load_state_dict(state["motion"])
        self._scale.load_state_dict(state["scores"])
        self._ids, self._next = np.array(state["ids"]), int(state["next"])
