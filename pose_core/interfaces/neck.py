"""Neck: feature maps -> feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pose_core.interfaces.context import BuildContext
from pose_core.interfaces.keypoints import KeypointAxis
from pose_core.specs import NeckConfig


class Neck(nn.Module, ABC):
    """Feature maps -> one for each entry of ``config.features(incoming)``; ``context.features`` are the
    incoming."""

    def __init__(self, config: NeckConfig, context: BuildContext) -> None:
        super().__init__()

    def keypoint_axes(self) -> Mapping[str, Sequence[KeypointAxis]]:
        """As of a head, see :meth:`pose_core.interfaces.Head.keypoint_axes`."""
        return {}

    @abstractmethod
    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Args:
            features: feature maps (B, C, h, w) as declared by the backbone.

        Returns:
            feature maps as the config declares.
        """
