"""Decide the ``auto`` extent of crops from the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_core.data.auto_sizes import ANIMAL_LENGTH
from pose_core.data.boxes import CropRule, find_centres
from pose_core.specs.train import DecidedAugmentationSpec
from pose_core.structures import FloatArray, LabelledDataset, present_keypoints

REACH_PERCENTILE = 99.0
"""Percentile of the animals that the extent is made for: one wrong label in a hundred animals changes nothing."""

LEAST_ROOM = 1.2
"""The extent is at least so many times what the largest animals need: centres that are predicted are a little off."""


@dataclass(frozen=True)
class Extent:
    """Extent of crops.

    Attributes:
        side: of the square that crops show, pixels of the frame, three significant digits.
        why: the reason, a line.
    """

    side: float
    why: str


def auto_extent(
    dataset: LabelledDataset, rows: Sequence[int], centre: str, augmentation: DecidedAugmentationSpec
) -> Extent:
    """Decide the side of the square that crops show.

    The reach r of an animal is how far its farthest keypoint lies from the centre along x or y when it is turned
    by the largest rotation (or the box reaches, where one is labelled that is larger). The extent holds two
    things, whichever needs more: 99 animals in a hundred as they are seen in prediction, 1.2 times 2 r, as
    centres that are predicted are a little off; and the median animal as random views of the training may zoom
    and shift it, 2 r z / (1 - 2 t), where z is the largest zoom (1 at least) and t the largest shift as a part
    of the crop. The largest animals in the largest zoom may lose the tip of a tail, which is not taught then;
    room for that would show all animals smaller, in every crop.
    Measured from the centre, not by the box: a centre at the nose has the whole animal on one side.

    Args:
        dataset: the project with the skeleton of the run.
        rows: the training images.
        centre: of animals, see :func:`pose_core.data.boxes.find_centres`.
        augmentation: of the training.

    Raises:
        ConfigError: ``centre`` is no keypoint.
    """
    reaches = _measure_reaches(dataset, rows, centre, augmentation.rotation)
    if len(reaches):
        middle, largest = (float(r) for r in np.percentile(reaches, (50.0, REACH_PERCENTILE)))
        size = (
            f"turned by {augmentation.rotation:g} degrees, keypoints lie up to {largest:.0f} px from the centre, "
            f"{middle:.0f} px in the median animal"
        )
    else:
        middle = largest = ANIMAL_LENGTH / 2
        size = f"no animal's size is known, and they are taken to be {ANIMAL_LENGTH:.0f} px long"
    shift = min(augmentation.translation, 0.4)
    views = max(1.0, augmentation.scale[1]) / (1 - 2 * shift)
    seen, taught = 2 * largest * LEAST_ROOM, 2 * middle * views
    why = (
        f"{LEAST_ROOM:g} times twice the former, as centres are predicted"
        if seen >= taught
        else f"{views:.2f} times twice the latter for random views"
    )
    return Extent(float(f"{max(seen, taught):.3g}"), f"{size}; {why}")


def _measure_reaches(
    dataset: LabelledDataset, rows: Sequence[int], centre: str, rotation: float
) -> FloatArray:
    """Measure how far each animal reaches from its centre along x or y.

    Keypoints are turned by ``rotation`` degrees at most, boxes stay upright; animals that have no size are left
    out.
    """
    skeleton = dataset.skeleton
    rule, body = CropRule(skeleton, 0.0), list(skeleton.body_indices)
    found = [np.zeros(0)]
    for row in rows:
        record = dataset.images[row]
        points = record.instances.keypoints
        boxes = rule.around_labels(record)
        centres = find_centres(points, boxes, centre, skeleton)
        away = (points[:, body] - centres[:, None]).astype(np.float64)
        away = np.where(present_keypoints(away)[..., None], away, 0.0)
        # The angle to the nearest axis: along an axis, a point is as far as its distance.
        along = np.abs(away)
        angle = np.arctan2(along.min(axis=-1), along.max(axis=-1))
        turned = np.maximum(angle - np.radians(rotation), 0.0)
        farthest = (np.hypot(away[..., 0], away[..., 1]) * np.cos(turned)).max(axis=1, initial=0.0)
        beyond = np.concatenate([centres - boxes[:, :2], boxes[:, 2:] - centres], axis=1).max(axis=1)
        found.append(np.fmax(farthest, beyond.astype(np.float64)))
    reaches = np.concatenate(found)
    return reaches[reaches > 0].astype(np.float32)
