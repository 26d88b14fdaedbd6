"""Decide what crops are cut around: one rule for labels, detectors and poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_core.data.auto_sizes import animal_lengths
from pose_core.errors import ConfigError
from pose_core.structures import (
    FloatArray,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    enlarge_boxes,
    keypoint_boxes,
    present_keypoints,
)

BOX = "box"
"""``centre``: the middle of the box."""

KEYPOINTS = "keypoints"
"""``centre``: the mean of the keypoints that are not missing, landmarks left out."""

_LEAST_PART = 0.25
"""Part of its sides that a moved box keeps at least where it would leave the image."""


def auto_min_box(dataset: LabelledDataset, rows: Sequence[int]) -> float:
    """Half the length of the median animal of some images, in their pixels; 0 where no animal's size is
    known."""
    lengths = animal_lengths(dataset, rows)
    return float(f"{np.median(lengths) / 2:.3g}") if len(lengths) else 0.0


@dataclass(frozen=True)
class CropRule:
    """Turns animals into the boxes that crops are cut around, and that detectors learn.

    Attributes:
        skeleton: of the project; its landmarks are in no box and no mean.
        min_box: a box around keypoints whose longer side is shorter becomes a square of this side, pixels of
            the image.
        centre: where the centre of an animal is, see :func:`find_centres`.
    """

    skeleton: Skeleton
    min_box: float
    centre: str = BOX

    def around_labels(self, record: LabelledImage) -> FloatArray:
        """Make the box of each animal: as labelled, else around its keypoints, those enlarged about their
        centre.

        With another centre than that of the box, it is moved there, and made smaller about it where it leaves
        the image (to a quarter at least), as what lies outside cannot be learned.

        Returns:
            (N, 4) float32 ``x1, y1, x2, y2``, pixels of the image; NaN for an animal with neither box nor
            keypoints.

        Raises:
            ConfigError: ``centre`` is no keypoint.
        """
        keypoints = record.instances.keypoints
        boxes = self._around(keypoints, record.instances.boxes)
        if self.centre == BOX:
            return boxes
        centres = find_centres(keypoints, boxes, self.centre, self.skeleton)
        half = (boxes[:, 2:] - boxes[:, :2]) / 2
        room = np.minimum(centres + 0.5, np.array([record.width, record.height], np.float32) - 0.5 - centres)
        return _make_boxes(centres, np.minimum(half, np.maximum(room, _LEAST_PART * half)).astype(np.float32))

    def around_poses(self, keypoints: FloatArray) -> FloatArray:
        """Make the box of each pose around its keypoints, its centre where those of labels are.

        Args:
            keypoints: (A, K, 2) float32 in pixels of the frame, NaN where missing.

        Returns:
            (A, 4) float32 ``x1, y1, x2, y2``; NaN for a pose without keypoints.

        Raises:
            ConfigError: ``centre`` is no keypoint.
        """
        boxes = self._around(keypoints, np.full((len(keypoints), 4), np.nan, np.float32))
        if self.centre == BOX:
            return boxes
        centres = find_centres(keypoints, boxes, self.centre, self.skeleton)
        return _make_boxes(centres, ((boxes[:, 2:] - boxes[:, :2]) / 2).astype(np.float32))

    def _around(self, keypoints: FloatArray, boxes: FloatArray) -> FloatArray:
        """The boxes (N, 4) that are known, and around the keypoints (N, K, 2) those that are not."""
        tight = keypoint_boxes(keypoints[:, list(self.skeleton.body_indices)])
        boxes = np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, tight)
        # Readers put the tight box where the project has none; a box that differs from it was drawn by hand.
        around = (boxes == tight).all(axis=1, keepdims=True)
        return np.where(around, enlarge_boxes(boxes, self.min_box), boxes).astype(np.float32)


def find_centres(keypoints: FloatArray, boxes: FloatArray, centre: str, skeleton: Skeleton) -> FloatArray:
    """Find the one point that stands for each animal.

    Args:
        keypoints: (N, K, 2) float32 in pixels, NaN where missing.
        boxes: (N, 4) float32 ``x1, y1, x2, y2`` in the same pixels, NaN where unknown.
        centre: ``box``, the middle of the box; ``keypoints``, the mean of the keypoints, and of an animal
            without any the middle of its box; or the name of a keypoint, and of an animal that lacks it what
            ``keypoints`` says.
        skeleton: of the keypoints; landmarks count for no mean.

    Returns:
        (N, 2) float32; NaN for an animal with neither.

    Raises:
        ConfigError: there is no such keypoint.
    """
    check_centre(centre, skeleton)
    middles = ((boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2).astype(np.float32)
    if centre == BOX:
        return middles
    body = keypoints[:, list(skeleton.body_indices)]
    there = present_keypoints(body)[..., None]
    count = there.sum(axis=1)
    mean = np.where(there, body, 0.0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    found = np.where(count > 0, mean.astype(np.float32), middles)
    if centre == KEYPOINTS:
        return found
    named = keypoints[:, skeleton.keypoints.index(centre)]
    return np.where(present_keypoints(named)[:, None], named, found).astype(np.float32)


def check_centre(centre: str, skeleton: Skeleton) -> None:
    """Refuse a centre that the skeleton does not have.

    Raises:
        ConfigError: it is neither ``box`` nor ``keypoints`` nor a keypoint.
    """
    if centre not in (BOX, KEYPOINTS, *skeleton.keypoints):
        raise ConfigError(
            f"model.preprocess.centre: no keypoint is called {centre!r}; write {BOX}, {KEYPOINTS} or one of "
            f"{', '.join(skeleton.keypoints)}"
        )


def with_boxes(record: LabelledImage, rule: CropRule) -> LabelledImage:
    """The labels with what crops are cut around in the place of their boxes."""
    return replace(record, instances=replace(record.instances, boxes=rule.around_labels(record)))


def _make_boxes(centres: FloatArray, half: FloatArray) -> FloatArray:
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
