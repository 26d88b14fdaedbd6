"""Join the movements of an image to one, by which its pixels and its labels are moved once.

An affine movement is folded into the matrix of the view. From the first displacement on, movements are steps that
follow the matrix: points go through them one by one, and pixels are looked up through all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

import cv2
import numpy as np
import numpy.typing as npt

from pose_core.data.geometry import (
    find_reduction,
    invert,
    reduce_image,
    resize_matrix,
    transform_points,
    warp,
)
from pose_core.errors import PluginError
from pose_core.interfaces import FrameGeometry, Matrix, Movement
from pose_core.structures import ByteArray, FloatArray

_STEEPEST = 0.95
"""Displacements change by less than that from a pixel to the next; then points find their way by iteration."""

_ITERATIONS = 60
_NEAR = 1e-4

Points = npt.NDArray[np.float64]
Step = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Placement:
    """Place of an image's content in the network's input, where more than one matrix may lead there.

    Attributes:
        geometry: the matrix before the first displacement, and the size of the output.
        steps: what follows it, (3, 3) matrices and (height, width, 2) displacements.
    """

    geometry: FrameGeometry
    steps: tuple[Step, ...] = ()

    @property
    def matrix(self) -> Matrix:
        """All matrices in one (3, 3), without the displacements."""
        matrices = (step for step in self.steps if step.ndim == 2)
        whole: Matrix = reduce(lambda before, matrix: matrix @ before, matrices, self.geometry.matrix)
        return whole

    def move_points(self, points: npt.ArrayLike) -> FloatArray:
        """Move points of the image into the output.

        Args:
            points: (..., 2) x and y in pixels; NaN stays NaN.

        Returns:
            (..., 2) float32.
        """
        if not self.steps:
            return transform_points(points, self.geometry.matrix)
        moved = np.asarray(points, np.float64)
        for step in (self.geometry.matrix, *self.steps):
            moved = moved @ step[:2, :2].T + step[:2, 2] if step.ndim == 2 else _find_sources(moved, step)
        return moved.astype(np.float32)

    def move_pixels(self, image: ByteArray) -> ByteArray:
        """Resample an image, once; see :func:`pose_core.data.geometry.warp`.

        Args:
            image: (H, W, 3) uint8.
        """
        if not self.steps:
            return warp(image, self.geometry)
        factors = find_reduction(self.matrix, *image.shape[:2])
        matrix = self.geometry.matrix
        if max(factors) > 1:
            image = reduce_image(image, *factors)
            matrix = matrix @ resize_matrix((float(factors[0]), float(factors[1])))
        rows, columns = np.mgrid[: self.geometry.height, : self.geometry.width].astype(np.float32)
        places = np.stack([columns, rows], axis=-1)
        for number, step in enumerate(reversed((matrix, *self.steps))):
            if step.ndim == 2:
                back = invert(step.astype(np.float64))[:2].astype(np.float32)
                places = places @ back[:, :2].T + back[:, 2]
            else:
                # Only the last displacement is asked at whole pixels.
                places = places + (step if number == 0 else _look_up(step, places))
        return cv2.remap(  # type: ignore[return-value]
            image,
            np.ascontiguousarray(places[..., 0]),
            np.ascontiguousarray(places[..., 1]),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0, 0, 0),
        )


def join_movements(geometry: FrameGeometry, movements: Iterable[Movement]) -> Placement:
    """Join movements, first to last, to a view."""
    steps: list[Step] = []
    for movement in movements:
        matrix = np.vstack([np.asarray(movement.matrix, np.float64)[:2], [0.0, 0.0, 1.0]])
        if not steps:
            geometry = replace(geometry, matrix=matrix @ geometry.matrix)
        elif (matrix != np.eye(3)).any():
            steps.append(matrix)
        if movement.displacement is not None:
            steps.append(np.asarray(movement.displacement, np.float32))
    return Placement(geometry, tuple(steps))


def check_movement(movement: object, width: int, height: int, name: str, mirrors: bool) -> Movement:
    """Refuse what moves pixels where labels could not follow.

    Args:
        movement: what a transform has drawn.
        width, height: of the output in pixels.
        name: of the transform, for the message.
        mirrors: whether it may mirror.

    Raises:
        PluginError: the movement loses or doubles points.
    """

    def refuse(reason: str) -> PluginError:
        return PluginError(f"transform {name}: {reason}; the transform is broken")

    if not isinstance(movement, Movement):
        raise refuse(f"draw_movement() returns {type(movement).__name__}, not a Movement")
    matrix = np.asarray(movement.matrix, np.float64)
    if matrix.shape not in ((2, 3), (3, 3)) or not np.isfinite(matrix).all():
        raise refuse("the matrix of its movement is not (3, 3) or (2, 3) and finite")
    if matrix.shape == (3, 3) and (matrix[2] != [0, 0, 1]).any():
        raise refuse("the matrix of its movement is not affine: its last row must be 0, 0, 1")
    determinant = float(np.linalg.det(matrix[:2, :2]))
    if abs(determinant) < 1e-6:
        raise refuse("its movement brings the image onto a line, and keypoints are lost")
    if determinant < 0 and not mirrors:
        raise refuse("it mirrors the image without 'mirrors = True'")
    if movement.displacement is not None:
        displacement = np.asarray(movement.displacement)
        if displacement.shape != (height, width, 2) or not np.isfinite(displacement).all():
            raise refuse(f"its displacement must be ({height}, {width}, 2) and finite")
        if (steepest := find_steepest(displacement)) >= _STEEPEST:
            raise refuse(
                f"its displacement changes by {steepest:.2g} px from a pixel to the next, so that keypoints may be "
                f"lost or doubled; less than {_STEEPEST} is allowed"
            )
    return movement


def find_steepest(displacement: npt.NDArray[np.floating]) -> float:
    """Find the most by which a displacement (H, W, 2) changes from a pixel to the next."""
    across, down = np.diff(displacement, axis=1), np.diff(displacement, axis=0)
    squares = np.zeros(displacement.shape[:2], displacement.dtype)
    # Along both axes together, as a bound for steps in any direction. Adding the two parts of each by name is several
    # times as fast as numpy's sum along an axis of two.
    squares[:, : across.shape[1]] += across[..., 0] ** 2 + across[..., 1] ** 2
    squares[: down.shape[0]] += down[..., 0] ** 2 + down[..., 1] ** 2
    return math.sqrt(float(squares.max(initial=0.0)))


def _find_sources(points: Points, displacement: Step) -> Points:
    """Find the pixels that show some points: p with p + displacement[p] = point."""
    found = points
    for _ in range(_ITERATIONS):
        following = points - _look_up(displacement, found)
        moved = np.abs(following - found)
        found = following
        if not np.nanmax(moved, initial=0.0) > _NEAR:
            break
    return found


def _look_up(displacement: Step, places: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Read displacements between pixels, bilinear; beyond the edge they are those of the edge.

    Args:
        displacement: (H, W, 2).
        places: (..., 2) x and y; NaN gives NaN.

    Returns:
        (..., 2), of the dtype of ``places``.
    """
    height, width = displacement.shape[:2]
    known = np.nan_to_num(places)
    x, y = known[..., 0].clip(0, width - 1), known[..., 1].clip(0, height - 1)
    left, top = x.astype(np.intp).clip(0, max(width - 2, 0)), y.astype(np.intp).clip(0, max(height - 2, 0))
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[..., None], (y - top)[..., None]
    upper = displacement[top, left] * (1 - across) + displacement[top, right] * across
    lower = displacement[below, left] * (1 - across) + displacement[below, right] * across
    read = upper * (1 - down) + lower * down
    return np.where(np.isnan(places), np.nan, read).astype(places.dtype)
