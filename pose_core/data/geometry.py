"""One matrix from the pixels of an image to the pixels of the network's input, and the warp that obeys it.

Matrices are (3, 3) float64 and affine; they map homogeneous pixel coordinates ``(x, y, 1)`` of the image to
those of the output. The centre of the top-left pixel is (0, 0), so the image covers x from -0.5 to width -
0.5, and resizing by s maps x to ``(x + 0.5) * s - 0.5``. Image content and keypoints go through the same
matrix, in training and in inference; nothing else in the code base resizes, crops, rotates or mirrors.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from pose_core.interfaces import FrameGeometry, Matrix
from pose_core.specs import Preprocess
from pose_core.specs.sides import padded_length
from pose_core.structures import ByteArray, FloatArray


def translation_matrix(x: float, y: float) -> Matrix:
    """Shift by (x, y) pixels."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def resize_matrix(scale: float | tuple[float, float]) -> Matrix:
    """Resizing by a factor, or by one factor for x and one for y: ``x' = (x + 0.5) * s - 0.5``."""
    sx, sy = scale if isinstance(scale, tuple) else (scale, scale)
    return np.array([[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2], [0.0, 0.0, 1.0]])


def invert(matrix: Matrix) -> Matrix:
    """The way back. Works on one (3, 3) matrix or on a stack (..., 3, 3)."""
    return np.linalg.inv(matrix).astype(np.float64, copy=False)


def transform_points(points: npt.ArrayLike, matrix: Matrix) -> FloatArray:
    """Points through an affine matrix.

    Args:
        points: (..., 2) x and y in pixels; NaN stays NaN.
        matrix: (3, 3).

    Returns:
        (..., 2) float32, computed in float64.
    """
    moved = np.asarray(points, np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
    return moved.astype(np.float32)


def frame_input(width: int, height: int, scale: float, multiple: int) -> FrameGeometry:
    """A whole frame, resized and padded on the right and at the bottom.

    Args:
        width, height: of the frame in pixels.
        scale: factor of both sides, kept exact: the resized size is rounded up, the content is not stretched
            to it.
        multiple: width and height of the output are multiples of it.
    """
    return FrameGeometry(
        resize_matrix(scale), padded_length(width * scale, multiple), padded_length(height * scale, multiple)
    )


def frame_view(width: int, height: int, preprocess: Preprocess, multiple: int) -> FrameGeometry:
    """View of a whole frame by a network; the one rule for training and inference.

    Without ``preprocess.size`` the frame is resized by ``preprocess.scale`` and padded to a multiple. With
    it, the frame is resized to fit into that size, its aspect ratio kept, and padded to it on the right and
    at the bottom.

    Args:
        width, height: of the frame in pixels.
        preprocess: of the model.
        multiple: the network's ``size_multiple``.
    """
    if preprocess.size is not None:
        out_height, out_width = preprocess.size
        return FrameGeometry(
            resize_matrix(min(out_width / width, out_height / height)), out_width, out_height
        )
    return frame_input(width, height, preprocess.scale, multiple)


def crop_view(box: npt.ArrayLike, preprocess: Preprocess) -> FrameGeometry:
    """View of one animal by a network that looks at crops; the one rule for training and inference.

    With ``preprocess.extent`` the crop shows a square of that side around the centre of the box, whatever the
    box's size; without it the box and its margin, see :func:`compute_crop_geometry`.

    Args:
        box: (4,) ``x1, y1, x2, y2`` in pixels of the frame; with ``extent`` it may be a point.
        preprocess: of the model.

    Raises:
        ValueError: the box is not finite, or the network looks at whole frames.
    """
    size = preprocess.crop_size
    if preprocess.extent is None:
        return compute_crop_geometry(box, size, preprocess.margin, preprocess.margin_pixels)
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    x, y, half = (x1 + x2) / 2, (y1 + y2) / 2, preprocess.extent / 2
    return compute_crop_geometry((x - half, y - half, x + half, y + half), size, margin=0.0)


def compute_crop_geometry(
    box: npt.ArrayLike, size: tuple[int, int], margin: float, margin_pixels: float = 0.0
) -> FrameGeometry:
    """A crop around one box, its aspect ratio kept by enlarging the box, without rounding.

    The centre of the box comes to the centre of the output. A box without extent (one keypoint) is shown at
    scale 1.

    Args:
        box: (4,) ``x1, y1, x2, y2`` in pixels of the frame.
        size: (height, width) of the output.
        margin: free space on each side as a fraction of the longer side of the box.
        margin_pixels: further free space on each side, in pixels of the frame.

    Raises:
        ValueError: the box is not finite.
    """
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    if not np.isfinite([x1, y1, x2, y2]).all():
        raise ValueError(f"a crop needs a finite box, not {[float(v) for v in (x1, y1, x2, y2)]}")
    height, width = size
    free = 2 * (margin * max(x2 - x1, y2 - y1) + margin_pixels)
    wide, high = x2 - x1 + free, y2 - y1 + free
    scale = min((s / length for s, length in ((width, wide), (height, high)) if length > 0), default=1.0)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre - scale * np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    return FrameGeometry(np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1.0]]), width, height)


