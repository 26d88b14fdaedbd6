"""Finding blobs in heatmaps and where exactly their centres are.

Public, so that plugins that assemble several animals from heatmaps need not write it again. Everything is batched,
without loops, from operations that export to ONNX. Maps hold values about 1 at a keypoint and 0 elsewhere; apply the
sigmoid first where they are logits. M is the number of peaks looked for in each map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pose_core.interfaces import Grid

_FLOOR = 1e-6
"""Smallest value whose logarithm is taken."""


def find_peaks(
    heatmap: Tensor,
    grid: Grid,
    count: int,
    *,
    locref: Tensor | None = None,
    nms: int = 5,
    threshold: float = 0.01,
    window: int = 5,
    share: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """The highest blobs of each map, with sub-cell positions.

    Args:
        heatmap: (B, K, h, w) values, not logits.
        grid: of the maps.
        count: M.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y; None: heatmaps only.
        nms: a peak is the highest cell among this many a side, odd.
        threshold: lower peaks are left out.
        window: cells a side that decide the position, see :func:`locate`.
        share: of ``locref`` in the position, from 0 to 1; the rest is the fit's.

    Returns:
        positions (B, K, M, 2) in pixels of the network's input, NaN beyond the last peak, and scores (B, K, M) in
        [0, 1], 0 beyond the last; the highest first.
    """
    heatmap = heatmap.float()
    index, score = local_maxima(heatmap, count, nms=nms, threshold=threshold)
    positions = locate(heatmap, index, grid, locref=locref, window=window, share=share)
    return torch.where(score[..., None] > 0, positions, torch.nan), score.clamp(0, 1)


def highest(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The highest cell of each map.

    Args:
        maps: (B, K, h, w).

    Returns:
        index in the flattened map (B, K, 1) int64, and value (B, K, 1).
    """
    value, index = maps.flatten(2).max(dim=2, keepdim=True)
    return index, value


