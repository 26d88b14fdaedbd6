"""Labels -> heatmaps and location refinement."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_core.maps import (
    GAUSSIAN_SUPPORT,
    KeypointWindows,
    lacking_keypoints,
    mask_background,
    paint_maximum,
    paint_nearest_offsets,
)
from pose_heatmap.config import HEATMAP, LOCREF, GaussianConfig, HeatmapTargetConfig, PlateauConfig


class _HeatmapTargets(TargetGenerator):
    """What both kinds of blobs share."""

    def __init__(self, config: HeatmapTargetConfig, context: BuildContext, grid: Grid, radius: float) -> None:
        super().__init__(config, context, grid)
        # The cell nearest to a keypoint always learns the way to it, in the corner of the image too.
        farthest = math.sqrt(2) * max(grid.stride / 2, grid.offset + 0.5)
        self.locref_radius = max(config.locref_radius or radius, 1.01 * farthest)
        self.teaches_absent = config.teaches_absent()

    @abstractmethod
    def closeness(self, windows: KeypointWindows) -> Tensor:
        """(B, K, N * W * W): above 0 in the map and within reach of a keypoint, falling with the distance;
        else 0."""

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
        # (B, K, N, 2): all animals are painted into one map a keypoint.
        points = labels.keypoints.transpose(1, 2)
        windows = KeypointWindows.around(points, self.grid, size, reach)
        painted = paint_maximum(windows.index().flatten(2), self.closeness(windows), size)
        weight = self._weights(labels, painted, blob)
        if LOCREF not in outputs:
            return painted, weight, {}
        windows = KeypointWindows.around(points, self.grid, size, self.locref_radius)
        within = (windows.squared_distance() <= self.locref_radius**2) & windows.inside()
        offsets = paint_nearest_offsets(windows, self.closeness(windows), within.flatten(2), painted)
        return painted, weight, {LOCREF: offsets}

    def _weights(self, labels: Labels, painted: Tensor, blob: float) -> Tensor:
        """1 in blobs and where the background is certain, else 0: (B, K, h, w) or (B, K, 1, 1) float32."""
        # An empty map then says that a keypoint is nowhere, labelled or not.
        known = (
            None
            if self.teaches_absent
            else mask_background(
                labels, lacking_keypoints(labels), self.grid, (painted.shape[-2], painted.shape[-1])
            )
        )
        if known is None:
            return painted.new_ones(*painted.shape[:2], 1, 1)
        return (known if known.shape[-2:] == (1, 1) else known | (painted >= blob)).float()


class GaussianTargets(_HeatmapTargets):
    """Heatmaps of Gaussian blobs exp(-d^2 / (2 sigma^2)), d the distance of a cell's centre to the keypoint.

    Several animals: the maximum of their blobs; location refinement points to the nearest one and has weight
    1 within ``locref_radius``. What is unlabelled: see :func:`pose_core.maps.mask_background`; the inner part
    of a blob (1.5 sigma) always counts. With ``missing: absent`` all of every map counts. Keypoints outside
    the image leave the part of their blob that reaches into it.
    """

    def __init__(self, config: GaussianConfig, context: BuildContext, grid: Grid) -> None:
        sigma = config.decided_sigma(grid.stride)
        super().__init__(config, context, grid, 1.5 * sigma)
        self.sigma = sigma

    def closeness(self, windows: KeypointWindows) -> Tensor:
        """The blobs themselves."""
        return windows.gaussian(self.sigma).flatten(2)

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``heatmap`` (B, K, h, w) and perhaps ``locref`` (B, 2 K, h, w), for their shapes.

        Returns:
            ``heatmap``: values in [0, 1]; ``locref``: pixels from the cell's centre to the keypoint.
        """
        # Offsets are compared with the painted blobs, which therefore have to reach as far.
        reach = max(GAUSSIAN_SUPPORT * self.sigma, self.locref_radius)
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

    def closeness(self, windows: KeypointWindows) -> Tensor:
        """From 1 at the keypoint down to 1/2 at the farthest cell that needs it."""
        squared = windows.squared_distance() / self.reach**2
        return torch.where(windows.inside() & (squared <= 1), 1 - squared / 2, 0.0).flatten(2)

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
