"""Stored predictions of synthetic crowds, and the swaps that a tracker made in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import make_writer
from pose_core.structures import Frame, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON
from pose_core.tracking.metrics import compare_keypoints


def store(
    path: Path,
    frames: Sequence[Frame],
    format: str = "parquet",
    skeleton: Skeleton = CROWD_SKELETON,
    source: str = "",
    size: tuple[int, int] = (800, 800),
) -> Path:
    source = source or f"{path.stem}.mp4"
    header = PredictionsHeader(skeleton, source, len(frames), *size, 30.0, "model", "run")
    make_writer(format).write(path, header, frames)
    return path


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
    """List the switches as MOTA counts them: matches of the frame before go on where they are similar enough."""
    last: dict[int, tuple[int, int]] = {}
    switches = []
    for right, found in zip(truth, tracked, strict=True):
        animals = found.instances.select(found.instances.track >= 0)
        names, tracks = right.instances.track.tolist(), animals.track.tolist()
        similarity = compare_keypoints(
            right.instances.keypoints, animals.keypoints, right.instances.animal_boxes()
        )
        former = np.array([last[name][1] if name in last else -1 for name in names])
        score = np.where(similarity >= 0.5, similarity + 1000 * (former[:, None] == np.array(tracks, int)), 0)
        for row, column in zip(*linear_sum_assignment(score, maximize=True), strict=True):
            if score[row, column] <= 0:
                continue
            name, track = names[row], tracks[column]
            if name in last and last[name][1] != track:
                switches.append(Switch(name, last[name][0], right.index, (last[name][1], track)))
            last[name] = right.index, track
    return switches
