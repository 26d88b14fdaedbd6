"""Losses with explicit weights. What has weight 0 has no influence; all weights 0 give 0."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from pose_core.interfaces import BuildContext, Loss
from pose_heatmap.config import (
    CrossEntropyConfig,
    HuberConfig,
    MapLossConfig,
    OhkmConfig,
    SmoothL1Config,
)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """sum(weight * values) / sum(weight), 0 where the weights are.

    Args:
        values: any shape, finite.
        weight: at least 0, of the same shape.
    """
    total = weight.sum()
    # Weights are 0 or 1 in practice; the smallest float keeps fractions right and an empty sum away from 0 /
    # 0.
    return (values * weight).sum() / total.clamp(min=1e-12)


class _Weighted(Loss):
    """Weighted mean of an error of each element."""

    @abstractmethod
    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Error of each element, same shape."""

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: of the head.
            target: same shape.
            weight: broadcastable to it, at least 0.

        Returns:
            scalar.
        """
        weight = weight.to(target.dtype).expand_as(target)
        # An output that does not matter may be anything, infinite too.
        error = self.error(output.float().masked_fill(weight == 0, 0.0), target)
        return weighted_mean(error, weight)


class _SummedOverMaps(_Weighted):
    """Weighted sum of the error over the cells of a map, mean over the maps.

    A blob is a few cells, however large the image is: so its part in the loss, and the loss beside that of
    other outputs, does not depend on the size of the image. What has weight 0 is left out of sum and mean.

    Attributes:
        foreground: weight of the centre of a blob (target 1) beside that of the background (target 0).
        unit: about what an empty map costs where there is a blob; the sum is divided by it, with
            ``foreground``.
    """

    unit: float

    def __init__(self, config: MapLossConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.foreground = config.foreground
        # A Gaussian's mean, weighted by its square, is 2/3.
        self.scale = 1 / (self.unit * (1 + (self.foreground - 1) * 2 / 3))

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: (..., h, w) of the head.
            target: same shape, in [0, 1].
            weight: broadcastable to it, at least 0.

        Returns:
            scalar.
        """
        weight = weight.to(target.dtype).expand_as(target)
        error = self.error(output.float().masked_fill(weight == 0, 0.0), target)
        if self.foreground != 1:
            error = error * (1 + (self.foreground - 1) * target)
        return weighted_mean(error, weight) * (target.shape[-2] * target.shape[-1] * self.scale)


class MseLoss(_SummedOverMaps):
    """Squared error."""

    # An empty map costs pi sigma^2 where there is a blob: about 7 with 1.5 cells.
    unit = 10.0

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """(output - target)^2."""
        return (output - target).square()


class BceLoss(_SummedOverMaps):
    """Binary cross-entropy of logits."""

    # The logarithm makes a missed blob much dearer than its squared error.
    unit = 100.0

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy in nats, less the minimum for this target, so that 0 is perfect."""
        # Soft targets have an entropy of their own, which no output can get below.
        entropy = -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))
        return F.binary_cross_entropy_with_logits(output, target, reduction="none") - entropy


class OhkmLoss(Loss):
    """Loss of the hardest keypoints of each image: online hard keypoint mining (Chen et al., Cascaded Pyramid
    Network, 2018).

    In a crop these are the hardest of its animal, in a whole frame those of all its animals, whose blobs share
    the maps. Keypoints of weight 0 are never among them. Of as many maps as count, or fewer, it is the loss that it
    is made of.
    """

    def __init__(self, config: OhkmConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.hardest = config.hardest
        kinds: dict[str, type[_SummedOverMaps]] = {"mse": MseLoss, "bce": BceLoss}
        self.mined = kinds[config.loss](config, context)

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: (b, k, h, w) of the head, a map for each keypoint.
            target: same shape, in [0, 1].
            weight: broadcastable to it, at least 0.

        Returns:
            scalar.
        """
        if output.dim() != 4:
            raise ValueError(f"takes maps (b, k, h, w), not {tuple(output.shape)}")
        weight = weight.to(target.dtype).expand_as(target)
        with torch.no_grad():
            # Of the maps and not their gradients: which ones are hard is no part of what is learned.
            error = self.mined.error(output.float().masked_fill(weight == 0, 0.0), target)
            total = weight.sum((2, 3))
            hardness = (error * weight).sum((2, 3)) / total.clamp(min=1e-12)
            hardness = hardness.masked_fill(total == 0, -1.0)
            chosen = hardness.topk(min(self.hardest, output.shape[1]), dim=1).indices
            kept = torch.zeros_like(hardness).scatter(1, chosen, 1.0)
        loss: Tensor = self.mined(output, target, weight * kept[:, :, None, None])
        return loss


class HuberLoss(_Weighted):
    """Huber loss (Huber 1964)."""

    def __init__(self, config: HuberConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.delta = config.delta

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """e^2 / 2 up to delta, then delta * (|e| - delta / 2)."""
        return F.huber_loss(output, target, reduction="none", delta=self.delta)


class SmoothL1Loss(_Weighted):
    """Smooth L1 loss (Girshick 2015): the Huber loss divided by beta."""

    def __init__(self, config: SmoothL1Config, context: BuildContext) -> None:
        super().__init__(config, context)
        self.beta = config.beta

    def error(self, output: Tensor, target: Tensor) -> Tensor:
        """e^2 / (2 beta) up to beta, then |e| - beta / 2."""
        # Unlike Huber's loss its slope beyond beta is 1 whatever beta is, so the weight need not change with
        # it.
        return F.smooth_l1_loss(output, target, reduction="none", beta=self.beta)


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits over the maps of a place, or the numbers of an image, averaged over those that
    count."""

    def __init__(self, config: CrossEntropyConfig, context: BuildContext) -> None:
        super().__init__(config, context)

    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Args:
            output: (B, N, h, w) or (B, N) logits.
            target: same shape, probabilities that add up to 1 over N.
            weight: broadcastable to (B, 1, h, w) or (B, 1), at least 0.

        Returns:
            scalar, nats a place; log N for maps that say nothing.
        """
        weight = weight.to(target.dtype).expand_as(target[:, :1])
        logits = output.float().masked_fill(weight == 0, 0.0)
        return weighted_mean(-(target * logits.log_softmax(1)).sum(1, keepdim=True), weight)
