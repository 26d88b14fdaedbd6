"""Convolutions whose 3 x 3 taps lie anywhere, one pattern of taps a cell and a group of channels.

A group is what belongs to one keypoint: all K of them are computed at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 9


def regular_taps(like: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns (9,) of an ordinary 3 x 3 convolution's taps beside its middle, row by row."""
    steps = torch.arange(-1, 2, dtype=like.dtype, device=like.device)
    return steps.repeat_interleave(3), steps.repeat(3)


def affine_taps(matrix: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """The regular 3 x 3 taps, moved by an affine map in each cell (Geng et al. 2021, equation 5).

    Args:
        matrix: (B, 4 K, h, w), of each keypoint [[a, b], [c, d]] that acts on (row, column).
        translation: (B, 2 K, h, w), of each keypoint rows, then columns.

    Returns:
        rows and columns (B, K, 9, h, w) beside the cell, in cells.
    """
    batch, _, h, w = matrix.shape
    matrix, shift = matrix.view(batch, -1, 4, h, w), translation.view(batch, -1, 2, h, w)
    step = torch.arange(-1, 2, dtype=matrix.dtype, device=matrix.device)
    rows, columns = step.view(3, 1, 1, 1), step.view(3, 1, 1)

    def along(axis: int) -> Tensor:
        by_row, by_column, start = matrix[:, :, 2 * axis], matrix[:, :, 2 * axis + 1], shift[:, :, axis]
        partly = start[:, :, None, None] + by_row[:, :, None, None] * rows
        taps: Tensor = (partly + by_column[:, :, None, None] * columns).flatten(2, 3)
        return taps

    return along(0), along(1)


def deformed_by_torch(x: Tensor, rows: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
    """Deformable convolution (Dai et al. 2017) by bilinear sampling and a product of matrices.

    Equal to :func:`deformed_by_torchvision`; made of operations that export to ONNX and run on every device.

    Args:
        x: (B, K C, h, w), C channels a group.
        rows, columns: (B, K, 9, h, w), where the taps lie beside the cell, in cells. Beyond the map all is 0.
        weight: (K D, C, 3, 3).

    Returns:
        (B, K D, h, w).
    """
    groups = rows.shape[1]
    h, w = x.shape[-2:]
    batch, channels = x.shape[0], weight.shape[1]
    # Half precision would move the taps of a wide map by whole cells.
    exact = torch.promote_types(x.dtype, torch.float32)
    rows, columns = rows.to(exact), columns.to(exact)
    y = rows + torch.arange(h, dtype=exact, device=x.device)[:, None]
    x_ = columns + torch.arange(w, dtype=exact, device=x.device)
    # Of -1 to 1 over the cells' outer edges, as grid_sample has it; x and y stay apart in memory, which is
    # faster.
    places = torch.stack([(2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1])
    places = places.view(2, batch * groups, TAPS * h, w).permute(1, 2, 3, 0)
    sampled = F.grid_sample(x.to(exact).reshape(batch * groups, channels, h, w), places, align_corners=False)
    sampled = sampled.view(batch, groups, channels * TAPS, h * w).to(weight.dtype)
    result = torch.matmul(weight.reshape(1, groups, -1, channels * TAPS), sampled)
    return result.view(batch, -1, h, w)


def deformed_by_torchvision(x: Tensor, rows: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
    """The same by :func:`torchvision.ops.deform_conv2d`."""
    from torchvision.ops import deform_conv2d

    regular = regular_taps(rows)
    offset = torch.stack([rows - regular[0].view(TAPS, 1, 1), columns - regular[1].view(TAPS, 1, 1)], dim=3)
    result: Tensor = deform_conv2d(x, offset.flatten(1, 3), weight, padding=1)
    return result
