"""Tracker by object keypoint similarity to where the keypoints of tracks are expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.interfaces import TrackerContext
from pose_core.structures import Instances
from pose_tracking.config import OksConfig
from pose_tracking.motion import Floats, Ints
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
        # Of each track the places of keypoints around its centre (complex: x + iy), and when each was last seen.
        self._pose = np.zeros((0, count), np.complex128)
        self._seen = np.zeros((0, count), np.int64)
        self._points = self._pose
        self._there = np.zeros((0, count), bool)
        self._centres = np.zeros(0, np.complex128)
        self._sizes = np.zeros(0)

    def measure(self, instances: Instances) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
        """Measure centres and sizes by the keypoints."""
        points = instances.keypoints if self._all_move else instances.keypoints[:, self._moving]
        whole = _join(points.astype(np.float64))
        self._there = np.isfinite(whole)
        self._points = np.where(self._there, whole, 0.0)
        counts = self._there.sum(axis=1)
        self._centres = self._points.sum(axis=1) / np.maximum(counts, 1)
        spread = np.where(self._there, np.abs(self._points - self._centres[:, None]) ** 2, 0.0).sum(axis=1)
        sizes = _LENGTH * np.sqrt(spread / np.maximum(counts, 1))
        # Two neighbouring keypoints say nothing of the size of the animal.
        sizes[(counts < 0.6 * self._points.shape[1]) | (sizes <= 0)] = np.nan
        self._sizes = sizes
        return counts > 0, _split(self._centres), sizes

    def compare(self, frame: int, expected: Floats) -> tuple[Floats, Floats]:
        """Compare poses: similarity of keypoints, and a little of centres."""
        recent = self._seen >= (self.motion.frame - self.config.track_window)[:, None]
        poses = _join(expected)[:, None] + self._pose
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
        self, poses: npt.NDArray[np.complex128], known: npt.NDArray[np.bool_], expected: Floats, sizes: Floats
    ) -> tuple[Floats, Floats]:
        common = known[:, None] & self._there
        apart = np.where(common, self._points - poses[:, None], 0.0)
        counts = common.sum(axis=-1)
        off = apart.sum(axis=-1) / np.maximum(counts, 1)
        none = counts == 0
        if none.any():
            off = np.where(none, self._centres - _join(expected)[:, None], off)
        squared = apart.real**2 + apart.imag**2
        scale = 2 * (_SCALE * sizes * 2 * self.config.oks_stddev) ** 2
        near = np.where(common, np.exp(-squared / scale[:, None, None]), 0.0).sum(axis=-1)
        most = np.maximum(known.sum(axis=1)[:, None], self._there.sum(axis=1))
        centre = np.exp(-(off.real**2 + off.imag**2) / (2 * (sizes / 2) ** 2)[:, None])
        weight = self.config.centre_weight
        return (1 - weight) * near / np.maximum(most, 1) + weight * centre, _split(off)

    def compare_each_other(self, some: Ints, others: Ints) -> Floats:
        """Compare poses of one frame."""
        return self._compare_at(some, others, self.fill_sizes(self._sizes))

    def _compare_at(self, some: Ints, others: Ints, sizes: Floats) -> Floats:
        common = self._there[some, None] & self._there[others]
        squared = np.abs(self._points[some, None] - self._points[others]) ** 2
        scale = 2 * (_SCALE * np.maximum(sizes[some, None], sizes[others]) * 2 * self.config.oks_stddev) ** 2
        near = np.where(common, np.exp(-squared / scale[..., None]), 0.0).sum(axis=-1)
        # Of a second detection often only some keypoints are found: those that both have decide.
        return np.asarray(near / np.maximum(common.sum(axis=-1), 1))

    def correct(self, frame: int, tracks: Ints, animals: Ints, measured: Floats) -> None:
        """Take new poses."""
        self.motion.correct(tracks, frame, measured, self._sizes[animals])
        there = self._there[animals]
        around = self._points[animals] - _join(self.motion.centre[tracks])[:, None]
        pose = np.where(there, around, self._pose[tracks])
        seen = np.where(there, frame, self._seen[tracks])
        # The centre stays the middle of what is known of the pose.
        known = seen >= frame - self.config.track_window
        middle = np.where(known, pose, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        self.motion.move(tracks, _split(middle))
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


# Views, not copies: points are complex where they are turned and added, and pairs where the filter has them.
def _split(points: npt.NDArray[np.complex128]) -> Floats:
    return np.ascontiguousarray(points).view(np.float64).reshape(*points.shape, 2)


def _join(points: Floats) -> npt.NDArray[np.complex128]:
    return np.ascontiguousarray(points).view(np.complex128)[..., 0]
