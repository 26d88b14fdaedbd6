"""Reading heatmaps: where they are highest, and how high they are at a place. Coordinates are columns and rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOOR = 1e-6
"""Smallest height whose logarithm is taken."""


def maxima(maps: Tensor, side: int) -> Tensor:
    """Maps whose cells are 0 but for those that are the highest of ``side`` cells a side (odd); they keep their height.

    Of equal cells beside each other, the first is the highest.

    Args:
        maps: (B, C, h, w), finite.
    """
    reach = side // 2
    h, w = maps.shape[-2:]
    # Shifted maps are several times faster than pooling that reports where the maximum was.
    wide = F.pad(maps, (reach, reach), value=-torch.inf)
    left = _highest_of([wide[..., i : i + w] for i in range(reach)], maps)
    line = _highest_of([wide[..., i : i + w] for i in range(side)], maps)
    high = F.pad(line, (0, 0, reach, reach), value=-torch.inf)
    above = _highest_of([high[..., i : i + h, :] for i in range(reach)], maps)
    below = _highest_of([high[..., i : i + h, :] for i in range(reach, side)], maps)
    highest_of_all = (maps > left) & (maps > above) & (maps >= below)
    return torch.where(highest_of_all, maps, 0.0)


def _highest_of(maps: list[Tensor], like: Tensor) -> Tensor:
    """The maximum of maps, cell by cell; below everything if there are none."""
    if not maps:
        return torch.full_like(like, -torch.inf)
    result = maps[0]
    for other in maps[1:]:
        result = torch.maximum(result, other)
    return result


def highest(maps: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest cells of each map: index in the flattened map and height, both (B, C, count), the highest
    first; height 0 beyond the last cell."""
    flat = maps.flatten(2)
    found = min(count, flat.shape[2])
    height, index = flat.topk(found, dim=2)
    return F.pad(index, (0, count - found)), F.pad(height, (0, count - found))


def places(index: Tensor, width: int) -> Tensor:
    """Cells of flattened maps -> (..., 2) float32 columns and rows."""
    return torch.stack([index % width, index.div(width, rounding_mode="floor")], dim=-1).float()


def read(maps: Tensor, at: Tensor) -> Tensor:
    """Heights between cells (bilinear), of the nearest cell beyond the edge.

    Args:
        maps: (B, K, h, w).
        at: (B, M, K, 2) columns and rows, finite.

    Returns:
        (B, M, K).
    """
    batch, k, h, w = maps.shape
    size = torch.tensor([w, h], dtype=maps.dtype, device=maps.device)
    grid = ((2 * at + 1) / size - 1).transpose(1, 2).reshape(batch * k, 1, -1, 2)
    heights = F.grid_sample(maps.reshape(batch * k, 1, h, w), grid, padding_mode="border", align_corners=False)
    return heights.view(batch, k, -1).transpose(1, 2)


def read_cells(maps: Tensor, at: Tensor) -> Tensor:
    """Heights of the cells up and left of places, of the nearest cell beyond the edge; as :func:`read`."""
    h, w = maps.shape[-2:]
    column, row = at[..., 0].floor().clamp(0, w - 1).long(), at[..., 1].floor().clamp(0, h - 1).long()
    return maps.flatten(2).gather(2, (row * w + column).transpose(1, 2)).transpose(1, 2)


def sharpened(maps: Tensor, index: Tensor) -> Tensor:
    """Places of maxima between cells: the vertex of a parabola through the logarithms of a cell and its neighbours, on
    each axis, which is exact for Gaussians. Half a cell away at most; the cell itself at the edge of the map.

    Args:
        maps: (B, K, h, w).
        index: (B, K, P) cells of the flattened maps.

    Returns:
        (B, K, P, 2) columns and rows.
    """
    h, w = maps.shape[-2:]
    logs = maps.clamp(min=_FLOOR).log().flatten(2)
    cells = places(index, w)
    middle = logs.gather(2, index)
    away = []
    for axis, (step, length) in enumerate(((1, w), (w, h))):
        inner = (cells[..., axis] > 0) & (cells[..., axis] < length - 1)
        before = logs.gather(2, torch.where(inner, index - step, index))
        after = logs.gather(2, torch.where(inner, index + step, index))
        bend = before - 2 * middle + after
        peaked = inner & (bend < -_FLOOR)
        away.append(torch.where(peaked, (before - after) / (2 * torch.where(peaked, bend, -1.0)), 0.0))
    return cells + torch.stack(away, dim=-1).clamp(-0.5, 0.5)
