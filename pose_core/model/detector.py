"""A detector as the core uses it: bytes in, boxes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Detector, Labels
from pose_core.model.network import FoundWeights, Network, load_exactly, match_part, refuse_aliases
from pose_core.specs import DetectorConfig
from pose_core.structures import Skeleton


class DetectorModel(Network):
    """A detector; its parameters are under ``network``.

    Attributes:
        config: of the detector.
        size_multiple: sides of the images are multiples of it.
    """

    trains = "boxes"

    def __init__(self, config: DetectorConfig, skeleton: Skeleton, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.size_multiple = config.size_multiple()
        context = BuildContext(skeleton=skeleton, input_size=config.size, pretrained=pretrained)
        self.network = context.build("detector", config)

    def parts(self) -> Mapping[str, nn.Module]:
        """The whole, and the detector as its plugin knows it."""
        return {"model": self, "detector": self.network}

    def take_over(
        self, found: FoundWeights, metadata: Mapping[str, str], aliases: Mapping[str, str]
    ) -> list[str]:
        """Weights of the whole network, which must agree in every name and shape."""
        refuse_aliases(aliases, "the weights of a detector have no keypoints")
        parts = self.parts()
        part, state = match_part(parts, found)
        load_exactly(parts[part], state, found.origin)
        return []

    def losses(self, images: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Weighted losses by name, scalars whose sum is minimised.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            labels: in pixels of ``images``; ``boxes`` are the targets.
        """
        return cast(Detector, self.network).loss(_floats(images), labels)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes in pixels of ``images``, best first.

        Args:
            images: (B, 3, H, W) uint8 RGB on the detector's device; sides multiples of ``size_multiple``.

        Returns:
            boxes (B, M, 4) float32, NaN beyond the last, and scores (B, M), 0 beyond the last.
        """
        boxes, scores = self.network(_floats(images))
        return boxes, scores


def _floats(images: Tensor) -> Tensor:
    return images.to(torch.float32).div_(255.0).contiguous(memory_format=torch.channels_last)
