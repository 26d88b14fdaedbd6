"""Decide ``auto`` sizes of images and crops from the labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pose_core.specs.sides import padded_length
from pose_core.structures import LabelledDataset, keypoint_boxes

ANIMAL_LENGTH = 60.0
"""Pixels that the median animal is long at the automatic scale."""

SMALLEST_FRAME = 160.0
"""Pixels that the longer side of the median frame has at least, up to rounding, at the automatic scale."""

LARGEST_UNKNOWN_FRAME = 640.0
"""Pixels that the longer side of the median frame has at most where no animal's size is known."""

CROP_MARGIN = 16.0
"""Pixels by which the automatic crop is larger than twice a large animal."""

_PREFERRED = (1.0, 0.5, 0.25)
_NEAR = 0.25


def animal_lengths(dataset: LabelledDataset, rows: Sequence[int]) -> npt.NDArray[np.float64]:
    """Measure the animals: longer side of the box around their keypoints.

    In pixels of their image. Landmarks do not count.
    An animal whose labelled keypoints span nothing (a single one) counts with the box that the project gives
    it, or not at all.

    Args:
        dataset: the project.
        rows: the images to look at.

    Returns:
        (A,) positive, finite.
    """
    instances = [dataset.images[row].instances for row in rows]
    if not instances:
        return np.zeros(0)
    body = list(dataset.skeleton.body_indices)
    tight = keypoint_boxes(np.concatenate([i.keypoints for i in instances])[:, body])
    given = np.concatenate([i.boxes for i in instances])
    spans, fallback = ((b[:, 2:] - b[:, :2]).max(axis=1).astype(np.float64) for b in (tight, given))
    lengths: npt.NDArray[np.float64] = np.where(spans > 0, spans, fallback)
    return lengths[np.isfinite(lengths) & (lengths > 0)]


def auto_scale(dataset: LabelledDataset, rows: Sequence[int]) -> float:
    """Decide the factor by which frames are resized.

    The median animal comes out about 60 pixels long.
    It is never above 1, and the longer side of the median frame comes out at about 160 pixels or more (where
    it has as many). Where no animal's size is known (one keypoint an animal, no boxes) the longer side of the
    median frame comes out at most 640 pixels. The factor is 1, 0.5 or 0.25 where that is within 25 %, because
    then pixels are kept or whole blocks averaged; otherwise it has two significant digits.

    Args:
        dataset: the project.
        rows: the training images, at least one.
    """
    lengths = animal_lengths(dataset, rows)
    frame = float(np.median([max(dataset.images[row].width, dataset.images[row].height) for row in rows]))
    exact = ANIMAL_LENGTH / float(np.median(lengths)) if len(lengths) else LARGEST_UNKNOWN_FRAME / frame
    exact = min(1.0, max(exact, SMALLEST_FRAME / frame))
    for scale in _PREFERRED:
        if abs(exact / scale - 1) <= _NEAR and scale * frame >= min(frame, SMALLEST_FRAME):
            return scale
    return float(f"{exact:.1e}")


def auto_crop(
    dataset: LabelledDataset, rows: Sequence[int], scale: float, multiple: int = 32
) -> tuple[int, int]:
    """Decide the size of training windows.

    It is twice a large animal (the 90th percentile) and a margin.
    Both sides are rounded up to a multiple, are at least 96 pixels and at most the largest resized frame,
    padded to that multiple. Where no animal's size is known, animals are taken to be 60 pixels long.

    Args:
        dataset: the project.
        rows: the training images, at least one.
        scale: by which frames are resized.
        multiple: that the network's input size must be a multiple of.

    Returns:
        (height, width) in pixels of the resized frame.
    """
    lengths = animal_lengths(dataset, rows) * scale
    large = float(np.percentile(lengths, 90)) if len(lengths) else ANIMAL_LENGTH
    side = padded_length(max(2 * large + CROP_MARGIN, 96.0), multiple)
    height = max(dataset.images[row].height for row in rows)
    width = max(dataset.images[row].width for row in rows)
    return min(side, padded_length(height * scale, multiple)), min(
        side, padded_length(width * scale, multiple)
    )
