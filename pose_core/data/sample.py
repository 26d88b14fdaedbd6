"""One image with its labels in pixels of the network's input, before it joins a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pose_core.data.landmarks import LARGEST_TURN
from pose_core.data.movements import Placement
from pose_core.interfaces import FrameGeometry, Matrix, PlacedLabels
from pose_core.structures import (
    ByteArray,
    FloatArray,
    IntArray,
    LabelledImage,
    Skeleton,
    present_keypoints,
)

# float32 coordinates on the very edge of an image may come out a rounding error outside of the output.
_EDGE = 1e-3

_SIDE = 9
"""Points along the side of a box that is bent."""

_VISIBLE = 0.25
"""Part of its box by which an animal without a keypoint in the output is still seen."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An input of the network with its labels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: in pixels of ``image``.
        matrix: (3, 3) float64, keypoints of the image file -> those of ``labels``.
        index: row of the image in ``LabelledDataset.images``.
    """

    image: ByteArray
    labels: PlacedLabels
    matrix: Matrix
    index: int


def place_labels(
    record: LabelledImage, animals: IntArray, placement: FrameGeometry | Placement, skeleton: Skeleton
) -> PlacedLabels:
    """Labels of an image through the matrix, and what follows it, that its pixels go through.

    A matrix that mirrors (negative determinant) makes left and right keypoints of every animal change places.
    Keypoints outside the output become unlabelled; so do landmarks in a view that is mirrored or turned by more
    than 25 degrees, where a corner of the arena looks like another. Boxes are the upright boxes around the transformed
    outlines, clipped to the output; an animal of which neither a keypoint nor a quarter of its box is left
    becomes a row of NaN (identity -1, nothing occluded).

    Args:
        record: the labelled image.
        animals: (N,) rows of ``record.instances`` to take, in this order.
        placement: image -> output.
        skeleton: says what changes places.
    """
    placement = Placement(placement) if isinstance(placement, FrameGeometry) else placement
    geometry, matrix, instances = placement.geometry, placement.matrix, record.instances
    determinant = float(np.linalg.det(matrix[:2, :2]))
    order = list(skeleton.mirror_indices) if determinant < 0 else list(range(skeleton.num_keypoints))

    keypoints = _inside(placement.move_points(instances.keypoints[animals][:, order]), geometry)
    absent = None
    if landmarks := list(skeleton.landmark_indices):
        absent = np.zeros(keypoints.shape[:2], bool)
        known = present_keypoints(instances.keypoints[animals][:, landmarks])
        absent[:, landmarks] = known & np.isnan(keypoints[:, landmarks, 0])
        # Turned, the corner may look like another, or not: nothing is said of it.
        if not _is_upright(matrix):
            keypoints[:, landmarks] = np.nan
    labelled = ~np.isnan(keypoints[..., 0])
    corners = placement.move_points(_outline(instances.animal_boxes()[animals], bool(placement.steps)))
    limit = np.array([geometry.width, geometry.height], np.float32) - 0.5
    whole = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    boxes = np.concatenate([whole[:, :2].clip(-0.5, limit), whole[:, 2:].clip(-0.5, limit)], axis=1)
    present = labelled.any(axis=1) | (_area(boxes) > _VISIBLE * _area(whole))
    boxes[~present] = np.nan

    areas = (record.areas[animals] * abs(determinant)).astype(np.float32)
    areas[~present] = np.nan
    return PlacedLabels(
        keypoints=keypoints,
        occluded=record.occluded[animals][:, order] & labelled,
        boxes=boxes,
        areas=areas,
        identity=np.where(present, instances.identity[animals], -1),
        unique_keypoints=_inside(placement.move_points(record.unique_keypoints), geometry),
        absent=absent,
    )


def _outline(boxes: FloatArray, bent: bool) -> FloatArray:
    """Corners of boxes (N, 4), and where sides may be bent points along them: (N, P, 2)."""
    along = np.linspace(0, 1, _SIDE if bent else 2, dtype=np.float32)
    zero = np.zeros_like(along)
    sides = [(along, zero), (along, zero + 1), (zero, along), (zero + 1, along)]
    places = np.concatenate([np.stack(side, axis=-1) for side in sides])
    outline: FloatArray = boxes[:, None, :2] * (1 - places) + boxes[:, None, 2:] * places
    return outline


def _is_upright(matrix: Matrix) -> bool:
    """Whether a view shows landmarks as the camera does, about."""
    turn = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    return float(np.linalg.det(matrix[:2, :2])) > 0 and abs(turn) <= LARGEST_TURN + 1e-6


def _area(boxes: FloatArray) -> FloatArray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _inside(points: FloatArray, geometry: FrameGeometry) -> FloatArray:
    """The points, NaN where they lie outside the pixels of the output."""
    limit = np.array([geometry.width, geometry.height]) - 0.5 + _EDGE
    # A NaN coordinate compares as outside, so that both coordinates become NaN.
    outside = ~((points >= -0.5 - _EDGE) & (points <= limit)).all(axis=-1, keepdims=True)
    return np.where(outside, np.float32(np.nan), points)
