"""Tracker by object keypoint similarity to where the keypoints of tracks are expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.interfaces import TrackerContext
from pose_core.structures import Instances
from pose_tracking.config import OksConfig
from pose_tracking.motion import Floats, Ints, Places, Rows, join_places
from pose_tracking.motion_tracker import MotionTracker

_LENGTH = 12**0.5
"""Length of a bar whose points have a root mean square distance of 1 from its middle."""

_SCALE = 0.65
"""Root of the area of a usual animal, in its sizes."""

_MANY = 512
"""Pairs of tracks and animals that are compared at once."""


class OksTracker(MotionTracker):
    """Constant velocity of the centre, the last pose around it, and object keypoint similarity.

    The offset of an animal from a track is the mean over the keypoints that both have, so that a centre does not jump
    when keypoints drop out.
    """

    config: OksConfig

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
        self._points = self._pose
        self._there = np.zeros((0, count), bool)
        self._centres = np.zeros(0, np.complex128)
        self._sizes = np.zeros(0)

    def measure(self, instances: Instances) -> tuple[npt.NDArray[np.bool_], Places, Floats]:
        """Measure centres and sizes by the keypoints."""
        points = instances.keypoints if self._all_move else instances.keypoints[:, self._moving]
        whole = join_places(points.astype(np.float64))
        there = self._there = np.isfinite(whole)
        self._points = np.where(there, whole, 0.0)
        counts = _sum(there)
        some = np.maximum(counts, 1)
        self._centres = _sum(self._points) / some
        spread = _sum(_square(np.where(there, whole - self._centres[:, None], 0.0)))
        sizes = _LENGTH * np.sqrt(spread / some)
        # Two neighbouring keypoints say nothing of the size of the animal.
        sizes[(counts < 0.6 * self._points.shape[1]) | (sizes <= 0)] = np.nan
        self._sizes = sizes
        return counts > 0, self._centres, sizes

    def compare(self, frame: int, expected: Places) -> tuple[Floats, Places]:
        """Compare poses: similarity of keypoints, and a little of centres."""
        recent = self._seen >= (self.motion.frame - self.config.track_window)[:, None]
        poses = expected[:, None] + self._pose
        # Compared in blocks: the table of many animals would not fit into the cache.
        step = max(1, _MANY // max(len(self._points), 1))
        parts = [
            self._compare(
                poses[i : i + step],
                recent[i : i + step],
                expected[i : i + step],
                self.motion.size[i : i + step],
            )
            for i in range(0, len(poses), step)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([s for s, _ in parts]), np.concatenate([off for _, off in parts])

    def _compare(
        self, poses: Places, known: npt.NDArray[np.bool_], expected: Places, sizes: Floats
    ) -> tuple[Floats, Places]:
        common = known[:, None] & self._there
        apart = (self._points - poses[:, None]) * common
        counts = _sum(common)
        off = _sum(apart) / np.maximum(counts, 1)
        if not counts.all():
            off = np.where(counts == 0, self._centres - expected[:, None], off)
        scale = -2 * (_SCALE * 2 * self.config.oks_stddev * sizes) ** 2
        near = _sum(np.exp(_square(apart) / scale[:, None, None]) * common)
        most = np.maximum(np.maximum(_sum(known)[:, None], _sum(self._there)), 1)
        centre = np.exp(_square(off) * (-2 / sizes**2)[:, None])
        weight = self.config.centre_weight
        return (1 - weight) * near / most + weight * centre, off

    def compare_each_other(self, some: Ints, others: Ints) -> Floats:
        """Compare poses of one frame."""
        return self._compare_at(some, others, self.fill_sizes(self._sizes))

    def _compare_at(self, some: Ints, others: Ints, sizes: Floats) -> Floats:
        common = self._there[some, None] & self._there[others]
        squared = _square(self._points[some, None] - self._points[others])
        scale = 2 * (_SCALE * np.maximum(sizes[some, None], sizes[others]) * 2 * self.config.oks_stddev) ** 2
        near = _sum(np.exp(-squared / scale[..., None]) * common)
        # Of a second detection often only some keypoints are found: those that both have decide.
        return np.asarray(near / np.maximum(_sum(common), 1))

    def correct(self, frame: int, tracks: Rows, animals: Ints, measured: Places) -> None:
        """Take new poses."""
        self.motion.correct(tracks, frame, measured, self._sizes[animals])
        there = self._there[animals]
        around = self._points[animals] - self.motion.centre[tracks][:, None]
        pose = np.where(there, around, self._pose[tracks])
        seen = np.where(there, frame, self._seen[tracks])
        # The centre stays the middle of what is known of the pose.
        known = seen >= frame - self.config.track_window
        middle = _sum(pose * known) / np.maximum(_sum(known), 1)
        self.motion.move(tracks, middle)
        self._pose[tracks] = pose - middle[:, None]
        self._seen[tracks] = seen

    def begin(self, frame: int, animals: Ints) -> None:
        """Begin tracks with poses."""
        pose = np.where(self._there[animals], self._points[animals] - self._centres[animals, None], 0.0)
        self._pose = np.concatenate([self._pose, pose])
        # Far in the past: a keypoint that was never seen is expected nowhere.
        seen = np.where(self._there[animals], frame, np.iinfo(np.int64).min // 2)
        self._seen = np.concatenate([self._seen, seen])

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Forget the poses of other tracks."""
        self._pose, self._seen = self._pose[kept], self._seen[kept]

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {**super().state_dict(), "pose": self._pose.copy(), "seen": self._seen.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self._pose, self._seen = np.array(state["pose"]), np.array(state["seen"])


# Sums are called on the ufunc, which for a few animals takes half the time of the method.
def _sum(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.add.reduce(values, axis=-1))


def _square(points: Places) -> Floats:
    return np.asarray(points.real**2 + points.imag**2)
