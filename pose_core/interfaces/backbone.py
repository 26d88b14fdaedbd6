"""Backbone: image -> feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pose_core.interfaces.context import BuildContext
from pose_core.interfaces.keypoints import KeypointAxis
from pose_core.specs import BackboneConfig


class Backbone(nn.Module, ABC):
    """Image -> one feature map for each entry of ``config.features()``.

    A backbone that needs more than the image declares the names in ``config.extra_inputs()`` and takes them by
    keyword.
    """

    def __init__(self, config: BackboneConfig, context: BuildContext) -> None:
        super().__init__()
        self._frozen_norms = False

    def freeze_norms(self, frozen: Literal["statistics"] | bool) -> None:
        """Keep the batch norms as they are; to be called when all layers are made.

        Args:
            frozen: True: statistics and parameters; ``"statistics"``: the statistics only; False: nothing is kept.
        """
        self._frozen_norms = bool(frozen)
        for norm in self._batch_norms() if frozen else ():
            norm.eval()
            if frozen is True:
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode; batch norms with frozen statistics stay in evaluation mode."""
        super().train(mode)
        if self._frozen_norms:
            for norm in self._batch_norms():
                norm.eval()
        return self

    def _batch_norms(self) -> list[nn.Module]:
        # Looked up anew each time: on several GPUs they are replaced by synchronised ones after construction.
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def keypoint_axes(self) -> Mapping[str, Sequence[KeypointAxis]]:
        """As of a head, see :meth:`pose_core.interfaces.Head.keypoint_axes`; for a backbone that takes keypoints in."""
        return {}

    @abstractmethod
    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, normalised; H and W multiples of ``config.size_multiple()``.
            extra: the declared extra inputs.

        Returns:
            feature maps (B, C, h, w) in the order, channels and strides of ``config.features()``.
        """
