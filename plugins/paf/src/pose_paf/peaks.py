"""The highest blobs of heatmaps, and where exactly they are. Batched, without loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pose_core.interfaces import Grid


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Heatmaps (B, K, h, w) convolved with a Gaussian of ``sigma`` cells; 0 beyond the edge of the map."""
    if sigma <= 0:
        return maps
    reach = max(1, round(5 * sigma))
    steps = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(maps.shape[1], 1, 1, -1)
    maps = F.conv2d(maps, kernel, padding=(0, reach), groups=maps.shape[1])
    return F.conv2d(maps, kernel.transpose(2, 3), padding=(reach, 0), groups=maps.shape[1])


def highest_around(maps: Tensor, reach: int) -> Tensor:
    """Whether each cell is above all that come before it, and no lower than all that come after it, row by row, in the
    square of ``reach`` cells to each side.

    Args:
        maps: (B, K, h, w).
        reach: at least 1.

    Returns:
        (B, K, h, w) bool.
    """
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (reach, reach, reach, reach), value=-torch.inf)
    # Several times faster than max_pool2d, whose indices would tell equal cells apart as well.
    middle = padded[..., reach : reach + height, :]
    left, right = (_highest(middle, side, width, 3, reach) for side in (0, reach + 1))
    lines = _highest(padded, 0, width, 3, 2 * reach + 1)
    above, below = (_highest(lines, side, height, 2, reach) for side in (0, reach + 1))
    return (maps > torch.maximum(above, left)) & (maps >= torch.maximum(below, right))


def _highest(maps: Tensor, start: int, length: int, axis: int, count: int) -> Tensor:
    """The highest of ``count`` neighbours along an axis, for ``length`` places from ``start``."""
    found = maps.narrow(axis, start, length)
    for step in range(1, count):
        found = torch.maximum(found, maps.narrow(axis, start + step, length))
    return found


def find_blobs(
    maps: Tensor, locref: Tensor, grid: Grid, count: int, *, nms: int, threshold: float, window: int
) -> tuple[Tensor, Tensor]:
    """The highest blobs of each map.

    A blob is where a cell is the highest of a square; of equal cells beside each other, the first. Its position is
    what the location refinement of the cells around says, weighted by their height; cells below half of the highest
    have no say, for they may never have learned the way.

    Args:
        maps: (B, K, h, w) values, not logits; NaN is no blob.
        locref: (B, 2 K, h, w) pixels from a cell's centre to the keypoint, x before y.
        grid: of the maps.
        count: M, the most blobs of a map.
        nms: cells a side of the square, odd.
        threshold: blobs that are not higher are left out.
        window: cells a side of those that say where the blob is, odd.

    Returns:
        positions (B, K, M', 2) in pixels, NaN where there are fewer, and heights (B, K, M'), 0 there; the highest
        first. M' is the most that a map has here, at most M (on a GPU always M, where asking would wait for it).
    """
    batch, keypoints, height, width = maps.shape
    maps = maps.nan_to_num(0.0)
    heights = torch.where((maps > threshold) & highest_around(maps, nms // 2), maps, 0.0).flatten(2)
    count = min(count, height * width)
    if maps.device.type == "cpu":
        count = min(count, max(1, int((heights > 0).sum(-1).max())))
    score, index = heights.topk(count, dim=2)
    row, column = index.div(width, rounding_mode="floor"), index % width
    steps = torch.arange(-(window // 2), window // 2 + 1, device=maps.device)
    rows, columns = (row[..., None] + steps)[..., :, None], (column[..., None] + steps)[..., None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    around = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(2)
    shape = (batch, keypoints, count, window, window)
    weight = maps.flatten(2).gather(2, around).view(shape)
    weight = torch.where(inside & (weight >= 0.5 * score[..., None, None]), weight, 0.0)
    offsets = locref.view(batch, keypoints, 2, -1).gather(3, around[:, :, None].expand(-1, -1, 2, -1))
    offsets = offsets.view(batch, keypoints, 2, *shape[2:])
    x = grid.to_pixels(columns.to(maps.dtype)) + offsets[:, :, 0]
    y = grid.to_pixels(rows.to(maps.dtype)) + offsets[:, :, 1]
    total = weight.sum((3, 4))
    position = torch.stack([(x * weight).sum((3, 4)) / total, (y * weight).sum((3, 4)) / total], dim=-1)
    usable = (score > 0) & torch.isfinite(position).all(-1)
    return torch.where(usable[..., None], position, torch.nan), torch.where(usable, score, 0.0)
