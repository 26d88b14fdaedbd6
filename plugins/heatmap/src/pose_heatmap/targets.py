"""Labels -> heatmaps and location refinement.

Blobs are small beside the maps they lie on. So values are computed in a window of cells around each keypoint and
scattered into empty maps; the cost grows with the number of keypoints, not with animals times pixels.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_heatmap.config import HEATMAP, LOCREF, GaussianConfig, HeatmapTargetConfig, PlateauConfig

_SUPPORT = 4.0
"""Sigmas after which a Gaussian counts as zero (there it is 0.0003)."""


@dataclass(frozen=True)
class Windows:
    """Square windows of W x W cells around the N keypoints of each kind in a batch, by axis (0: x, 1: y).

    Attributes:
        cells: (B, K, N, W, 2) int64, columns and rows, clamped to the map.
        valid: (B, K, N, W, 2) bool, whether column or row lies in the map and the keypoint is labelled.
        offset: (B, K, N, W, 2) float32, from the centre of column or row to the keypoint, pixels.
        size: (h, w) of the maps.
    """

    cells: Tensor
    valid: Tensor
    offset: Tensor
    size: tuple[int, int]

    @classmethod
    def around(cls, keypoints: Tensor, grid: Grid, size: tuple[int, int], radius: float) -> Windows:
        """Windows that hold all cells within ``radius`` pixels of the keypoints.

        Args:
            keypoints: (B, N, K, 2) pixels, NaN where unlabelled; those outside the image may reach into it.
            grid: of the maps.
            size: (h, w) of the maps.
            radius: pixels.
        """
        points = keypoints.permute(0, 2, 1, 3)
        labelled = torch.isfinite(points).all(-1, keepdim=True)
        points = torch.where(labelled, points, 0.0)
        reach = int(radius / grid.stride + 0.5)
        steps = torch.arange(-reach, reach + 1, device=points.device)
        limit = torch.tensor([size[1], size[0]], device=points.device)
        middle = torch.minimum(grid.to_cells(points).round().clamp(min=-reach - 1), limit + reach)
        cells = middle.long()[..., None, :] + steps[:, None]
        valid = (cells >= 0) & (cells < limit) & labelled[..., None, :]
        offset = points[..., None, :] - grid.to_pixels(cells.float())
        return cls(torch.minimum(cells.clamp(min=0), limit - 1), valid, offset, size)

    def index(self) -> Tensor:
        """(B, K, N * W * W) int64, position in the flattened map; of some cell where the window leaves the map."""
        return _plane(self.cells[..., 0], self.cells[..., 1] * self.size[1], torch.add)

    def inside(self) -> Tensor:
        """(B, K, N * W * W) bool."""
        return _plane(self.valid[..., 0], self.valid[..., 1], torch.logical_and)

    def squared_distance(self) -> Tensor:
        """(B, K, N * W * W) float32, of the cell's centre to the keypoint, square pixels."""
        squared = self.offset.square()
        return _plane(squared[..., 0], squared[..., 1], torch.add)

    def gaussian(self, sigma: float) -> Tensor:
        """(B, K, N * W * W) float32, exp(-d^2 / (2 sigma^2)), 0 outside the map and for unlabelled keypoints."""
        values = torch.exp(self.offset.square() * (-0.5 / sigma**2)) * self.valid
        return _plane(values[..., 0], values[..., 1], torch.mul)


