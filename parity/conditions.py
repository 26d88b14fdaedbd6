"""Poses to correct, for networks that see one. Read by the original's side; ours gets them from there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def draw_conditions(height: int, width: int, keypoints: int, seed: int) -> npt.NDArray[np.float32]:
    """A random (K, 3) pose of x, y and score in a crop: its last keypoint is missing (score 0), the one
    before lies outside, and the one before that at a corner; at least five keypoints."""
    rng = np.random.default_rng(seed)
    pose = np.empty((keypoints, 3), np.float32)
    # Whole pixels and a half, which no rounding moves into another one.
    pose[:, 0] = rng.integers(4, width - 4, keypoints) + 0.5
    pose[:, 1] = rng.integers(4, height - 4, keypoints) + 0.5
    pose[:, 2] = rng.uniform(0.3, 1, keypoints)
    pose[-3, :2] = 2.5, height - 1.5
    pose[-2, 0] = width + 10.5
    pose[-1] = 0
    return pose
