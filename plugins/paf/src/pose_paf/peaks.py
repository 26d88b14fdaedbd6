"""The highest blobs of heatmaps, and where exactly they are. Batched, without loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pose_core.interfaces import Grid
from pose_core.maps import CellWindows, average_offsets, keep_local_maxima, top_cells


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Convolve heatmaps (B, K, h, w) with a Gaussian of ``sigma`` cells; beyond the edge of the map they are
    0."""
    if sigma <= 0:
        return maps
    reach = max(1, round(5 * sigma))
    steps = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(maps.shape[1], 1, 1, -1)
    maps = F.conv2d(maps, kernel, padding=(0, reach), groups=maps.shape[1])
    return F.conv2d(maps, kernel.transpose(2, 3), padding=(reach, 0), groups=maps.shape[1])


def find_blobs(
    maps: Tensor, locref: Tensor, grid: Grid, count: int, *, nms: int, threshold: float, window: int
) -> tuple[Tensor, Tensor]:
    """Find the highest blobs of each map.

    A blob is where a cell is the highest of a square; of equal cells beside each other, the first. Its
    position is what the location refinement of the cells around says, weighted by their height; cells below
    half of the highest do not count, for they may never have learned the way.

    Args:
        maps: (B, K, h, w) values, not logits; NaN is no blob.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y.
        grid: of the maps.
        count: M, maximum number of blobs of a map.
        nms: cells a side of the square, odd.
        threshold: blobs that are not higher are left out.
        window: cells a side of those that say where the blob is, odd.

    Returns:
        positions (B, K, M', 2) in pixels, NaN where there are fewer, and heights (B, K, M'), 0 there; the
        highest first. M' is the most that a map has here, at most M (on a GPU always M, where asking would
        wait for it).
    """
    maps = maps.nan_to_num(0.0)
    peaks = keep_local_maxima(maps, nms, threshold)
    count = min(count, maps.shape[-2] * maps.shape[-1])
    if maps.device.type == "cpu":
        # Pairs of candidates grow with the square of their number; here counting them costs no wait for a
        # device.
        count = min(count, max(1, int((peaks > 0).flatten(2).sum(-1).max())))
    index, height = top_cells(peaks, count)
    windows = CellWindows.around(maps, index, window, shifted=False)
    weight = torch.where(windows.values >= 0.5 * height[..., None, None], windows.values, 0.0)
    position = average_offsets(windows, weight, locref, grid)
    usable = (height > 0) & torch.isfinite(position).all(-1)
    return torch.where(usable[..., None], position, torch.nan), torch.where(usable, height, 0.0)
