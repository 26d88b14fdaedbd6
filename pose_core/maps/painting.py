"""Painting of targets: blobs and offsets around keypoints.

Blobs are small beside the maps they lie on. So values are computed in a window of cells around each keypoint
and scattered into empty maps; the cost grows with the number of keypoints, not with animals times pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_core.interfaces import Grid, Target

GAUSSIAN_SUPPORT = 4.0
"""Sigmas after which a painted Gaussian counts as zero (there it is 0.0003)."""


@dataclass(frozen=True)
class KeypointWindows:
    """Square windows of W x W cells around points.

    Columns and rows are kept apart, because what is painted is mostly a product or a sum of one value for
    each.

    Attributes:
        columns, rows: (..., W) int64, clamped to the map.
        inside_x, inside_y: (..., W) bool, whether the column or row lies in the map (and there is a point).
        dx, dy: (..., W) float32, from the centre of the column or row to the point, pixels.
        size: (h, w) of the maps.
    """

    columns: Tensor
    rows: Tensor
    inside_x: Tensor
    inside_y: Tensor
    dx: Tensor
    dy: Tensor
    size: tuple[int, int]

    @classmethod
    def around(cls, points: Tensor, grid: Grid, size: tuple[int, int], radius: float) -> KeypointWindows:
        """Windows that hold all cells within ``radius`` pixels of points, on each axis.

        Args:
            points: (..., 2) float32 pixels of the network's input, NaN where there is none; windows of points
                outside the image may reach into it.
            grid: of the maps.
            size: (h, w) of the maps.
            radius: pixels.
        """
        present = torch.isfinite(points).all(-1, keepdim=True)
        points = torch.where(present, points, 0.0)
        reach = int(radius / grid.stride + 0.5)
        steps = torch.arange(-reach, reach + 1, device=points.device)
        limit = torch.tensor([size[1], size[0]], device=points.device)
        # Far beyond the map, a window beside it is as empty, and its cells still fit an integer.
        middle = torch.minimum(grid.to_cells(points).round().clamp(min=-reach - 1), limit + reach)
        cells = middle.long()[..., None] + steps
        inside = (cells >= 0) & (cells < limit[:, None]) & present[..., None]
        away = points[..., None] - grid.to_pixels(cells.float())
        cells = torch.minimum(cells.clamp(min=0), limit[:, None] - 1)
        (columns, rows), (inside_x, inside_y), (dx, dy) = (t.unbind(-2) for t in (cells, inside, away))
        return cls(columns, rows, inside_x, inside_y, dx, dy, size)

    def index(self) -> Tensor:
        """(..., W * W) int64, cells in the flattened map; some other cell where the window leaves the map."""
        return _combine(self.columns, self.rows * self.size[1], torch.add)

    def inside(self) -> Tensor:
        """(..., W * W) bool, whether cells lie in the map (and there is a point)."""
        return _combine(self.inside_x, self.inside_y, torch.logical_and)

    def within(self, radius: float) -> Tensor:
        """(..., W * W) bool, in the map and no farther than ``radius`` pixels from the point on each axis."""
        x = self.inside_x & (self.dx.abs() <= radius)
        y = self.inside_y & (self.dy.abs() <= radius)
        return _combine(x, y, torch.logical_and)

    def squared_distance(self) -> Tensor:
        """(..., W * W) float32, from the cells' centres to the point, square pixels."""
        return _combine(self.dx.square(), self.dy.square(), torch.add)

    def gaussian(self, sigma: float) -> Tensor:
        """(..., W * W) float32, exp(-d^2 / (2 sigma^2)) of the distance d, 0 outside the map and without a
        point."""
        x = torch.exp(self.dx.square() * (-0.5 / sigma**2)) * self.inside_x
        y = torch.exp(self.dy.square() * (-0.5 / sigma**2)) * self.inside_y
        return _combine(x, y, torch.mul)


def _combine(x: Tensor, y: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """One value a column and one a row, (..., W) each, combined for every cell: (..., W * W)."""
    return operation(x[..., None, :], y[..., :, None]).flatten(-2)


def paint_maximum(index: Tensor, values: Tensor, size: tuple[int, int], out: Tensor | None = None) -> Tensor:
    """Paint values into maps; where several fall on a cell, the largest stays.

    Args:
        index: (B, K, P) int64, cells in the flattened maps.
        values: (B, K, P) float, at least 0, and 0 where nothing is to be painted.
        size: (h, w) of the maps.
        out: (B, K, h * w), painted over in place; None: new maps of zeros.

    Returns:
        (B, K, h, w).
    """
    h, w = size
    maps = values.new_zeros(*values.shape[:2], h * w) if out is None else out
    return maps.scatter_reduce_(2, index, values, "amax").view(*values.shape[:2], h, w)


def paint_nearest_offsets(
    windows: KeypointWindows, closeness: Tensor, within: Tensor, painted: Tensor
) -> Target:
    """Paint the way from each cell to the nearest point: the target of location refinement.

    Args:
        windows: around the points (B, K, N), W cells a side.
        closeness: (B, K, N * W * W) float, falls with the distance to the point.
        within: (B, K, N * W * W) bool, where it is learned.
        painted: (B, K, h, w), the largest closeness in each cell, as :func:`paint_maximum` makes it.

    Returns:
        values (B, 2 K, h, w) float32, x and y of keypoint k in channels 2 k and 2 k + 1, pixels; weights, 1
        where learned and 0 elsewhere.
    """
    batch, k, h, w = painted.shape
    index = windows.index().flatten(2)
    # Closeness may differ in its last bit between two evaluations of exp.
    wins = within & (closeness >= painted.flatten(2).gather(2, index) * (1 - 1e-6))
    # One cell beyond the map takes what must not be written.
    index = torch.where(wins, index, h * w)[:, :, None].expand(-1, -1, 2, -1)
    side = windows.dx.shape[-1]
    dx = windows.dx[..., None, :].expand(-1, -1, -1, side, -1)
    dy = windows.dy[..., :, None].expand(-1, -1, -1, -1, side)
    offsets = torch.stack([dx, dy], dim=2).flatten(3)
    value = painted.new_zeros(batch, k, 2, h * w + 1).scatter_(3, index, offsets)
    weight = painted.new_zeros(batch, k, 2, h * w + 1).scatter_(3, index, 1.0)
    shape = (batch, 2 * k, h, w)
    return Target(value[..., :-1].reshape(shape), weight[..., :-1].reshape(shape))
