"""Move points between an image and the network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Matrix = npt.NDArray[np.float64]
"""(3, 3), affine: pixels of one image -> pixels of another."""


@dataclass(frozen=True, eq=False)
class FrameGeometry:
    """Place of an image's content in the network's input.

    Attributes:
        matrix: (3, 3) float64, pixels of the image -> pixels of the output.
        width, height: size of the output in pixels.
    """

    matrix: Matrix
    width: int
    height: int


def points_through(points: Tensor, matrix: Matrix) -> Tensor:
    """Move points by an affine matrix, or those of each image by a matrix of its own.

    Args:
        points: (B, ..., 2) x and y in pixels; NaN stays NaN.
        matrix: (3, 3), or (B, 3, 3).

    Returns:
        the moved points, float32, on the device of ``points``.
    """
    if matrix.ndim == 2:
        x, y = points.unbind(-1)
        # Sums of products instead of a matrix product: GPUs may compute those with fewer digits.
        a, b = (x * float(row[0]) + y * float(row[1]) + float(row[2]) for row in matrix[:2])
        return torch.stack([a, b], dim=-1)
    # float64 on the host: crops far from the origin keep their fractions of a pixel, and some devices lack
    # it.
    matrices = torch.from_numpy(np.ascontiguousarray(matrix[:, :2]))
    flat = points.flatten(1, -2).to("cpu", torch.float64)
    moved = flat @ matrices[:, :, :2].mT + matrices[:, None, :, 2]
    return moved.to(torch.float32).to(points.device).reshape(points.shape)
