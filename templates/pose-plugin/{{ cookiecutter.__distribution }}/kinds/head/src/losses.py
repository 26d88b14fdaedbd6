"""The loss."""

from __future__ import annotations

from pose_core.interfaces import BuildContext, Loss
from torch import Tensor
from torch.nn.functional import huber_loss

from {{ cookiecutter.__package }}.config import HuberConfig


class HuberLoss(Loss):
    """Mean of the Huber loss over what counts (Huber 1964)."""

    def __init__(self, config: HuberConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.delta = config.delta

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: of the head.
            target: same shape.
            weight: broadcastable to it; what has weight 0 never contributes.

        Returns:
            scalar; 0 where all weights are 0.
        """
        weight = weight.expand_as(target)
        # What does not count may be anything, infinite too.
        error = huber_loss(output.float().masked_fill(weight == 0, 0.0), target, reduction="none", delta=self.delta)
        return (error * weight).sum() / weight.sum().clamp(min=1e-12)
