"""Backbone: image -> feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

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