def keypoint_matrix(matrix: Matrix, preprocess: Preprocess, base: Matrix | None = None) -> Matrix:
    """Make the matrix that moves keypoints of the frame into a view.

    It is that of the view's pixels, unless ``preprocess.half_pixel`` is false: imported models were trained with
    ``x' = x s`` where their pixels were resized by ``x' = (x + 0.5) s - 0.5``. In crops of models whose pixels
    lay beside their labels (``label_offset`` o, ``label_zoom`` z) a pixel at ``c + d`` from the centre c of the
    crop belongs to the label at ``c + (d - o) / z``.

    Args:
        matrix: (3, 3), pixels of the frame -> pixels of the view.
        preprocess: of the model.
        base: of a whole frame, the matrix before random changes of the view; by default ``matrix``. Those
            models resize frames before they change them, and cut crops after.
    """
    if preprocess.view == "animal" and (preprocess.label_offset or preprocess.label_zoom != 1):
        matrix = _label_matrix(preprocess) @ matrix
    if preprocess.half_pixel:
        return matrix
    # The zoom of labels is none of the resizing of pixels.
    zoom = preprocess.label_zoom if preprocess.view == "animal" else 1.0
    scale = zoom * _find_scale(matrix if base is None or preprocess.view == "animal" else base)
    if preprocess.view == "animal":
        return translation_matrix((1 - scale) / 2, (1 - scale) / 2) @ matrix
    # Pixels of the frame, since what follows the resizing turns the half pixel along with all else.
    off = (1 - scale) / (2 * scale)
    return matrix @ translation_matrix(off, off)


def _label_matrix(preprocess: Preprocess) -> Matrix:
    """(3, 3), pixels of a crop -> where their labels lay."""
    height, width = preprocess.crop_size
    zoom, off = preprocess.label_zoom, preprocess.label_offset
    centre = (width - 1) / 2, (height - 1) / 2
    matrix = np.eye(3)
    matrix[0, 0] = matrix[1, 1] = 1 / zoom
    matrix[:2, 2] = [c - (c + off) / zoom for c in centre]
    return matrix


def _find_scale(matrix: Matrix) -> float:
    return math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))


def reduce_image(image: ByteArray, factor_x: int, factor_y: int) -> ByteArray:
    """Average blocks of whole pixels; the content moves by ``resize_matrix((1 / factor_x, 1 / factor_y))``.

    Args:
        image: (H, W, 3) uint8. Blocks that reach over its right or lower edge count the outside as zero.

    Returns:
        (ceil(H / factor_y), ceil(W / factor_x), 3) uint8.
    """
    height, width = image.shape[:2]
    columns, rows = -(-width // factor_x), -(-height // factor_y)
    right, bottom = columns * factor_x - width, rows * factor_y - height
    if right or bottom:
        image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))  # type: ignore[assignment]
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def find_reduction(matrix: Matrix, height: int, width: int) -> tuple[int, int]:
    """Find the sides of the blocks of pixels that are averaged before an image goes through a matrix.

    Args:
        matrix: (3, 3).
        height, width: of the image in pixels.

    Returns:
        along x and along y; 1 where the matrix shrinks that axis by less than 1.5.
    """
    # The columns of the matrix say how long one step along x and along y of the image becomes in the output.
    lengths = np.hypot(matrix[0, :2], matrix[1, :2])
    factor_x, factor_y = (
        int(np.clip(math.floor(1 / max(n, 1e-12) + 0.5), 1, limit))
        for n, limit in zip(lengths, (width, height), strict=True)
    )
    return factor_x, factor_y


def warp(image: ByteArray, geometry: FrameGeometry) -> ByteArray:
    """The image as the geometry says: bilinear, zero outside the image, content exactly where the matrix puts
    it.

    Where the matrix shrinks an image axis by a factor of 1.5 or more, blocks of whole pixels are averaged
    first and their exact factor is taken out of the matrix, so that nothing is aliased and nothing moves.

    Args:
        image: (H, W, 3) uint8.
        geometry: matrix and size of the output.

    Returns:
        (geometry.height, geometry.width, 3) uint8, a new array.
    """
    matrix = geometry.matrix
    factor_x, factor_y = find_reduction(matrix, *image.shape[:2])
    if factor_x > 1 or factor_y > 1:
        image = reduce_image(image, factor_x, factor_y)
        matrix = matrix @ resize_matrix((float(factor_x), float(factor_y)))
    if np.abs(matrix - np.eye(3)).max() < 1e-9:
        if image.shape[:2] == (geometry.height, geometry.width):
            return image.copy()
        output = np.zeros((geometry.height, geometry.width, image.shape[2]), np.uint8)
        rows, columns = min(geometry.height, image.shape[0]), min(geometry.width, image.shape[1])
        output[:rows, :columns] = image[:rows, :columns]
        return output
    return cv2.warpAffine(  # type: ignore[return-value]
        image,
        matrix[:2],
        (geometry.width, geometry.height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0),
    )
