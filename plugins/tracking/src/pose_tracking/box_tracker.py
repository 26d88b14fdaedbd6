"""Tracker by the overlap of boxes, with the observation-centric corrections of OC-SORT (Cao et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pose_core.interfaces import TrackerContext
from pose_core.structures import Instances, box_overlaps, fill_boxes
from pose_tracking.config import BoxesConfig
from pose_tracking.motion import Floats, Ints, Places, Rows, join_places, split_places
from pose_tracking.motion_tracker import MotionTracker
from pose_tracking.similarity import Mask, square

_SIDES_GAIN = 0.3


class Boxes(NamedTuple):
    """N boxes.

    Attributes:
        there: (N,) whether one is known.
        centres: (N,) x + iy in pixels; 0 where it is not.
        sizes: (N,) longer sides in pixels; NaN where unknown or 0.
        sides: (N, 2) pixels.
        scores: (N,) of the animals; 0 where unknown.
    """

    there: Mask
    centres: Places
    sizes: Floats
    sides: Floats
    scores: Floats


class BoxTracker(MotionTracker):
    """Constant velocity of the centre, the last sides around it, and intersection over union.

    A track that is not seen is also looked for where it was seen last; its velocity comes from the way through the gap;
    and a match should go on in the direction of the track so far.
    """

    config: BoxesConfig
    found: Boxes

    def __init__(self, config: BoxesConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        self._sides = np.zeros((0, 2))
        # Where each track was seen in its last frames, the latest at the end; NaN before it began.
        self._past = np.zeros((0, config.delta_t + 1), np.complex128)

    def takes_low(self) -> bool:
        """Whether ByteTrack's second pass is wanted."""
        return self.config.use_byte

    def measure(self, animals: Sequence[Instances]) -> Boxes:
        """Measure the boxes."""
        points = np.concatenate([some.keypoints for some in animals])
        boxes = fill_boxes(np.concatenate([some.boxes for some in animals]), points).astype(np.float64)
        there = np.asarray(np.isfinite(boxes).all(axis=1))
        boxes[~there] = 0.0
        sides = boxes[:, 2:] - boxes[:, :2]
        longer = sides.max(axis=1)
        scores = np.nan_to_num(np.concatenate([some.scores for some in animals]).astype(np.float64))
        centres = join_places((boxes[:, :2] + boxes[:, 2:]) / 2)
        return Boxes(there, centres, np.where(longer > 0, longer, np.nan), sides, scores)

    def compare(self, frame: int, expected: Places) -> tuple[Floats, Places, Floats]:
        """Compare boxes with those expected, and directions."""
        new = self._pad(self.found.centres, self.found.sides)
        overlap = box_overlaps(self._pad(expected, self._sides), new)
        unseen = frame - self.motion.frame > 1
        if unseen.any():
            last = self._pad(self._past[unseen, -1], self._sides[unseen])
            overlap[unseen] = np.maximum(overlap[unseen], box_overlaps(last, new))
        similarity = np.where(overlap > self.config.min_match_similarity, overlap, -np.inf)
        similarity += self.config.inertia * self.found.scores * self._compare_directions()
        off = self.found.centres - expected[:, None]
        return similarity, off, square(off)

    def compare_each_other(self, some: Ints, others: Ints) -> Floats:
        """Compare boxes of one frame."""
        boxes = self._pad(self.found.centres, self.found.sides)
        return box_overlaps(boxes[some], boxes[others])

    def correct(self, frame: int, tracks: Rows, animals: Ints, measured: Places) -> None:
        """Take new boxes."""
        sides = self.found.sides[animals]
        self.motion.correct(tracks, frame, measured, self.found.sizes[animals])
        self._sides[tracks] += _SIDES_GAIN * (sides - self._sides[tracks])
        self._past[tracks, :-1] = self._past[tracks, 1:]
        self._past[tracks, -1] = measured

    def begin(self, frame: int, animals: Ints) -> None:
        """Begin tracks with boxes."""
        past = np.full((len(animals), self.config.delta_t + 1), np.nan, np.complex128)
        past[:, -1] = self.found.centres[animals]
        self._past = np.concatenate([self._past, past])
        self._sides = np.concatenate([self._sides, self.found.sides[animals]])

    def keep(self, kept: Mask) -> None:
        """Forget the boxes of other tracks."""
        self._past, self._sides = self._past[kept], self._sides[kept]

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {**super().state_dict(), "past": self._past.copy(), "sides": self._sides.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self._past, self._sides = np.array(state["past"]), np.array(state["sides"])

    def _pad(self, places: Places, sides: Floats) -> Floats:
        """Make boxes, enlarged on each side by a share of the longer one."""
        longer = sides.max(axis=1, initial=0.0)
        # Of a single keypoint, whose box is a point, the size is that of others.
        half = (
            sides / 2
            + self.config.box_padding * self.fill_sizes(np.where(longer > 0, longer, np.nan))[:, None]
        )
        centres = split_places(places)
        return np.concatenate([centres - half, centres + half], axis=1)

    def _compare_directions(self) -> Floats:
        """Compare the direction so far with that which each match would mean, (T, N) from -0.5 to 0.5."""
        oldest = np.argmax(np.isfinite(self._past), axis=1)
        first, last = self._past[np.arange(len(self._past)), oldest], self._past[:, -1]
        # The angle of this product is that between the two.
        product = (last - first).conj()[:, None] * (self.found.centres - first[:, None])
        # Who stands still has no direction.
        return np.where(product != 0, (np.pi / 2 - np.abs(np.angle(product))) / np.pi, 0.0)
