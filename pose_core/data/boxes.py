"""Make the boxes of animals, the same for crops and detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pose_core.data.auto_sizes import animal_lengths
from pose_core.structures import (
    FloatArray,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    enlarge_boxes,
    keypoint_boxes,
)


def auto_min_box(dataset: LabelledDataset, rows: Sequence[int]) -> float:
    """Half the length of the median animal of some images, in their pixels; 0 where no animal's size is
    known."""
    lengths = animal_lengths(dataset, rows)
    return float(f"{np.median(lengths) / 2:.3g}") if len(lengths) else 0.0


def animal_boxes(record: LabelledImage, least: float, skeleton: Skeleton) -> FloatArray:
    """The box of each animal: as labelled, else around its keypoints; small ones of these enlarged about
    their centre.

    Args:
        record: the labelled image.
        least: a box around keypoints whose longer side is shorter becomes a square of this side, pixels of
            the image.
        skeleton: says which keypoints are landmarks, which are in no box.

    Returns:
        (N, 4) float32 ``x1, y1, x2, y2``; NaN for an animal with neither box nor keypoints.
    """
    boxes, tight = (
        record.instances.boxes,
        keypoint_boxes(record.instances.keypoints[:, list(skeleton.body_indices)]),
    )
    boxes = np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, tight)
    # Readers put the tight box where the project has none; a box that differs from it was drawn by hand.
    around = (boxes == tight).all(axis=1, keepdims=True)
    return np.where(around, enlarge_boxes(boxes, least), boxes).astype(np.float32)


def with_boxes(record: LabelledImage, least: float, skeleton: Skeleton) -> LabelledImage:
    """The labels with :func:`animal_boxes` in the place of their boxes."""
    return replace(record, instances=replace(record.instances, boxes=animal_boxes(record, least, skeleton)))
