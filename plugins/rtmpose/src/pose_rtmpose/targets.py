"""Labels -> what the outputs of a SimCC head should be."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_rtmpose.config import AXES, SimccTargetConfig, by_axis, default_sigma

_EDGE = 1e-3
"""Pixels by which rounding may put a label on the edge of the image outside of it."""


class SimccTargets(TargetGenerator):
    """Gaussians of height 1 over the bins of each axis (SimCC, Li et al. 2022, with the widths of RTMPose).

    Of several animals the first counts: in crops the crop's own. Keypoints that are unlabelled or outside
    the image have weight 0 on both axes.
    """

    def __init__(self, config: SimccTargetConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.sigma = None if config.sigma is None else by_axis(config.sigma)
        self.rounded = config.rounded

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``x`` and ``y``, (B, K, bins), for their shapes.

        Returns:
            ``x`` and ``y``: values (B, K, bins) in [0, 1], weights (B, K, 1), 0 or 1.
        """
        points = _first_animal(labels.keypoints)
        sizes = torch.tensor(
            [outputs[axis].shape[-1] * self.grid.stride for axis in AXES], device=points.device
        )
        inside = ((points >= -0.5 - _EDGE) & (points <= sizes - 0.5 + _EDGE)).all(-1)
        # NaN times weight 0 would still be NaN in the loss.
        bins = self.grid.to_cells(torch.where(inside[..., None], points, 0.0))
        if self.rounded:
            bins = bins.round()
        weight = inside.float()[..., None]
        return {
            axis: Target(self._gaussian(axis, bins[..., i, None], outputs[axis].shape[-1]), weight)
            for i, axis in enumerate(AXES)
        }

    def _gaussian(self, axis: str, centre: Tensor, count: int) -> Tensor:
        """exp(-d^2 / (2 sigma^2)) with d the distance to the centre (B, K, 1) in bins: (B, K, count)."""
        sigma = default_sigma(count * self.grid.stride, 1 / self.grid.stride)
        if self.sigma is not None:
            sigma = self.sigma[axis]
        away = torch.arange(count, dtype=centre.dtype, device=centre.device) - centre
        return torch.exp(away.square() * (-0.5 / sigma**2))


def _first_animal(keypoints: Tensor) -> Tensor:
    """(B, N, K, 2) -> (B, K, 2), NaN where N is 0."""
    if keypoints.shape[1] == 0:
        return keypoints.new_full((keypoints.shape[0], *keypoints.shape[2:]), torch.nan)
    return keypoints[:, 0]
