"""Bilinear reading of maps at points between cells. Beyond the edge of a map the nearest cell counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def normalize_cells(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring cell coordinates to those of ``torch.nn.functional.grid_sample`` with ``align_corners=True``.

    Args:
        cells: (..., 2) float, fractional columns and rows.
        size: (h, w) of the maps.

    Returns:
        (..., 2): -1 at the centre of the first cell, 1 at that of the last.
    """
    if not (isinstance(size[0], int) and isinstance(size[1], int)):
        # Traced with open sides, which a new tensor would fix.
        spans = (max(size[1] - 1, 1), max(size[0] - 1, 1))
        return torch.stack([cells[..., i] * 2 / span - 1 for i, span in enumerate(spans)], dim=-1)
    span = cells.new_tensor([max(size[1] - 1, 1), max(size[0] - 1, 1)])
    return cells * (2 / span) - 1


def sample_normalized(maps: Tensor, points: Tensor) -> Tensor:
    """Read maps (B, C, h, w) at points (B, P, Q, 2) from :func:`normalize_cells`: (B, C, P, Q)."""
    return F.grid_sample(maps, points, mode="bilinear", padding_mode="border", align_corners=True)


def sample_bilinear(maps: Tensor, cells: Tensor) -> Tensor:
    """Read all maps of an image at the same points.

    Args:
        maps: (B, C, h, w) float.
        cells: (B, P, Q, 2) float, fractional columns and rows (``Grid.to_cells``); finite.

    Returns:
        (B, C, P, Q).
    """
    return sample_normalized(maps, normalize_cells(cells, (maps.shape[-2], maps.shape[-1])))


def sample_own_map(maps: Tensor, cells: Tensor) -> Tensor:
    """Read each map at points of its own, as the heatmap of each keypoint where that keypoint is.

    Args:
        maps: (B, K, h, w) float.
        cells: (B, M, K, 2) float, fractional columns and rows; finite.

    Returns:
        (B, M, K).
    """
    batch, k, h, w = maps.shape
    points = cells.transpose(1, 2).reshape(batch * k, 1, -1, 2)
    return sample_bilinear(maps.reshape(batch * k, 1, h, w), points).view(batch, k, -1).transpose(1, 2)