def _plane(x: Tensor, y: Tensor, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """One value a column and one a row, (B, K, N, W) each, combined for every cell: (B, K, N * W * W)."""
    return combine(x[..., None, :], y[..., :, None]).flatten(2)


def paint(windows: Windows, closeness: Tensor) -> Tensor:
    """Maps (B, K, h, w) of the largest closeness in each cell.

    Args:
        windows: of the keypoints.
        closeness: (B, K, N * W * W), at least 0, and 0 outside the map.
    """
    batch, k, _ = closeness.shape
    h, w = windows.size
    maps = closeness.new_zeros(batch, k, h * w)
    return maps.scatter_reduce_(2, windows.index(), closeness, "amax").view(batch, k, h, w)


def nearest_offsets(windows: Windows, closeness: Tensor, within: Tensor, painted: Tensor) -> Target:
    """The way from each cell to the nearest keypoint.

    Args:
        windows: of the keypoints.
        closeness: (B, K, N * W * W), falls with the distance.
        within: (B, K, N * W * W) bool, where it is learned.
        painted: (B, K, h, w), the largest closeness in each cell.

    Returns:
        values (B, 2 K, h, w), x and y of keypoint k in channels 2 k and 2 k + 1, pixels; weights, 1 where learned.
    """
    batch, k, h, w = painted.shape
    index = windows.index()
    # Closeness may differ in its last bit between two evaluations of exp.
    wins = within & (closeness >= painted.flatten(2).gather(2, index) * (1 - 1e-6))
    # One cell beyond the map takes what must not be written.
    index = torch.where(wins, index, h * w)[:, :, None].expand(-1, -1, 2, -1)
    side = windows.offset.shape[3]
    dx = windows.offset[..., None, :, 0].expand(-1, -1, -1, side, -1)
    dy = windows.offset[..., :, None, 1].expand(-1, -1, -1, -1, side)
    offsets = torch.stack([dx, dy], dim=2).flatten(3)
    value = painted.new_zeros(batch, k, 2, h * w + 1).scatter_(3, index, offsets)
    weight = painted.new_zeros(batch, k, 2, h * w + 1).scatter_(3, index, 1.0)
    shape = (batch, 2 * k, h, w)
    return Target(value[..., :-1].reshape(shape), weight[..., :-1].reshape(shape))


def background_known(labels: Labels, grid: Grid, size: tuple[int, int]) -> Tensor:
    """Where the absence of a blob is certain.

    An animal counts as present when one of its keypoints is labelled. A keypoint that a present animal lacks may be
    anywhere near that animal, so the background there has weight 0: in the whole map when it is the only animal;
    else in the animal's box (that of its labelled keypoints where none is given), widened on each side by half the
    longest side of all boxes in the image. An image without animals is background.

    Args:
        labels: of the batch.
        grid: of the maps.
        size: (h, w) of the maps.

    Returns:
        bool, (B, K, 1, 1) where whole maps are known or unknown, else (B, K, h, w).
    """
    labelled = torch.isfinite(labels.keypoints).all(-1)
    present = labelled.any(-1)
    lacks = present[:, :, None] & ~labelled
    # Nothing is in doubt in most batches, and maps of ones are not free; on a GPU asking would wait for it.
    if lacks.shape[1] <= 1 or (lacks.device.type == "cpu" and not lacks.any()):
        return ~lacks.any(1)[:, :, None, None]
    points = torch.where(labelled[..., None], labels.keypoints, torch.nan)
    around = torch.cat(
        [points.nan_to_num(torch.inf).amin(2), points.nan_to_num(-torch.inf, neginf=-torch.inf).amax(2)], dim=-1
    )
    boxes = torch.where(torch.isfinite(labels.boxes).all(-1, keepdim=True), labels.boxes, around)
    boxes = torch.where(present[..., None], boxes, 0.0)
    longest = (boxes[..., 2:] - boxes[..., :2]).amax((1, 2))
    alone = (present.sum(1) <= 1) | (longest <= 0)
    margin = torch.where(alone, torch.inf, longest / 2)[:, None, None]
    low, high = boxes[..., :2] - margin, boxes[..., 2:] + margin

    def within(axis: int) -> Tensor:
        centres = grid.centres(size[1 - axis], device=points.device)
        return ((centres >= low[..., axis, None]) & (centres <= high[..., axis, None])).float()

    # Number of animals that lack the keypoint and may have it in a cell: a product of matrices over the animals.
    rows = (lacks[:, :, :, None] * within(1)[:, :, None, :]).flatten(2)
    doubts = torch.bmm(rows.transpose(1, 2), within(0))
    return doubts.view(len(lacks), -1, *size) == 0


class _HeatmapTargets(TargetGenerator):
    """What both kinds of blobs share."""

    def __init__(self, config: HeatmapTargetConfig, context: BuildContext, grid: Grid, radius: float) -> None:
        super().__init__(config, context, grid)
        # The cell nearest to a keypoint always learns the way to it, in the corner of the image too.
        farthest = math.sqrt(2) * max(grid.stride / 2, grid.offset + 0.5)
        self.locref_radius = max(config.locref_radius or radius, 1.01 * farthest)

    @abstractmethod
    def closeness(self, windows: Windows) -> Tensor:
        """(B, K, N * W * W): above 0 in the map and within reach of a keypoint, falling with the distance; else 0."""

    def _targets(
        self, labels: Labels, outputs: Mapping[str, Tensor], reach: float, blob: float
    ) -> tuple[Tensor, Tensor, dict[str, Target]]:
        """Painted maps, their weights, and the target of location refinement where the head has it.

        Args:
            labels: of the batch.
            outputs: of the head.
            reach: how far a blob reaches, pixels.
            blob: what is at least as close as this counts, whatever is unlabelled.
        """
        size = (outputs[HEATMAP].shape[-2], outputs[HEATMAP].shape[-1])
        windows = Windows.around(labels.keypoints, self.grid, size, reach)
        painted = paint(windows, self.closeness(windows))
        known = background_known(labels, self.grid, size)
        weight = (known if known.shape[-1] == 1 else known | (painted >= blob)).float()
        if LOCREF not in outputs:
            return painted, weight, {}
        windows = Windows.around(labels.keypoints, self.grid, size, self.locref_radius)
        within = (windows.squared_distance() <= self.locref_radius**2) & windows.inside()
        return painted, weight, {LOCREF: nearest_offsets(windows, self.closeness(windows), within, painted)}


class GaussianTargets(_HeatmapTargets):
    """Heatmaps of Gaussian blobs exp(-d^2 / (2 sigma^2)), d the distance of a cell's centre to the keypoint.

    Several animals: the maximum of their blobs; location refinement points to the nearest one and has weight 1 within
    ``locref_radius``. What is unlabelled: see :func:`background_known`; the inner part of a blob (1.5 sigma)
    always counts. Keypoints outside the image leave the part of their blob that reaches into it.
    """

    def __init__(self, config: GaussianConfig, context: BuildContext, grid: Grid) -> None:
        sigma = config.decided_sigma(grid.stride)
        super().__init__(config, context, grid, 1.5 * sigma)
        self.sigma = sigma

    def closeness(self, windows: Windows) -> Tensor:
        """The blobs themselves."""
        return windows.gaussian(self.sigma)

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``heatmap`` (B, K, h, w) and perhaps ``locref`` (B, 2 K, h, w), for their shapes.

        Returns:
            ``heatmap``: values in [0, 1]; ``locref``: pixels from the cell's centre to the keypoint.
        """
        reach = max(_SUPPORT * self.sigma, self.locref_radius)
        heat, weight, targets = self._targets(labels, outputs, reach, math.exp(-0.5 * 1.5**2))
        return {HEATMAP: Target(heat, weight), **targets}


class PlateauTargets(_HeatmapTargets):
    """Heatmaps that are 1 within ``radius`` of a keypoint and 0 elsewhere.

    For several animals and unlabelled keypoints the rules of :class:`GaussianTargets` hold.
    """

    def __init__(self, config: PlateauConfig, context: BuildContext, grid: Grid) -> None:
        radius = config.decided_radius(grid.stride)
        super().__init__(config, context, grid, radius)
        self.radius = radius
        self.reach = max(radius, self.locref_radius)

    def closeness(self, windows: Windows) -> Tensor:
        """From 1 at the keypoint down to 1/2 at the farthest cell that needs it."""
        squared = windows.squared_distance() / self.reach**2
        return (1 - squared / 2) * (windows.inside() & (squared <= 1))

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``heatmap`` (B, K, h, w) and perhaps ``locref`` (B, 2 K, h, w), for their shapes.

        Returns:
            ``heatmap``: 0 or 1; ``locref``: pixels from the cell's centre to the keypoint.
        """
        edge = 1 - (self.radius / self.reach) ** 2 / 2 - 1e-6
        closeness, weight, targets = self._targets(labels, outputs, self.reach, edge)
        return {HEATMAP: Target((closeness >= edge).float(), weight), **targets}