def local_maxima(maps: Tensor, count: int, *, nms: int = 5, threshold: float = 0.01) -> tuple[Tensor, Tensor]:
    """The highest local maxima of each map. Of equal cells beside each other, the first is one.

    Args:
        maps: (B, K, h, w).
        count: M.
        nms: cells a side of the square in which a maximum is the highest, odd.
        threshold: lower maxima are left out.

    Returns:
        index in the flattened map (B, K, M) int64, and value (B, K, M), 0 where there are fewer than M; highest
        first.
    """
    pooled, winner = F.max_pool2d(maps, nms, stride=1, padding=nms // 2, return_indices=True)
    own = torch.arange(maps.shape[-2] * maps.shape[-1], device=maps.device).view(maps.shape[-2:])
    peaks = torch.where((winner == own) & (pooled > threshold), maps, 0.0).flatten(2)
    found = min(count, peaks.shape[2])
    value, index = peaks.topk(found, dim=2)
    return F.pad(index, (0, count - found)), F.pad(value, (0, count - found))


def locate(
    maps: Tensor,
    index: Tensor,
    grid: Grid,
    *,
    locref: Tensor | None = None,
    window: int = 5,
    share: float = 0.5,
    logits: bool = False,
) -> Tensor:
    """Positions of the blobs around given cells.

    Two estimates are averaged: a fit to the blob (:func:`fit`) and the vote of location refinement (:func:`vote`).

    Args:
        maps: (B, K, h, w).
        index: (B, K, M) cells in the flattened maps, the highest of their neighbourhood.
        grid: of the maps.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y; None: the fit only.
        window: cells a side of the neighbourhood, odd; 1: the cell alone, which leaves nothing to fit.
        share: of the vote in the position, from 0 to 1; the rest is the fit's.
        logits: whether the maps need a sigmoid.

    Returns:
        (B, K, M, 2) pixels of the network's input.
    """
    around = Neighbourhood.of(maps, index, window, logits)
    voted = None if locref is None or (share <= 0 and window > 1) else vote(around, locref, grid)
    if voted is not None and (share >= 1 or window <= 1):
        return voted
    fitted = grid.to_pixels(fit(around, grid))
    return fitted if voted is None else share * voted + (1 - share) * fitted


@dataclass(frozen=True)
class Neighbourhood:
    """Square windows of cells around cells of maps, moved inwards at the edges of the map.

    Attributes:
        cells: (B, K, M, 2) int64, column and row of the highest cell.
        columns, rows: (B, K, M, W) and (B, K, M, H) int64, of the window; smaller than asked for in tiny maps.
        index: (B, K, M, H * W) int64, cells of the window in the flattened map.
        values: (B, K, M, H, W) float32, at least 0.
    """

    cells: Tensor
    columns: Tensor
    rows: Tensor
    index: Tensor
    values: Tensor

    @classmethod
    def of(cls, maps: Tensor, index: Tensor, window: int, logits: bool = False) -> Neighbourhood:
        """Windows of maps (B, K, h, w) around cells ``index`` (B, K, M) of the flattened maps."""
        height, width = maps.shape[-2:]
        column, row = index % width, index.div(width, rounding_mode="floor")

        def line(middle: Tensor, length: int) -> Tensor:
            reach = min(window // 2, (length - 1) // 2)
            steps = torch.arange(-reach, reach + 1, device=maps.device)
            return middle.clamp(reach, length - 1 - reach)[..., None] + steps

        columns, rows = line(column, width), line(row, height)
        inside = (rows[..., :, None] * width + columns[..., None, :]).flatten(3)
        values = maps.flatten(2).gather(2, inside.flatten(2)).float()
        values = values.sigmoid() if logits else values.clamp(min=0)
        shape = (*index.shape, rows.shape[-1], columns.shape[-1])
        return cls(torch.stack([column, row], dim=-1), columns, rows, inside, values.view(shape))


def fit(around: Neighbourhood, grid: Grid) -> Tensor:
    """Centres of Gaussians fitted to neighbourhoods; exact for Gaussians of any width.

    A neighbourhood is summed to one profile an axis (a Gaussian is a product, so its profiles are Gaussians); the
    logarithm of a profile is a parabola, fitted by least squares with the squared profile as weight (Guo, "A simple
    algorithm for fitting a Gaussian function", 2011), so that the low, noisy cells count little.

    Args:
        around: the highest cells.
        grid: of the maps.

    Returns:
        (B, K, M, 2) fractional column and row. No farther than one cell from the highest cell, except that a blob at
        the first column or row may have its centre anywhere in the image.
    """
    # Positions count from the highest cell, which keeps the sums accurate.
    away = torch.stack(
        [
            _vertex(around.values.sum(3), around.columns - around.cells[..., 0, None]),
            _vertex(around.values.sum(4), around.rows - around.cells[..., 1, None]),
        ],
        dim=-1,
    )
    outermost = min(-1.0, (-0.5 - grid.offset) / grid.stride)
    lowest = torch.where(around.cells == 0, outermost, -1.0)
    return around.cells + torch.maximum(away, lowest).clamp(max=1.0)


def vote(around: Neighbourhood, locref: Tensor, grid: Grid) -> Tensor:
    """Where the cells of a neighbourhood say that the keypoint is: mean of their location refinement, weighted by
    their values. Cells below half of the highest have no vote; they may never have learned the way.

    Args:
        around: the highest cells.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y.
        grid: of the maps.

    Returns:
        (B, K, M, 2) pixels of the network's input.
    """
    batch, k = locref.shape[0], around.values.shape[1]
    index = around.index.flatten(2)[:, :, None].expand(-1, -1, 2, -1)
    offsets = locref.float().reshape(batch, k, 2, -1).gather(3, index).view(batch, k, 2, *around.values.shape[2:])
    x = grid.to_pixels(around.columns.float())[..., None, :] + offsets[:, :, 0]
    y = grid.to_pixels(around.rows.float())[..., :, None] + offsets[:, :, 1]
    best = around.values.amax((3, 4), keepdim=True)
    # In a map that is nowhere above 0 every cell of the window counts the same.
    weight = torch.where(best > _FLOOR, around.values / best.clamp(min=_FLOOR), 1.0)
    weight = torch.where(weight >= 0.5, weight, 0.0)
    total = weight.sum((3, 4))
    return torch.stack([(x * weight).sum((3, 4)) / total, (y * weight).sum((3, 4)) / total], dim=-1)


def _vertex(profile: Tensor, steps: Tensor) -> Tensor:
    """Where a parabola fitted to the logarithm of a profile is highest.

    Args:
        profile: (..., W), at least 0.
        steps: (..., W) positions.

    Returns:
        (...) position; 0 where there is no maximum (a flat or hollow profile, fewer than 3 values).
    """
    if profile.shape[-1] < 3:
        return torch.zeros_like(profile[..., 0])
    profile = (profile / profile.amax(-1, keepdim=True).clamp(min=_FLOOR)).clamp(min=_FLOOR)
    t = steps.to(profile.dtype)
    weight = profile.square()
    target = profile.log()
    s0, s1, s2, s3, s4 = ((weight * t**power).sum(-1) for power in range(5))
    y0, y1, y2 = ((weight * target * t**power).sum(-1) for power in range(3))
    # Cramer's rule for a + b t + c t^2; b and c without their common denominator.
    b = s0 * (y1 * s4 - s3 * y2) - y0 * (s1 * s4 - s3 * s2) + s2 * (s1 * y2 - y1 * s2)
    c = s0 * (s2 * y2 - y1 * s3) - s1 * (s1 * y2 - y1 * s2) + y0 * (s1 * s3 - s2 * s2)
    peaked = c < -1e-10
    return torch.where(peaked, -b / (2 * torch.where(peaked, c, -1.0)), 0.0)
