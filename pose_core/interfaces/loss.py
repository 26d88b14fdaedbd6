"""Loss: output, target, weight -> a number."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from pose_core.interfaces.context import BuildContext
from pose_core.specs import LossConfig


class Loss(nn.Module, ABC):
    """Compares one output with its target. The core multiplies by ``config.weight`` and adds up all
    losses."""

    def __init__(self, config: LossConfig, context: BuildContext) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: of the head.
            target: same shape.
            weight: broadcastable to the target; what has weight 0 never contributes. A batch whose weights
                are all 0 gives 0, not NaN.

        Returns:
            a scalar, normalised so that it does not grow with the size of the batch.
        """
