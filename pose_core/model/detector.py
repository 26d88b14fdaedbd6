"""Run a detector: bytes in, boxes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pose_core.interfaces import BuildContext, Detector, Labels
from pose_core.model.microbatches import split_batch
from pose_core.model.network import FoundWeights, Network, load_exactly, match_part, refuse_aliases
from pose_core.model.normalise import normalise
from pose_core.specs import DetectorConfig
from pose_core.structures import Skeleton

ComputeBoxes = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Computes boxes and scores of images (B, 3, H, W) uint8 RGB, as :meth:`DetectorModel.predict`."""


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
        return cast(Detector, self.network).loss(self.normalise(images), labels)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes in pixels of ``images``, highest scores first.

        Args:
            images: (B, 3, H, W) uint8 RGB on the detector's device; sides multiples of ``size_multiple``.

        Returns:
            boxes (B, M, 4) float32, NaN beyond the last, and scores (B, M), 0 beyond the last.
        """
        find = self.compute or self.find_by_pytorch
        return find(images)

    def find_by_pytorch(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes by the network itself, on a CPU in a few images at a time; a :data:`ComputeBoxes`."""
        found: list[tuple[Tensor, Tensor]] = [
            self.network(self.normalise(images[rows])) for rows in split_batch(images)
        ]
        if len(found) == 1:
            return found[0]
        most = max(scores.shape[1] for _, scores in found)
        boxes = [pad(each, (0, 0, 0, most - each.shape[1]), value=torch.nan) for each, _ in found]
        scores = [pad(each, (0, most - each.shape[1])) for _, each in found]
        return torch.cat(boxes), torch.cat(scores)

    def normalise(self, images: Tensor, *, channels_last: bool = True) -> Tensor:
        """Turn bytes into floats in [0, 1]; architectures have statistics of their own, and use them by themselves.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            channels_last: as of :meth:`pose_core.model.assemble.PoseModel.normalise`.

        Returns:
            (B, 3, H, W) float32.
        """
        black, white = (torch.full((1, 3, 1, 1), level, device=images.device) for level in (0.0, 255.0))
        return normalise(images, black, white, channels_last=channels_last)
