"""Tracker by object keypoint similarity to where the keypoints of tracks are expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pose_core.interfaces import TrackerContext
from pose_core.structures import Instances
from pose_tracking.config import OksConfig
from pose_tracking.motion import Floats, Ints, Places, Rows, find_longest
from pose_tracking.motion_tracker import MotionTracker
from pose_tracking.poses import Poses, measure_poses
from pose_tracking.similarity import Mask, compare_centres, compare_keypoints, compare_within, square

_POSE_GAIN = 0.6
"""Share of a new pose in the running mean."""

_TURN_GAIN = 0.4
"""The same of how fast an animal turns."""

_TURNED = 3
"""Keypoints from which on a pose says how far it has turned."""

_STEADY = 3
"""Frames for which an animal that is not seen is expected to turn on."""

_MANY = 512
"""Pairs of tracks and animals that are compared at once."""


class OksTracker(MotionTracker):
    """Constant velocity of the centre, a pose around it that turns, and object keypoint similarity.

    The pose is a running mean, and turns with the animal: where two lie on each other, the noise of the last frame, or
    a keypoint that was seen when the animal looked elsewhere, would decide otherwise. The offset of an animal from a
    track is the mean over the keypoints that both have, so that a centre does not jump when keypoints drop out.
    """

    config: OksConfig
    found: Poses

    def __init__(self, config: OksConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        # Landmarks do not move with the animal.
        fixed = context.skeleton.landmarks or ()
        self._moving = np.array([name not in fixed for name in context.skeleton.keypoints])
        self._all_move = bool(self._moving.all())
        count = int(self._moving.sum())
        # Of each track the places of keypoints around its centre (x + iy), and when each was last seen.
        self._pose = np.zeros((0, count), np.complex128)
        self._seen = np.zeros((0, count), np.int64)
        # How far each turns in a frame, as a complex number of length 1.
        self._turn = np.zeros(0, np.complex128)
        # 1 for keypoints that were seen recently when the track was seen last; they are expected. Complex, for products
        # of one type take half the time of mixed ones.
        self._known = np.zeros((0, count), np.complex128)
        # Summed up by a product, which takes less time than sum() for a few.
        self._ones = np.ones(count, np.complex128)

    def measure(self, animals: Sequence[Instances]) -> Poses:
        """Measure centres and sizes by the keypoints."""
        points = np.concatenate([some.keypoints for some in animals])
        return measure_poses(points if self._all_move else points[:, self._moving])

    def compare(self, frame: int, expected: Places) -> tuple[Floats, Places, Floats]:
        """Compare poses: similarity of keypoints, and a little of centres."""
        n = frame - self.motion.frame
        turn = self._turn if find_longest(n) == 1 else self._turn ** np.minimum(n, _STEADY)
        poses, known, sizes = self._pose * turn[:, None], self._known, self.motion.size
        # Compared in blocks: the table of many animals would not fit into the cache.
        step = max(1, _MANY // max(len(self.found.weights), 1))
        if step >= len(poses):
            return self._compare(poses, known, expected, sizes)
        parts = [
            self._compare(poses[rows], known[rows], expected[rows], sizes[rows])
            for rows in (slice(i, i + step) for i in range(0, len(poses), step))
        ]
        similarity, off, squared = zip(*parts, strict=True)
        return np.concatenate(similarity), np.concatenate(off), np.concatenate(squared)

    def _compare(
        self, poses: Places, known: Places, expected: Places, sizes: Floats
    ) -> tuple[Floats, Places, Floats]:
        """Compare the poses (T, K) of tracks, around where they are expected, with those that are found."""
        found, weights = self.found, self.found.weights
        counts = known.dot(weights.T)
        # Points that are missing are 0, and add nothing.
        apart = known.dot(found.points.T) - (poses * known).dot(weights.T)
        if np.count_nonzero(counts) == counts.size:
            off = apart / counts - expected[:, None]
        else:
            off = apart / np.maximum(counts, 1) - expected[:, None]
            off = np.where(counts == 0, found.centres - expected[:, None], off)
        squared = square(off)
        most = np.maximum(known.dot(self._ones).real[:, None], found.counts)
        near = compare_keypoints(
            poses + expected[:, None], known.real, found.distant, most, sizes, self.config.oks_stddev
        )
        weight = self.config.centre_weight
        return (1 - weight) * near + weight * compare_centres(squared, sizes), off, squared

    def compare_each_other(self, some: Ints, others: Ints) -> Floats:
        """Compare poses of one frame."""
        sizes = self.fill_sizes(self.found.sizes)
        return compare_within(self.found, sizes, some, others, self.config.oks_stddev)

    def correct(self, frame: int, tracks: Rows, animals: Ints, measured: Places) -> None:
        """Take new poses."""
        there = self.found.weights.take(animals, axis=0)
        n = frame - self.motion.frame[tracks]
        common = there * self._known[tracks]
        self.motion.correct(tracks, frame, measured, self.found.sizes.take(animals))
        around = self.found.points.take(animals, axis=0) - self.motion.centre[tracks][:, None]
        pose = self._turn_poses(tracks, around, common, n)
        # Of a keypoint that was not expected the new place counts alone.
        pose += (there - (1 - _POSE_GAIN) * common) * (around - pose)
        seen = self._seen[tracks]
        np.copyto(seen, frame, where=self.found.known.take(animals, axis=0))
        known = (seen >= frame - self.config.track_window).astype(np.complex128)
        # The centre stays the middle of what is known of the pose; something is, since the animal was just seen.
        middle = (pose * known).dot(self._ones) / known.dot(self._ones)
        self.motion.move(tracks, middle)
        self._pose[tracks] = pose - middle[:, None]
        self._seen[tracks] = seen
        self._known[tracks] = known

    def _turn_poses(self, tracks: Rows, around: Places, common: Places, n: Ints) -> Places:
        """Turn the poses of tracks as animals (R, K), seen n frames later, have turned by the keypoints of both."""
        pose, rate = self._pose[tracks], self._turn[tracks]
        turned = (around * pose.conj() * common).dot(self._ones)
        length = np.abs(turned)
        sure = (common.dot(self._ones).real >= _TURNED) & (length > 0)
        gain: Floats | float = _TURN_GAIN
        if np.count_nonzero(sure) == len(sure):
            turned /= length
        else:
            turned = np.where(sure, turned / np.where(sure, length, 1.0), 1.0)
            gain = _TURN_GAIN * sure
        each = turned if find_longest(n) == 1 else turned ** (1 / n)
        rate = rate + gain * (each - rate)
        self._turn[tracks] = rate / np.abs(rate)
        return np.asarray(pose * turned[:, None])

    def begin(self, frame: int, animals: Ints) -> None:
        """Begin tracks with poses."""
        found = self.found
        there = found.known[animals]
        pose = np.where(there, found.points[animals] - found.centres[animals, None], 0.0)
        self._pose = np.concatenate([self._pose, pose])
        # Far in the past: a keypoint that was never seen is expected nowhere.
        seen = np.where(there, frame, np.iinfo(np.int64).min // 2)
        self._seen = np.concatenate([self._seen, seen])
        self._known = np.concatenate([self._known, found.weights[animals]])
        self._turn = np.concatenate([self._turn, np.ones(len(animals), np.complex128)])

    def keep(self, kept: Mask) -> None:
        """Forget the poses of other tracks."""
        self._pose, self._seen = self._pose[kept], self._seen[kept]
        self._turn, self._known = self._turn[kept], self._known[kept]

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {
            **super().state_dict(),
            "pose": self._pose.copy(),
            "seen": self._seen.copy(),
            "turn": self._turn.copy(),
            "known": self._known.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self._pose, self._seen = np.array(state["pose"]), np.array(state["seen"])
        self._turn, self._known = np.array(state["turn"]), np.array(state["known"])
