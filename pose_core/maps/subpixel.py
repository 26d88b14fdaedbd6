"""Sub-pixel refinement: where between cells the centre of a peak is. Batched, and exports to ONNX.

Maps hold values about 1 at a keypoint and 0 elsewhere. M is the number of peaks looked for in each map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pose_core.interfaces import Grid
from pose_core.maps.peaks import find_local_maxima, unravel_cells

Fit = Literal["gaussian", "integral"]
"""How a blob says where it is: :func:`fit_gaussian` or :func:`average_cells`."""

_FLOOR = 1e-6
"""Smaller values are raised to this before their logarithm is taken."""


@dataclass(frozen=True)
class CellWindows:
    """Square windows of cells around peaks of maps.

    Attributes:
        peaks: (B, K, M, 2) int64, column and row of the peak.
        columns, rows: (B, K, M, W) and (B, K, M, H) int64, of the window.
        index: (B, K, M, H * W) int64, its cells in the flattened map, clamped to the map.
        values: (B, K, M, H, W), of these cells; 0 beyond the map.
        inside: (B, K, M, H, W) bool, whether a cell lies in the map.
    """

    peaks: Tensor
    columns: Tensor
    rows: Tensor
    index: Tensor
    values: Tensor
    inside: Tensor

    @classmethod
    def around(cls, maps: Tensor, index: Tensor, side: int, *, shifted: bool = True) -> CellWindows:
        """Cut windows out of maps.

        Args:
            maps: (B, K, h, w) float.
            index: (B, K, M) int64, peaks as cells of the flattened maps.
            side: cells a side, odd.
            shifted: move windows at the edge inwards, so that they lie in the map (in tiny maps they are
                smaller); False leaves the peak in the middle.
        """
        height, width = maps.shape[-2:]
        peaks = unravel_cells(index, width)
        columns = _line(peaks[..., 0], width, side, shifted)
        rows = _line(peaks[..., 1], height, side, shifted)
        at_columns, at_rows = (
            (columns, rows) if shifted else (columns.clamp(0, width - 1), rows.clamp(0, height - 1))
        )
        cells = (at_rows[..., :, None] * width + at_columns[..., None, :]).flatten(3)
        shape = (*index.shape, rows.shape[-1], columns.shape[-1])
        values = maps.flatten(2).gather(2, cells.flatten(2)).view(shape)
        inside = (rows == at_rows)[..., :, None] & (columns == at_columns)[..., None, :]
        if not shifted:
            values = torch.where(inside, values, 0.0)
        return cls(peaks, columns, rows, cells, values, inside)


def _line(middle: Tensor, length: int, side: int, shifted: bool) -> Tensor:
    """Columns or rows of windows around ``middle`` (...): (..., W)."""
    reach = min(side // 2, (length - 1) // 2) if shifted else side // 2
    steps = torch.arange(-reach, reach + 1, device=middle.device)
    return (middle.clamp(reach, length - 1 - reach) if shifted else middle)[..., None] + steps


def find_peaks(
    heatmap: Tensor,
    grid: Grid,
    count: int,
    *,
    locref: Tensor | None = None,
    side: int = 5,
    threshold: float = 0.01,
    window: int = 5,
    share: float = 0.5,
    fit: Fit = "gaussian",
) -> tuple[Tensor, Tensor]:
    """The highest peaks of each map, with positions between cells.

    Args:
        heatmap: (B, K, h, w) values, not logits.
        grid: of the maps.
        count: M.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y; None: heatmaps only.
        side: a peak is the highest cell among this many a side, odd.
        threshold: lower peaks are left out.
        window: cells a side that decide the position, see :func:`refine_peaks`.
        share: of ``locref`` in the position, from 0 to 1; the rest is that of the fit.
        fit: see :func:`refine_peaks`.

    Returns:
        positions (B, K, M, 2) float32 in pixels of the network's input, NaN beyond the last peak, and scores
        (B, K, M) in [0, 1], 0 beyond the last; the highest first.
    """
    heatmap = heatmap.float()
    index, score = find_local_maxima(heatmap, count, side=side, threshold=threshold)
    positions = refine_peaks(heatmap, index, grid, locref=locref, window=window, share=share, fit=fit)
    return torch.where(score[..., None] > 0, positions, torch.nan), score.clamp(0, 1)


def refine_peaks(
    maps: Tensor,
    index: Tensor,
    grid: Grid,
    *,
    locref: Tensor | None = None,
    window: int = 5,
    share: float = 0.5,
    logits: bool = False,
    fit: Fit = "gaussian",
) -> Tensor:
    """Refine peaks from cells to pixels.

    Two estimates are averaged: a fit to the blob (:func:`fit_gaussian` or :func:`average_cells`), and the
    mean of what location refinement says in the cells that are at least half as high as the highest; others
    may never have learned it.

    Args:
        maps: (B, K, h, w).
        index: (B, K, M) int64, cells in the flattened maps, the highest of their neighbourhood.
        grid: of the maps.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y; None: the fit only.
        window: cells a side of the neighbourhood, odd; 1: the cell alone, which leaves nothing to fit.
        share: of location refinement in the position, from 0 to 1; the rest is that of the fit.
        logits: whether the maps need a sigmoid.
        fit: ``gaussian``: the centre of a fitted Gaussian; ``integral``: the mean position of the cells,
            weighted with their values.

    Returns:
        (B, K, M, 2) float32, pixels of the network's input.
    """
    gaussian = fit == "gaussian"
    # A mean needs as many cells on one side of the peak as on the other; a curve can be fitted beside it.
    windows = CellWindows.around(maps, index, window, shifted=gaussian)
    values = windows.values.float()
    if logits:
        # Beyond the map there is nothing, and the sigmoid of 0 would be one half.
        values = torch.where(windows.inside, values.sigmoid(), 0.0)
    elif gaussian:
        values = values.clamp(min=0)
    windows = replace(windows, values=values)
    refined = None
    if locref is not None and (share > 0 or window <= 1):
        refined = average_offsets(windows, _relative_heights(windows.values), locref, grid)
        if share >= 1 or window <= 1:
            return refined
    fitted = grid.to_pixels(fit_gaussian(windows, grid) if gaussian else average_cells(windows))
    return fitted if refined is None else share * refined + (1 - share) * fitted


def _relative_heights(values: Tensor) -> Tensor:
    """Heights (B, K, M, H, W) as fractions of the highest in their window, those below one half as 0."""
    best = values.amax((3, 4), keepdim=True)
    # In a map that is nowhere above 0 every cell of the window counts the same.
    weight = torch.where(best > _FLOOR, values / best.clamp(min=_FLOOR), 1.0)
    return torch.where(weight >= 0.5, weight, 0.0)


def average_offsets(windows: CellWindows, weight: Tensor, locref: Tensor, grid: Grid) -> Tensor:
    """Refine keypoints by location refinement: the weighted mean over the cells of windows.

    Args:
        windows: around the peaks.
        weight: (B, K, M, H, W) float, at least 0; where all are 0 the result is NaN.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y.
        grid: of the maps.

    Returns:
        (B, K, M, 2) float32, pixels of the network's input.
    """
    batch, k = weight.shape[:2]
    index = windows.index.flatten(2)[:, :, None].expand(-1, -1, 2, -1)
    offsets = locref.float().reshape(batch, k, 2, -1).gather(3, index).view(batch, k, 2, *weight.shape[2:])
    x = grid.to_pixels(windows.columns.float())[..., None, :] + offsets[:, :, 0]
    y = grid.to_pixels(windows.rows.float())[..., :, None] + offsets[:, :, 1]
    total = weight.sum((3, 4))
    return torch.stack([(x * weight).sum((3, 4)) / total, (y * weight).sum((3, 4)) / total], dim=-1)


def fit_gaussian(windows: CellWindows, grid: Grid) -> Tensor:
    """Fit a Gaussian to each window and return its centre; exact for Gaussians of any width.

    A window is summed to one profile an axis (a Gaussian is a product, so its profiles are Gaussians); the
    logarithm of a profile is a parabola, fitted by least squares with the squared profile as weight (Guo, "A
    simple algorithm for fitting a Gaussian function", 2011), so that the low, noisy cells count little.

    Args:
        windows: around the peaks, of values that are at least 0.
        grid: of the maps.

    Returns:
        (B, K, M, 2) float32, fractional column and row. No farther than one cell from the peak, except that a
        blob at the first column or row may have its centre anywhere in the image.
    """
    # Positions count from the peak, which keeps the sums accurate.
    away = torch.stack(
        [
            _profile_vertex(windows.values.sum(3), windows.columns - windows.peaks[..., 0, None]),
            _profile_vertex(windows.values.sum(4), windows.rows - windows.peaks[..., 1, None]),
        ],
        dim=-1,
    )
    outermost = min(-1.0, (-0.5 - grid.offset) / grid.stride)
    lowest = torch.where(windows.peaks == 0, outermost, -1.0)
    return windows.peaks + torch.maximum(away, lowest).clamp(max=1.0)


def average_cells(windows: CellWindows) -> Tensor:
    """Average the cells of each window, weighted with their values ("integral" refinement).

    The centre of mass of the window: cheap, and for a blob that the window cuts off biased towards the peak's
    own cell (for a Gaussian of 1.5 cells in 5 x 5 cells to 0.63 of the way). Models whose tool decoded
    them so are compared with it exactly; the formula is that of SLEAP (Pereira et al. 2022), values below 0
    included.

    Args:
        windows: around the peaks, not shifted, with 0 beyond the map.

    Returns:
        (B, K, M, 2) float32, fractional column and row; the peak itself where the values add up to nothing.
    """
    total = windows.values.sum((3, 4))
    there = total > _FLOOR
    away = torch.stack(
        [
            (windows.values.sum(3) * (windows.columns - windows.peaks[..., 0, None])).sum(-1),
            (windows.values.sum(4) * (windows.rows - windows.peaks[..., 1, None])).sum(-1),
        ],
        dim=-1,
    )
    return windows.peaks + torch.where(there[..., None], away / total.clamp(min=_FLOOR)[..., None], 0.0)


def _profile_vertex(profile: Tensor, steps: Tensor) -> Tensor:
    """Find the maximum of a parabola fitted to the logarithm of a profile.

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


def fit_parabola(maps: Tensor, index: Tensor) -> Tensor:
    """Fit a parabola through the logarithms of a peak and its two neighbours on each axis, and return its
    vertex.

    Exact for Gaussians without noise, and cheaper than :func:`fit_gaussian`.

    Args:
        maps: (B, K, h, w) float, values and not logits.
        index: (B, K, M) int64, cells of the flattened maps.

    Returns:
        (B, K, M, 2) float32, fractional column and row, half a cell from the peak at most; the peak itself on
        an axis on which it lies at the edge of the map.
    """
    h, w = maps.shape[-2:]
    logs = maps.clamp(min=_FLOOR).log().flatten(2)
    cells = unravel_cells(index, w).float()
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
