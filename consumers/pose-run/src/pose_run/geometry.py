"""Images through one matrix to the input of the network, and keypoints back through its inverse.

The same arithmetic as in training, down to OpenCV's interpolation: matrices are (3, 3) float64 and map pixels of the
image, the centre of the top-left one at (0, 0), to those of the input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pose_run.contract import View

Matrix = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Sizes such as 640 * 0.1 may come out a rounding error above a whole number; that must not cost a column.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Place:
    """Where the content of an image lies in an input.

    Attributes:
        matrix: pixels of the image -> pixels of the input.
        height, width: of the input.
    """

    matrix: Matrix
    height: int
    width: int


def place_frame(width: int, height: int, view: View) -> Place:
    """A whole frame: resized, then padded on the right and at the bottom."""
    if view.size is not None:
        return Place(_resize(min(view.size[1] / width, view.size[0] / height)), *view.size)
    sides = (_pad(side * view.scale, view.multiple) for side in (height, width))
    return Place(_resize(view.scale), *sides)


def place_crop(box: npt.ArrayLike, view: View) -> Place:
    """A crop: the box with its margin, its sides in the ratio of the input, in the middle of it."""
    assert view.size is not None
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    margin, pixels = view.margin, view.margin_pixels
    if view.extent is not None:
        x, y, half = (x1 + x2) / 2, (y1 + y2) / 2, view.extent / 2
        x1, y1, x2, y2 = x - half, y - half, x + half, y + half
        margin = pixels = 0.0
    height, width = view.size
    free = 2 * (margin * max(x2 - x1, y2 - y1) + pixels)
    wide, high = x2 - x1 + free, y2 - y1 + free
    scale = min(
        (side / length for side, length in ((width, wide), (height, high)) if length > 0), default=1.0
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre - scale * np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    return Place(np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1.0]]), height, width)


def find_way_back(place: Place, view: View) -> Matrix:
    """The matrix that takes keypoints from the input to the image.

    It is the inverse of that of the pixels, but for models of other tools that were trained with keypoints beside them.
    """
    matrix = place.matrix
    crop = view.sees == "animal"
    if crop and (view.label_offset or view.label_zoom != 1):
        labels = np.eye(3)
        labels[0, 0] = labels[1, 1] = 1 / view.label_zoom
        middle = np.array([(place.width - 1) / 2, (place.height - 1) / 2])
        labels[:2, 2] = middle - (middle + view.label_offset) / view.label_zoom
        matrix = labels @ matrix
    if not view.half_pixel:
        scale = (view.label_zoom if crop else 1.0) * math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
        matrix = _shift((1 - scale) / 2) @ matrix if crop else matrix @ _shift((1 - scale) / (2 * scale))
    return np.linalg.inv(matrix).astype(np.float64, copy=False)


def move(points: Floats, matrix: Matrix) -> Floats:
    """Points (..., 2) through a matrix; NaN stays NaN."""
    moved: Floats = (points.astype(np.float64) @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)
    return moved


def show(image: Image, place: Place) -> Image:
    """The input: bilinear, zero beyond the image; blocks of pixels are averaged where it shrinks."""
    matrix, (height, width) = place.matrix, image.shape[:2]
    lengths = np.hypot(matrix[0, :2], matrix[1, :2])
    across, down = (
        int(np.clip(math.floor(1 / max(length, 1e-12) + 0.5), 1, limit))
        for length, limit in zip(lengths, (width, height), strict=True)
    )
    if across > 1 or down > 1:
        image = _reduce(image, across, down)
        matrix = matrix @ _resize(float(across), float(down))
    if np.abs(matrix - np.eye(3)).max() < 1e-9:
        same = np.zeros((place.height, place.width, 3), np.uint8)
        rows, columns = min(place.height, image.shape[0]), min(place.width, image.shape[1])
        same[:rows, :columns] = image[:rows, :columns]
        return same
    shown: Any = cv2.warpAffine(
        image,
        matrix[:2],
        (place.width, place.height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0),
    )
    return np.asarray(shown, np.uint8)


def _reduce(image: Image, across: int, down: int) -> Image:
    height, width = image.shape[:2]
    columns, rows = -(-width // across), -(-height // down)
    right, bottom = columns * across - width, rows * down - height
    if right or bottom:
        image = np.asarray(
            cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8
        )
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _resize(sx: float, sy: float | None = None) -> Matrix:
    sy = sx if sy is None else sy
    return np.array([[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2], [0.0, 0.0, 1.0]])


def _shift(both: float) -> Matrix:
    return np.array([[1.0, 0.0, both], [0.0, 1.0, both], [0.0, 0.0, 1.0]])


def _pad(length: float, multiple: int) -> int:
    return max(1, -(-math.ceil(length - _ROUNDING) // multiple)) * multiple
