"""Labels -> heatmaps of keypoints and centres, and offsets around the centres."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_core.maps import (
    GAUSSIAN_SUPPORT,
    KeypointWindows,
    animal_boxes,
    lacking_keypoints,
    mask_background,
    paint_maximum,
)
from pose_dekr.config import HEATMAP, OFFSET, DekrTargetConfig

_FOREGROUND = 3.0
"""Sigmas within which a cell counts as part of a blob, on each axis."""
_INNER = 1.5
"""Sigmas within which a blob counts even where another animal lacks the keypoint."""


def animal_centers(keypoints: Tensor) -> Tensor:
    """The mean of the labelled keypoints: (B, N, K, 2) -> (B, N, 2), NaN where none is."""
    labelled = torch.isfinite(keypoints).all(-1, keepdim=True)
    return torch.where(labelled, keypoints, 0.0).sum(2) / labelled.sum(2)


def animal_areas(labels: Labels) -> Tensor:
    """Areas of the animals in square pixels (B, N), above 0.

    The labelled area; where there is none that of the box, else that of the box around the labelled
    keypoints. A box as thin as a line counts as a quarter as wide as long.
    """
    boxes = animal_boxes(labels)
    sides = (boxes[..., 2:] - boxes[..., :2]).nan_to_num(0.0, posinf=0.0, neginf=0.0).clamp(min=0)
    min_area = (0.25 * sides.amax(-1).square()).clamp(min=1.0)
    known = torch.isfinite(labels.areas) & (labels.areas > 0)
    return torch.maximum(torch.where(known, labels.areas, sides.prod(-1)), min_area)


class DekrTargets(TargetGenerator):
    """Heatmaps and offsets of DEKR (Geng et al. 2021, section 3.4).

    ``heatmap``: Gaussian blobs exp(-d^2 / (2 sigma^2)), d the distance of a cell's centre to the keypoint,
    the maximum where animals overlap; the last map is that of the centres, the means of the labelled
    keypoints. Cells within 3 sigma of a blob (on each axis) have weight 1, others ``background``; where a
    keypoint is unlabelled see :func:`pose_core.maps.mask_background`.

    ``offset``: from the keypoint to the cell's centre, in cells, in a square around the centre of the animal,
    with weight 1 / sqrt(area of the animal), 0 for unlabelled keypoints. Where squares overlap, the smaller
    animal has the cell with all of its keypoints (of equally large ones the nearer), but for the cell that
    holds another's centre, where that one will be read.
    """

    def __init__(self, config: DekrTargetConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.sigma = config.decided_sigma(grid.stride)
        self.center_sigma = config.decided_center_sigma(grid.stride)
        self.radius = config.decided_radius(grid.stride)
        self.background = config.background
        # A landmark of the frame is no part of an animal's middle.
        self._body = list(context.skeleton.body_indices)

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``heatmap`` (B, K + 1, h, w) and ``offset`` (B, 2 K, h, w), for their shapes.

        Returns:
            ``heatmap``: values in [0, 1]; ``offset``: cells.
        """
        size = (outputs[HEATMAP].shape[-2], outputs[HEATMAP].shape[-1])
        middles = animal_centers(labels.keypoints[:, :, self._body])
        return {HEATMAP: self._heatmaps(labels, middles, size), OFFSET: self._offsets(labels, middles, size)}

    def _heatmaps(self, labels: Labels, middles: Tensor, size: tuple[int, int]) -> Target:
        batch, _, k, _ = labels.keypoints.shape
        cells = size[0] * size[1]
        value = middles.new_zeros(batch, k + 1, cells)
        weight = middles.new_full((batch, k + 1, cells), self.background)
        known = mask_background(labels, lacking_keypoints(labels), self.grid, size)
        if known is not None:
            # Several times faster than filling where the mask is set.
            known = known.expand(-1, -1, *size).flatten(2)
            torch.mul(known, self.background, out=weight[:, :k])
        for points, sigma, maps in (
            (labels.keypoints, self.sigma, slice(0, k)),
            (middles[:, :, None], self.center_sigma, slice(k, k + 1)),
        ):
            windows = KeypointWindows.around(
                points.transpose(1, 2), self.grid, size, GAUSSIAN_SUPPORT * sigma
            )
            index = windows.index().flatten(2)
            paint_maximum(index, windows.gaussian(sigma).flatten(2), size, out=value[:, maps])
            counts = windows.within(_FOREGROUND * sigma).flatten(2)
            if known is not None and maps.start == 0:
                counts &= known.gather(2, index) | windows.within(_INNER * sigma).flatten(2)
            paint_maximum(index, counts.to(weight.dtype), size, out=weight[:, maps])
        shape = (batch, k + 1, *size)
        return Target(value.view(shape), weight.view(shape))

    def _offsets(self, labels: Labels, middles: Tensor, size: tuple[int, int]) -> Target:
        points = labels.keypoints
        batch, _, k, _ = points.shape
        windows = KeypointWindows.around(middles, self.grid, size, self.radius)
        area = animal_areas(labels)
        index = windows.index()
        wins = self._wins(windows, index, middles, area, size)
        # Every cell has one winner at most, so that adding up writes; losers add nothing.
        labelled = torch.isfinite(points).all(-1).transpose(1, 2)
        learned = wins[:, None] & labelled[..., None]
        strength = (learned / area.sqrt()[:, None, :, None])[:, :, None].expand(-1, -1, 2, -1, -1)
        side = windows.columns.shape[-1]
        at = torch.stack(
            [
                self.grid.to_pixels(windows.columns.float())[..., None, :]
                .expand(-1, -1, side, -1)
                .flatten(2),
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

    def _wins(
        self, windows: KeypointWindows, index: Tensor, middles: Tensor, area: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Which animal has the cells of each window: (B, N, W * W) bool.

        All pairs of animals are compared in the cells of the first one's window.
        """
        n = middles.shape[1]
        present = torch.isfinite(middles).all(-1)
        own = self.grid.to_cells(torch.where(present[..., None], middles, -1e4)).round()
        limit = torch.tensor([size[1], size[0]], device=own.device)
        own = torch.where(((own >= 0) & (own < limit)).all(-1), own[..., 1] * size[1] + own[..., 0], -1.0)

        def apart(axis: int, lines: Tensor) -> Tensor:
            """(B, N, N, W): from the second animal's centre to the columns or rows of the first one's
            window."""
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
        nearer = (distance < distance_here) | (
            (distance == distance_here) & (mine[None, :] < mine[:, None])[..., None]
        )
        better = covered & ((is_own & ~own_here) | ((is_own == own_here) & (smaller | (as_large & nearer))))
        return windows.within(self.radius) & ~better.any(2)
