"""Loss of distributions over bins."""

from __future__ import annotations

from torch import Tensor

from pose_core.interfaces import BuildContext, Loss
from pose_rtmpose.config import KlConfig

_NEVER = -1e4
"""Logit of a bin that does not count; finite, so that a distribution without any bin is no NaN."""


class KlLoss(Loss):
    """Kullback-Leibler divergence from output to target, in nats, mean over the distributions (SimCC, Li et
    al. 2022).

    Both are softmaxed with a factor beta, as in RTMPose (Jiang et al. 2023). A target, a Gaussian of height
    1, becomes a distribution about sigma / sqrt(beta) bins wide.
    """

    def __init__(self, config: KlConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.beta = config.beta

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: (..., bins) of the head.
            target: same shape.
            weight: broadcastable to it, at least 0. Bins of weight 0 are left out of the distributions.

        Returns:
            scalar, the mean over the distributions, weighted by the mean weights of their bins.
        """
        weight = weight.to(target.dtype).expand_as(target)
        # Left out of the softmax and not only of the sum: else they would still take probability.
        out = weight == 0
        predicted = (output.float() * self.beta).masked_fill(out, _NEVER).log_softmax(-1)
        wanted = (target.float() * self.beta).masked_fill(out, _NEVER).log_softmax(-1)
        divergence = (wanted.exp() * (wanted - predicted) * weight).sum()
        # Weights are 0 or 1 in practice; a tiny number keeps fractions right and an empty sum away from 0 /
        # 0.
        return divergence / weight.mean(-1).sum().clamp(min=1e-12)
