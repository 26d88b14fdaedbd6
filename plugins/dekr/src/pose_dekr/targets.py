"""Labels -> heatmaps of keypoints and centres, and offsets around the centres.

Blobs and squares are small beside the maps they lie on: values are computed in windows of cells and scattered into
empty maps, for all animals of a batch at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_dekr.config import HEATMAP, OFFSET, DekrTargetConfig

_SUPPORT = 4.0
"""Sigmas after which a Gaussian counts as zero (there it is 0.0003)."""
_FOREGROUND = 3.0
"""Sigmas within which a cell counts as part of a blob, on each axis."""
_INNER = 1.5
"""Sigmas within which a blob counts even where another animal lacks the keypoint."""


@dataclass(frozen=True)
class Windows:
    """Square windows of W x W cells around points.

    Attributes:
        columns, rows: (..., W) int64, clamped to the map.
        inside_x, inside_y: (..., W) bool, whether the column or row lies in the map (and there is a point).
        dx, dy: (..., W) float32, from the point to the centre of the column or row, pixels.
        width: of the map, cells.
    """

    columns: Tensor
    rows: Tensor
    inside_x: Tensor
    inside_y: Tensor
    dx: Tensor
    dy: Tensor
    width: int

    @classmethod
    def around(cls, points: Tensor, grid: Grid, size: tuple[int, int], reach: float) -> Windows:
        """Windows that hold all cells within ``reach`` pixels on each axis of points (..., 2), NaN where there is
        none; ``size`` is (h, w) of the maps."""
        present = torch.isfinite(points).all(-1, keepdim=True)
        points = torch.where(present, points, 0.0)
        half = int(reach / grid.stride + 0.5)
        steps = torch.arange(-half, half + 1, device=points.device)
        limit = torch.tensor([size[1], size[0]], device=points.device)
        # Far beyond the map, a window beside it is as empty, and its cells still fit an integer.
        middle = torch.minimum(grid.to_cells(points).round().clamp(min=-half - 1), limit + half)
        cells = middle.long()[..., None] + steps
        inside = (cells >= 0) & (cells < limit[:, None]) & present[..., None]
        away = grid.to_pixels(cells.float()) - points[..., None]
        cells = torch.minimum(cells.clamp(min=0), limit[:, None] - 1)
        (columns, rows), (inside_x, inside_y), (dx, dy) = (t.unbind(-2) for t in (cells, inside, away))
        return cls(columns, rows, inside_x, inside_y, dx, dy, size[1])

    def index(self) -> Tensor:
        """(..., W * W) int64, cell in the flattened map; some other cell where the window leaves the map."""
        return (self.rows[..., :, None] * self.width + self.columns[..., None, :]).flatten(-2)

    def gaussian(self, sigma: float) -> Tensor:
        """(..., W * W) float32, exp(-d^2 / (2 sigma^2)), 0 outside the map."""
        x = torch.exp(self.dx.square() * (-0.5 / sigma**2)) * self.inside_x
        y = torch.exp(self.dy.square() * (-0.5 / sigma**2)) * self.inside_y
        return (y[..., :, None] * x[..., None, :]).flatten(-2)

    def within(self, radius: float) -> Tensor:
        """(..., W * W) bool, in the map and no farther than ``radius`` pixels on each axis."""
        x = self.inside_x & (self.dx.abs() <= radius)
        y = self.inside_y & (self.dy.abs() <= radius)
        return (y[..., :, None] & x[..., None, :]).flatten(-2)


def centers(keypoints: Tensor) -> Tensor:
    """The mean of the labelled keypoints: (B, N, K, 2) -> (B, N, 2), NaN where none is."""
    labelled = torch.isfinite(keypoints).all(-1, keepdim=True)
    return torch.where(labelled, keypoints, 0.0).sum(2) / labelled.sum(2)


def extents(labels: Labels) -> Tensor:
    """Areas of the animals in square pixels (B, N), above 0.

    The labelled area; where there is none that of the box, else that of the box around the labelled keypoints. A box as
    thin as a line counts as a quarter as wide as long.
    """
    points = labels.keypoints
    low, high = points.nan_to_num(torch.inf).amin(2), points.nan_to_num(-torch.inf).amax(2)
    around = torch.cat([low, high], dim=-1)
    boxes = torch.where(torch.isfinite(labels.boxes).all(-1, keepdim=True), labels.boxes, around)
    sides = (boxes[..., 2:] - boxes[..., :2]).nan_to_num(0.0, posinf=0.0, neginf=0.0).clamp(min=0)
    least = (0.25 * sides.amax(-1).square()).clamp(min=1.0)
    known = torch.isfinite(labels.areas) & (labels.areas > 0)
    return torch.maximum(torch.where(known, labels.areas, sides.prod(-1)), least)


def doubtful(labels: Labels, grid: Grid, size: tuple[int, int]) -> Tensor | None:
    """Where a keypoint that an animal lacks may be, so that the absence of a blob teaches nothing.

    That is the whole map when it is the only animal; else the animal's box (that of its labelled keypoints where none
    is given), widened on each side by half the longest side of all boxes in the image.

    Args:
        labels: of the batch.
        grid: of the maps.
        size: (h, w) of the maps.

    Returns:
        (B, K, h, w) bool; None: nowhere.
    """
    points = labels.keypoints
    labelled = torch.isfinite(points).all(-1)
    present = labelled.any(-1)
    lacks = present[:, :, None] & ~labelled
    # On a GPU asking would wait for it.
    if points.shape[1] == 0 or (points.device.type == "cpu" and not lacks.any()):
        return None
    points = torch.where(labelled[..., None], points, torch.nan)
    low, high = points.nan_to_num(torch.inf).amin(2), points.nan_to_num(-torch.inf).amax(2)
    given = torch.isfinite(labels.boxes).all(-1, keepdim=True)
    boxes = torch.where(given, labels.boxes, torch.cat([low, high], dim=-1))
    boxes = torch.where(present[..., None], boxes, 0.0)
    longest = (boxes[..., 2:] - boxes[..., :2]).amax((1, 2))
    alone = (present.sum(1) <= 1) | (longest <= 0)
    margin = torch.where(alone, torch.inf, longest / 2)[:, None, None]
    low, high = boxes[..., :2] - margin, boxes[..., 2:] + margin

    def within(axis: int) -> Tensor:
        at = grid.centres(size[1 - axis], device=points.device)
        return ((at >= low[..., axis, None]) & (at <= high[..., axis, None])).float()

    # Number of animals that may have it in a cell: a product of matrices over the animals.
    rows = (lacks[:, :, :, None] * within(1)[:, :, None, :]).flatten(2)
    return torch.bmm(rows.transpose(1, 2), within(0)).view(len(lacks), -1, *size) > 0


class DekrTargets(TargetGenerator):
    """Heatmaps and offsets of DEKR (Geng et al. 2021, section 3.4).

    ``heatmap``: Gaussian blobs exp(-d^2 / (2 sigma^2)), d the distance of a cell's centre to the keypoint, the maximum
    where animals overlap; the last map is that of the centres, the means of the labelled keypoints. Cells within 3
    sigma of a blob (on each axis) have weight 1, others ``background``; where a keypoint is unlabelled see
    :func:`doubtful`.

    ``offset``: from the keypoint to the cell's centre, in cells, in a square around the centre of the animal, with
    weight 1 / sqrt(area of the animal), 0 for unlabelled keypoints. Where squares overlap, the smaller animal has the
    cell with all of its keypoints (of equally large ones the nearer), but for the cell that holds another's centre,
    where that one will be read.
    """

    def __init__(self, config: DekrTargetConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.sigma = config.decided_sigma(grid.stride)
        self.center_sigma = config.decided_center_sigma(grid.stride)
        self.radius = config.decided_radius(grid.stride)
        self.background = config.background

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``heatmap`` (B, K + 1, h, w) and ``offset`` (B, 2 K, h, w), for their shapes.

        Returns:
            ``heatmap``: values in [0, 1]; ``offset``: cells.
        """
        size = (outputs[HEATMAP].shape[-2], outputs[HEATMAP].shape[-1])
        middles = centers(labels.keypoints)
        return {HEATMAP: self._heatmaps(labels, middles, size), OFFSET: self._offsets(labels, middles, size)}

    def _heatmaps(self, labels: Labels, middles: Tensor, size: tuple[int, int]) -> Target:
        batch, _, k, _ = labels.keypoints.shape
        cells = size[0] * size[1]
        value = middles.new_zeros(batch, (k + 1) * cells)
        weight = middles.new_full((batch, (k + 1) * cells), self.background)
        doubt = doubtful(labels, self.grid, size)
        if doubt is not None:
            # Several times faster than filling where the mask is set.
            torch.mul(~doubt.flatten(2), self.background, out=weight.view(batch, k + 1, cells)[:, :k])
        for points, sigma, first in (
            (labels.keypoints, self.sigma, 0),
            (middles[:, :, None], self.center_sigma, k),
        ):
            windows = Windows.around(points, self.grid, size, _SUPPORT * sigma)
            blob = windows.gaussian(sigma)
            index = windows.index() + (first + torch.arange(points.shape[2], device=points.device)[:, None]) * cells
            value.scatter_reduce_(1, index.flatten(1), blob.flatten(1), "amax")
            counts = windows.within(_FOREGROUND * sigma)
            if doubt is not None and first == 0:
                sure = ~doubt.flatten(1).gather(1, index.flatten(1)).view(index.shape)
                counts &= sure | (windows.within(_INNER * sigma))
            weight.scatter_reduce_(1, index.flatten(1), counts.to(weight.dtype).flatten(1), "amax")
        shape = (batch, k + 1, *size)
        return Target(value.view(shape), weight.view(shape))

    def _offsets(self, labels: Labels, middles: Tensor, size: tuple[int, int]) -> Target:
        points = labels.keypoints
        batch, _, k, _ = points.shape
        windows = Windows.around(middles, self.grid, size, self.radius)
        area = extents(labels)
        index = windows.index()
        wins = self._wins(windows, index, middles, area, size)
        # Every cell has one winner at most, so that adding up writes; losers add nothing.
        labelled = torch.isfinite(points).all(-1).transpose(1, 2)
        learned = wins[:, None] & labelled[..., None]
        strength = (learned / area.sqrt()[:, None, :, None])[:, :, None].expand(-1, -1, 2, -1, -1)
        side = windows.columns.shape[-1]
        at = torch.stack(
            [
                self.grid.to_pixels(windows.columns.float())[..., None, :].expand(-1, -1, side, -1).flatten(2),
                self.grid.to_pixels(windows.rows.float())[..., :, None].expand(-1, -1, -1, side).flatten(2),
            ],
            dim=1,
        )
        ways = (at[:, None] - points.permute(0, 2, 3, 1)[..., None]) / self.grid.stride
        ways = torch.where(learned[:, :, None], ways, 0.0)
        shape = (batch, 2 * k, *size)
        index = index.flatten(1)[:, None].expand(-1, 2 * k, -1)
        maps = points.new_zeros(2, batch, 2 * k, size[0] * size[1])
        maps[0].scatter_add_(2, index, ways.reshape(batch, 2 * k, -1))
        maps[1].scatter_add_(2, index, strength.reshape(batch, 2 * k, -1))
        return Target(maps[0].view(shape), maps[1].view(shape))

    def _wins(self, windows: Windows, index: Tensor, middles: Tensor, area: Tensor, size: tuple[int, int]) -> Tensor:
        """Which animal has the cells of each window: (B, N, W * W) bool.

        All pairs of animals are compared in the cells of the first one's window.
        """
        n = middles.shape[1]
        present = torch.isfinite(middles).all(-1)
        own = self.grid.to_cells(torch.where(present[..., None], middles, -1e4)).round()
        limit = torch.tensor([size[1], size[0]], device=own.device)
        own = torch.where(((own >= 0) & (own < limit)).all(-1), own[..., 1] * size[1] + own[..., 0], -1.0)

        def apart(axis: int, lines: Tensor) -> Tensor:
            """(B, N, N, W): from the second animal's centre to the columns or rows of the first one's window."""
            return self.grid.to_pixels(lines.float())[:, :, None] - middles[:, None, :, None, axis]

        x, y = apart(0, windows.columns), apart(1, windows.rows)
        covered = ((y.abs() <= self.radius)[..., :, None] & (x.abs() <= self.radius)[..., None, :]).flatten(3)
        distance = (y.square()[..., :, None] + x.square()[..., None, :]).flatten(3)
        is_own = index[:, :, None].float() == own[:, None, :, None]
        mine = torch.arange(n, device=index.device)
        pairs = (slice(None), mine, mine)
        own_here, distance_here = is_own[pairs][:, :, None], distance[pairs][:, :, None]
        smaller = (area[:, None, :] < area[:, :, None])[..., None]
        as_large = (area[:, None, :] == area[:, :, None])[..., None]
        nearer = (distance < distance_here) | ((distance == distance_here) & (mine[None, :] < mine[:, None])[..., None])
        better = covered & ((is_own & ~own_here) | ((is_own == own_here) & (smaller | (as_large & nearer))))
        return windows.within(self.radius) & ~better.any(2)
