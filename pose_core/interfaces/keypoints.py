"""Which of its tensors a part holds keypoint by keypoint, so that weights can move between sets of keypoints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeypointAxis:
    """One axis of a parameter that runs over the keypoints.

    Attributes:
        axis: which one, from 0.
        values: entries a keypoint has, side by side (2 for x and y); the axis is K x values long.
        unique: whether the keypoints are the skeleton's unique ones.
    """

    axis: int
    values: int = 1
    unique: bool = False
