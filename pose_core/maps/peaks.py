"""Local maxima of heatmaps. Batched, without loops over maps, from operations that export to ONNX."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def is_local_maximum(maps: Tensor, side: int) -> Tensor:
    """Tell which cells are the highest of the square around them.

    Of equal cells within one square the first counts, row by row: a plateau that fits into a square is one
    maximum. The square ends at the edge of the map.

    Args:
        maps: (B, K, h, w) float; a cell that is NaN or -inf is no maximum, and NaN hides its neighbours.
        side: cells a side of the square, odd; 1 makes every cell a maximum.

    Returns:
        (B, K, h, w) bool.
    """
    reach = side // 2
    if reach == 0:
        return maps > -torch.inf
    h, w = maps.shape[-2:]
    # Shifted maps: 2 to 5 times faster on a CPU than max_pool2d with the indices that equal cells need.
    wide = F.pad(maps, (reach, reach), value=-torch.inf)
    left, right = _running_maximum(wide, -1, reach, w), _running_maximum(wide, -1, reach + 1, w, start=reach)
    high = F.pad(torch.maximum(left, right), (0, 0, reach, reach), value=-torch.inf)
    above, below = _running_maximum(high, -2, reach, h), _running_maximum(high, -2, reach + 1, h, start=reach)
    # Above everything that comes before it, no lower than what comes after it; ``below`` holds the own row,
    # too.
    return (maps > torch.maximum(left, above)) & (maps >= below)


def _running_maximum(maps: Tensor, axis: int, count: int, length: int, start: int = 0) -> Tensor:
    """The maximum of ``count`` neighbours along an axis, for ``length`` places from ``start`` on."""
    found, span = maps.narrow(axis, start, length + count - 1), 1
    # Maxima of 2, 4, 8 ... neighbours, then the rest in one overlapping step.
    while span < count:
        step = min(span, count - span)
        size = found.shape[axis] - step
        found = torch.maximum(found.narrow(axis, 0, size), found.narrow(axis, step, size))
        span += step
    return found


def keep_local_maxima(maps: Tensor, side: int, threshold: float = -torch.inf) -> Tensor:
    """Keep the local maxima above a threshold and set all other cells to 0.

    Args:
        maps: (B, K, h, w) float.
        side: see :func:`is_local_maximum`.
        threshold: maxima that are not higher are left out.
    """
    peaks = is_local_maximum(maps, side)
    return torch.where(peaks & (maps > threshold) if threshold > -torch.inf else peaks, maps, 0.0)


def top_cells(maps: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest cells of each map, the highest first.

    Args:
        maps: (B, K, h, w).
        count: M, how many.

    Returns:
        index in the flattened map (B, K, M) int64, and height (B, K, M); 0 and 0 where the map has fewer
        cells.
    """
    flat = maps.flatten(2)
    if not isinstance(flat.shape[2], int):
        # Traced with open sides: ONNX takes no minimum of a number and a length. Cells beyond the map are none.
        height, index = F.pad(flat, (0, count), value=-torch.inf).topk(count, dim=2)
        there = height > -torch.inf
        return torch.where(there, index, 0), torch.where(there, height, 0.0)
    found = min(count, flat.shape[2])
    height, index = flat.topk(found, dim=2)
    return F.pad(index, (0, count - found)), F.pad(height, (0, count - found))


def find_local_maxima(
    maps: Tensor, count: int, *, side: int = 5, threshold: float = 0.01
) -> tuple[Tensor, Tensor]:
    """The highest local maxima of each map, the highest first.

    Args:
        maps: (B, K, h, w) float, values and not logits.
        count: M, how many of each map.
        side: see :func:`is_local_maximum`.
        threshold: maxima that are not higher are left out; at least 0.

    Returns:
        index in the flattened map (B, K, M) int64, and height (B, K, M), 0 where there are fewer.
    """
    return top_cells(keep_local_maxima(maps, side, threshold), count)


def highest_cell(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The highest cell of each map: index in the flattened map (B, K, 1) int64, and height (B, K, 1).

    Args:
        maps: (B, K, h, w).
    """
    height, index = maps.flatten(2).max(dim=2, keepdim=True)
    return index, height


def order_by_height(heights: Tensor) -> Tensor:
    """Order entries of each row, the highest first and equal ones as they stand.

    A stable sort of few entries that exports to ONNX, which has none.

    Args:
        heights: (B, M) float, no NaN.

    Returns:
        (B, M) int64, indices.
    """
    own, other = heights[:, :, None], heights[:, None]
    earlier = torch.ones(heights.shape[1], heights.shape[1], dtype=torch.bool, device=heights.device).tril(-1)
    # How many come before each is its place; no two have the same.
    place = ((other > own) | ((other == own) & earlier)).sum(-1)
    numbers = torch.arange(heights.shape[1], device=heights.device).expand_as(place)
    return torch.zeros_like(place).scatter(1, place, numbers)


def unravel_cells(index: Tensor, width: int) -> Tensor:
    """Columns and rows of cells of flattened maps: (...) int64 -> (..., 2) int64.

    Args:
        index: positions in the flattened map.
        width: of the map.
    """
    rows = index.div(width, rounding_mode="floor")
    # Not index % width: exported to ONNX, a width that is known only when the file is used has no remainder.
    return torch.stack([index - rows * width, rows], dim=-1)
