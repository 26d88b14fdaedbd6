"""What trackers share that predict where an animal goes: passes by score, beginning and end of tracks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.interfaces import Tracker, TrackerContext
from pose_core.structures import FloatArray, Instances, IntArray
from pose_tracking.config import MotionTrackerConfig
from pose_tracking.matching import ScoreScale, assign, compute_margins
from pose_tracking.motion import Floats, Ints, Motion, Places, Rows
from pose_tracking.poses import guess_size

_GROWTH = 0.35
"""Sizes by which the gate grows with the root of the frames in which an animal was not seen."""


class MotionTracker(Tracker):
    """Match animals with high scores to all tracks, those with low scores to tracks that are left (ByteTrack, Zhang et
    al., 2022); what is left of the high ones begins tracks.

    A subclass measures animals and compares them with what is expected of tracks. Where ids are final and the number of
    animals is known, tracks never end: one that is lost is looked for in an ever larger circle.
    """

    config: MotionTrackerConfig

    def __init__(self, config: MotionTrackerConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        self.motion = Motion(config)
        self._scale = ScoreScale()
        self._ids = np.zeros(0, np.int64)
        self._next = 0
        # Of the last frame: similarities of its tracks with its animals, the ids of both. For margins alone.
        self._compared: tuple[Floats, Ints, Ints] | None = None
        self._endless = context.animals is not None and not context.linked
        self._default_size = guess_size(context)

    @abstractmethod
    def measure(self, instances: Instances) -> tuple[npt.NDArray[np.bool_], Places, Floats]:
        """Measure the animals of a frame, and keep what :meth:`compare` needs.

        Returns:
            (N,) whether an animal has a place; (N,) centres; (N,) sizes, NaN where unknown.
        """

    @abstractmethod
    def compare(self, frame: int, expected: Places) -> tuple[Floats, Places]:
        """Compare tracks, expected at (T,), with the animals that were measured.

        Returns:
            (T, N) similarities, and (T, N) how far each animal is from where it is expected, pixels; NaN
            where that is unknown.
        """

    @abstractmethod
    def compare_each_other(self, some: Ints, others: Ints) -> Floats:
        """Compare animals that were measured with others of the frame, (S, O)."""

    @abstractmethod
    def correct(self, frame: int, tracks: Rows, animals: Ints, measured: Places) -> None:
        """Take animals (R,), measured at (R,), as the new observations of tracks."""

    @abstractmethod
    def begin(self, frame: int, animals: Ints) -> None:
        """Begin a track with each of these animals; their motion is there already."""

    @abstractmethod
    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
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

    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are."""
        ids = np.full(len(instances), -1, np.int64)
        self._compared = None
        if not len(instances):
            return ids
        self._forget(frame)
        scores = self._scale.scale(instances)
        there, centres, sizes = self.measure(instances)
        high = there & (scores >= self.config.track_high_threshold)
        if len(self._ids):
            low = there & ~high & (scores >= self.config.track_low_threshold) & self.takes_low()
            self._match(frame, ids, high, low)
        left = (high & (ids < 0) & (scores >= self.config.new_track_threshold)).nonzero()[0]
        if len(left):
            # By score, then by place: the order of animals within the frame means nothing.
            left = left[np.lexsort((centres[left].imag, centres[left].real, -scores[left]))]
            new = self._choose_new(left, np.flatnonzero(ids >= 0))
            if len(new):
                ids[new] = self._next + np.arange(len(new))
                self._next += len(new)
                self._ids = np.concatenate([self._ids, ids[new]])
                self.motion.add(frame, centres[new], self.fill_sizes(sizes)[new])
                self.begin(frame, new)
                self._end_surplus()
        return ids

    def compute_margins(self) -> FloatArray | None:
        """Compute how much similarity the nearest rival of each match of the last frame was behind."""
        if self._compared is None:
            return None
        return compute_margins(*self._compared, self.config.min_match_similarity)

    def _forget(self, frame: int) -> None:
        """Forget tracks that were not seen for too long."""
        if self._endless or not len(self._ids):
            return
        kept = frame - self.motion.frame <= self.config.track_buffer + 1
        if np.count_nonzero(kept) < len(kept):
            self._drop(kept)

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

    def _drop(self, kept: npt.NDArray[np.bool_]) -> None:
        self._ids = self._ids[kept]
        self.motion.keep(kept)
        self.keep(kept)

    def _match(self, frame: int, ids: Ints, high: npt.NDArray[np.bool_], low: npt.NDArray[np.bool_]) -> None:
        """Match tracks with animals, and write the ids of these."""
        expected = self.motion.predict(frame)
        similarity, off = self.compare(frame, expected)
        distance = np.abs(off)
        # n frames, n - 1 of them unseen.
        n = frame - self.motion.frame
        reach = self.config.gate * self.motion.size * (1 + _GROWTH * np.sqrt(n))
        # Before the assignment: a pair that cannot be must not force others to change partners.
        similarity = np.where(distance <= reach[:, None], similarity, -np.inf)
        self._compared = similarity, self._ids, ids
        free = np.ones(len(self._ids), bool)
        pairs: list[tuple[Ints, Ints]] = []

        def take(likeness: Floats, animals: npt.NDArray[np.bool_], least: float) -> None:
            rows, columns = free.nonzero()[0], animals.nonzero()[0]
            if not len(rows) or not len(columns):
                return
            if likeness.shape == (len(rows), len(columns)):
                tracks, taken = assign(likeness, least)
            else:
                found = assign(likeness[rows[:, None], columns], least)
                tracks, taken = rows[found[0]], columns[found[1]]
            free[tracks] = False
            ids[taken] = self._ids[tracks]
            pairs.append((tracks, taken))

        take(similarity, high, self.config.min_match_similarity)
        take(similarity, low, self.config.second_match_similarity)
        if self._endless and free.any():
            # Nothing joins tracks later, so that one that was lost is looked for as far as it may have come.
            far = self.config.gate * self.motion.size * (1 + _GROWTH * n)
            take(1 - distance / far[:, None], high & (ids < 0), 0.0)
        if len(pairs) == 1:
            tracks, animals = pairs[0]
        elif pairs:
            tracks, animals = (np.concatenate(found) for found in zip(*pairs, strict=True))
        else:
            return
        if len(tracks):
            late = n[tracks] > 1
            if 0 < np.count_nonzero(late) < len(late):
                # A track that was lost is not found in the second detection of an animal that has its own.
                same = self.compare_each_other(animals[late], animals[~late])
                twice = np.flatnonzero(late)[(same >= self.config.duplicate_similarity).any(axis=1)]
                if len(twice):
                    ids[animals[twice]] = -1
                    tracks, animals = np.delete(tracks, twice), np.delete(animals, twice)
            measured = expected[tracks] + off[tracks, animals]
            # Rows in order and all of them, which is usual, are a slice: numpy looks nothing up then.
            whole = len(pairs) == 1 and len(tracks) == len(self._ids)
            self.correct(frame, slice(None) if whole else tracks, animals, measured)

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
        self.motion.load_state_dict(state["motion"])
        self._scale.load_state_dict(state["scores"])
        self._ids, self._next = np.array(state["ids"]), int(state["next"])
