"""The loss of DEKR's offsets. That of its heatmaps is the squared error of pose-heatmap."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pose_core.interfaces import BuildContext, Loss
from pose_dekr.config import OffsetLossConfig


class OffsetLoss(Loss):
    """Smooth L1 of offsets in cells (Geng et al. 2021, section 3.4), mean weighted by 1 / sqrt(animal's area).

    The weights are those of the target generator: an offset of a large animal may err by more.
    """

    def __init__(self, config: OffsetLossConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.beta = config.beta

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: (B, 2 K, h, w) cells, of the head.
            target: same shape.
            weight: broadcastable to it, at least 0.

        Returns:
            scalar; 0 where all weights are.
        """
        weight = weight.to(target.dtype).expand_as(target)
        # An output that does not matter may be anything, infinite too, and infinity times 0 is NaN.
        output = output.float().masked_fill(weight == 0, 0.0)
        error = F.smooth_l1_loss(output, target, reduction="none", beta=self.beta)
        # Far below any weight: keeps an empty sum away from 0 / 0.
        return (error * weight).sum() / weight.sum().clamp(min=1e-12)
