"""Decide ``auto`` views of training images from the labels.

An animal seen along its plane of symmetry looks like its mirror image, turned; that is also the view in which
it can turn freely. Thresholds are measured on public data, see ``docs/measurements.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_core.data.landmarks import LARGEST_TURN
from pose_core.data.mirroring import describe_unpaired, find_conflicts
from pose_core.data.pose_statistics import FEWEST_KEYPOINTS, PoseStatistics, measure_poses
from pose_core.structures import LabelledDataset

ALIKE = 1.25
"""Mirrored poses look like the others up to so many times their own distance."""

FREE_TURN = 45.0
"""Degrees: animals that look like their mirror images and turn further than that turn freely."""

FREE_TURN_ABOVE = 25.0
"""The same where mirror images are alike only after turning, as of an animal seen from above."""

BEYOND = 20.0
"""Degrees by which images are turned further than poses are in the labels."""

ABOVE = 1.5
"""Mirrored poses of so many times their own distance before turning, which are alike after it, are of animals
seen from above."""

FEWEST_POSES = 20
"""With fewer poses only what is clear without doubt is decided by them."""

UNLIKE = 2.5
"""Mirrored poses of so many times their own distance are others, however few poses there are."""

FREE_ROTATION, FLIP = 180.0, 0.5

SCALES = ((4.0, (0.5, 2.0)), (2.0, (0.67, 1.5)), (0.0, (0.8, 1.25)))
"""Smallest and largest zoom where animals differ in size by this factor at least (5 to 95 %)."""


@dataclass(frozen=True)
class Views:
    """Views of training images.

    Attributes:
        rotation: largest rotation, degrees.
        flip: probability of mirroring.
        scale: smallest and largest zoom.
        why: reason for rotation and mirroring, and of the scale.
    """

    rotation: float
    flip: float
    scale: tuple[float, float]
    why: str
    why_scale: str


def auto_views(dataset: LabelledDataset, rows: Sequence[int], *, crops: bool = False) -> Views:
    """Decide rotation, mirroring and zoom of training images.

    Args:
        dataset: the project, whose skeleton knows landmarks and pairs.
        rows: the training images.
        crops: whether the network sees crops around animals, which come out equally large.
    """
    found = _measure(dataset, rows)
    # Few poses say little, but a fixed animal from a fixed camera is told by a handful.
    told = found if found is not None and (found.poses >= FEWEST_POSES or found.mirrored > UNLIKE) else None
    rotation, turned = _decide_rotation(told)
    flip, mirrored = _decide_flip(dataset, told)
    scale, why_scale = _decide_scale(None if crops else told)
    why = f"{turned}: rotated by at most {rotation:g} degrees; {mirrored}"
    if dataset.skeleton.landmarks and (rotation > LARGEST_TURN or flip):
        why += f"; landmarks are learned from views turned by at most {LARGEST_TURN:g} degrees, not mirrored"
    return Views(rotation, flip, scale, why, why_scale)


def _measure(dataset: LabelledDataset, rows: Sequence[int]) -> PoseStatistics | None:
    skeleton, body = dataset.skeleton, list(dataset.skeleton.body_indices)
    keypoints = [dataset.images[row].instances.keypoints[:, body] for row in rows]
    if not keypoints:
        return None
    place = {index: i for i, index in enumerate(body)}
    # Landmarks take nobody's place, so what takes that of a keypoint of the body is of the body, too.
    mirror = [place[skeleton.mirror_indices[index]] for index in body]
    return measure_poses(np.concatenate(keypoints), mirror)


def _decide_rotation(statistics: PoseStatistics | None) -> tuple[float, str]:
    if statistics is None:
        return FREE_ROTATION, f"fewer than {FEWEST_POSES} poses of {FEWEST_KEYPOINTS} keypoints to tell by"
    turn = statistics.turn
    above = statistics.mirrored_upright > ABOVE
    if statistics.mirrored < ALIKE and turn > (FREE_TURN_ABOVE if above else FREE_TURN):
        return FREE_ROTATION, f"poses turn by {turn:.0f} degrees and look like their mirror images"
    return min(
        FREE_ROTATION, float(round(turn + BEYOND))
    ), f"poses keep their direction within {turn:.0f} degrees"


def _decide_flip(dataset: LabelledDataset, statistics: PoseStatistics | None) -> tuple[float, str]:
    if groups := find_conflicts(dataset.skeleton):
        return 0.0, f"not mirrored: {describe_unpaired(groups)}"
    if statistics is None:
        return FLIP, "mirrored"
    if statistics.mirrored < ALIKE:
        return FLIP, "mirrored, as mirrored poses look like others"
    # An animal that walked one way round is bent one way, and turns in all directions. Poses in all directions
    # are also far from each other and from any mirror image alike, so parts without known pairs are not told.
    around = statistics.mirrored_upright < ALIKE and statistics.mirrored < UNLIKE
    if around and dataset.skeleton.symmetry:
        return FLIP, "mirrored, as poses in all directions look much like their mirror images"
    times = f"{statistics.mirrored:.1f} times as far from others as poses themselves"
    return 0.0, f"not mirrored, as mirrored poses are {times}"


def _decide_scale(statistics: PoseStatistics | None) -> tuple[tuple[float, float], str]:
    if statistics is None:
        return SCALES[-1][1], "the usual"
    scale = next(scale for least, scale in SCALES if statistics.size_range >= least)
    return scale, f"poses differ in size by a factor of {statistics.size_range:.1f}"
