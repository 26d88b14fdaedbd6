"""List the moments in which tracks take one animal of the truth for another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_core.structures import Frame
from pose_core.tracking.metrics import THRESHOLD, compare_keypoints


@dataclass(frozen=True)
class Switch:
    """An animal that is found under another track than before.

    Attributes:
        animal: of the truth.
        before, frame: the last frame under the former track, and the first under the other one.
        tracks: the former and the other one.
    """

    animal: int
    before: int
    frame: int
    tracks: tuple[int, int]


def list_switches(truth: Iterable[Frame], tracked: Iterable[Frame]) -> list[Switch]:
    """List the switches as MOTA counts them, by keypoint similarity.

    Args:
        truth: frames with the right tracks.
        tracked: the same frames with those that were found.

    Returns:
        switches, by frame. An animal that is matched goes on with its track where that is similar enough.
    """
    last: dict[int, tuple[int, int]] = {}
    switches = []
    for right, found in zip(truth, tracked, strict=True):
        animals = found.instances.select(found.instances.track >= 0)
        names, tracks = right.instances.track.tolist(), animals.track.tolist()
        similarity = compare_keypoints(
            right.instances.keypoints, animals.keypoints, right.instances.animal_boxes()
        )
        former = np.array([last[name][1] if name in last else -1 for name in names])
        score = np.where(
            similarity >= THRESHOLD, similarity + 1000 * (former[:, None] == np.array(tracks, int)), 0
        )
        for row, column in zip(*linear_sum_assignment(score, maximize=True), strict=True):
            if score[row, column] <= 0:
                continue
            name, track = names[row], tracks[column]
            if name in last and last[name][1] != track:
                switches.append(Switch(name, last[name][0], right.index, (last[name][1], track)))
            last[name] = right.index, track
    return switches
