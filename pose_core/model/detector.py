"""Run a detector: bytes in, boxes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Detector, Labels
from pose_core.model.network import FoundWeights, Network, load_exactly, match_part, refuse_aliases
from pose_core.specs import DetectorConfig
from pose_core.structures import Skeleton

ComputeBoxes = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Computes boxes and scores of images (B, 3, H, W) float32 RGB in [0, 1], as a detector's ``forward``."""


class DetectorModel(Network):
    """A detector; its parameters are under ``network``.

    Attributes:
        config: of the detector.
        size_multiple: sides of the images are multiples of it.
        compute: what finds the boxes in :meth:`predict` in the place of the network; None: nothing does.
    """

    trains = "boxes"

    def __init__(self, config: DetectorConfig, skeleton: Skeleton, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.size_multiple = config.size_multiple()
        context = BuildContext(skeleton=skeleton, input_size=config.size, pretrained=pretrained)
        self.network = context.build("detector", config)
        self.compute: ComputeBoxes | None = None

    @property
    def device(self) -> torch.device:
        """Device of the parameters; the CPU where there are none."""
        return next((each.device for each in chain(self.parameters(), self.buffers())), torch.device("cpu"))

    def parts(self) -> Mapping[str, nn.Module]:
        """Parts that weights may be made for: the whole and the detector."""
        # A plugin names the parameters of its detector without the ``network`` in front of them.
        return {"model": self, "detector": self.network}

    def take_over(
        self, found: FoundWeights, metadata: Mapping[str, str], aliases: Mapping[str, str]
    ) -> list[str]:
        """Load weights of the whole network; every name and shape must agree."""
        refuse_aliases(aliases, "the weights of a detector have no keypoints")
        parts = self.parts()
        part, state = match_part(parts, found)
        load_exactly(parts[part], state, found.origin)
        return []

    def losses(self, images: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Compute the weighted losses by name, scalars to be added up.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            labels: in pixels of ``images``; ``boxes`` are the targets.
        """
        return cast(Detector, self.network).loss(_floats(images), labels)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes in pixels of ``images``, highest scores first.

        Args:
            images: (B, 3, H, W) uint8 RGB on the detector's device; sides multiples of ``size_multiple``.

        Returns:
            boxes (B, M, 4) float32, NaN beyond the last, and scores (B, M), 0 beyond the last.
        """
        boxes, scores = (self.compute or self.network)(_floats(images))
        return boxes, scores


def _floats(images: Tensor) -> Tensor:
    # Only to [0, 1]: a detector normalises by itself, as each architecture has statistics of its own.
    return images.to(torch.float32).div_(255.0).contiguous(memory_format=torch.channels_last)
