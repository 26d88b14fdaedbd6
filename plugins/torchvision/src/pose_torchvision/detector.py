"""Wrap torchvision's networks as detectors; the part they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import nms

from pose_core.interfaces import BuildContext, Detector, Labels
from pose_torchvision.boxes import pad_boxes, to_edges
from pose_torchvision.coco import CLASSES, NUM_CLASSES
from pose_torchvision.config import TorchvisionConfig
from pose_torchvision.layers import MEAN, STD, NormalizeOnly, replace_norms
from pose_torchvision.pretrained import BackboneWeights, start_from_pretrained

# With a class filter the network reports boxes of all
# classes; the limit applies to those that the filter leaves.
_ALL = 10_000


class TorchvisionDetector(Detector):
    """A detector of torchvision, with its parameters under ``model``.

    It is built without weights, and never downloads; pretrained ones are loaded where the context asks for
    them.

    Raises:
        PoseError: the pretrained weights that the config requires are not available, or are damaged.
    """

    def __init__(self, config: TorchvisionConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.config = config
        self.classes = tuple(CLASSES[name] for name in config.classes)
        # Its parts are torchvision's; nn.Module types them as tensors.
        self.model = cast(Any, self.build(NUM_CLASSES if self.classes else 2))
        replace_norms(self.model)
        # The core has already resized and padded; torchvision's transform would do both again.
        if config.resize == "core":
            self.model.transform = NormalizeOnly(
                self.model.transform.image_mean, self.model.transform.image_std
            )
        self.twice = NormalizeOnly(MEAN, STD) if config.normalize == "twice" else None
        self.shift = 0.5 if config.half_pixel else 0.0
        self.limit_boxes(_ALL if self.classes else config.max_boxes)
        if context.pretrained and config.pretrained:
            start_from_pretrained(self.model, config, self.backbone_weights())
        if config.trainable_layers is not None:
            groups = self.backbone_groups()
            for layer in groups[: len(groups) - config.trainable_layers]:
                layer.requires_grad_(False)
        if config.freeze_bn is True:
            for norm in self._norms():
                norm.requires_grad_(False)
        self.train()

    @abstractmethod
    def build(self, num_classes: int) -> nn.Module:
        """Build torchvision's network with random weights.

        Args:
            num_classes: number of classes, including the background.
        """

    @abstractmethod
    def limit_boxes(self, max_boxes: int) -> None:
        """Set threshold, overlap and number of the boxes that the network reports."""

    @abstractmethod
    def backbone_groups(self) -> Sequence[nn.Module]:
        """Return the groups of layers that ``trainable_layers`` counts, from first to last."""

    @abstractmethod
    def backbone_weights(self) -> BackboneWeights:
        """Return the ImageNet weights of the backbone."""

    def train(self, mode: bool = True) -> TorchvisionDetector:
        """Set training mode; batch norms with frozen statistics stay in evaluation mode."""
        super().train(mode)
        if self.config.freeze_bn:
            for norm in self._norms():
                norm.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].

        Returns:
            boxes (B, M, 4) ``x1, y1, x2, y2`` in pixels of the images, NaN beyond the last, and scores (B, M)
            in [0, 1], 0 beyond the last; the highest-scoring first.

        Raises:
            RuntimeError: the detector is in training mode, in which torchvision computes losses only.
        """
        if self.training:
            raise RuntimeError("a detector finds boxes in evaluation mode; call eval() first")
        found = self.model(self.prepare_images(images))
        if self.classes:
            found = [self._select_classes(one) for one in found]
        return pad_boxes([one["boxes"] for one in found], [one["scores"] for one in found], self.shift)

    def prepare_images(self, images: Tensor) -> Tensor | list[Tensor]:
        """Prepare images (B, 3, H, W) in [0, 1] for torchvision's network.

        Returns:
            one tensor for :class:`NormalizeOnly`; a list for torchvision's own transform, which resizes each
            image.
        """
        if self.twice is not None:
            images = self.twice(images)[0].tensors
        return images if self.config.resize == "core" else list(images)

    def make_targets(self, images: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
        """Convert labelled boxes to edge coordinates: (B, N, 4), and (B, N) bool, True for boxes."""
        boxes = labels.boxes.to(images.device)
        return to_edges(boxes, images.shape[2], images.shape[3], self.shift)

    def check_training(self) -> None:
        """Refuse to compute a loss in evaluation mode or for COCO's classes.

        Raises:
            RuntimeError: the detector is in evaluation mode or has COCO's classes.
        """
        if self.classes:
            raise RuntimeError("a detector of COCO classes is not trained and has no loss; leave out classes")
        if not self.training:
            raise RuntimeError("a detector computes its loss in training mode; call train() first")

    def _norms(self) -> list[nn.Module]:
        # Looked up anew each time: on several GPUs they are replaced by synchronised ones after construction.
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def _select_classes(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Select the boxes of the chosen classes; an animal found as two of them is reported once."""
        # torchvision suppresses overlapping boxes only within a class.
        wanted = torch.isin(found["labels"], torch.tensor(self.classes, device=found["labels"].device))
        boxes, scores = found["boxes"][wanted], found["scores"][wanted]
        best = nms(boxes, scores, self.config.nms)[: self.config.max_boxes]
        return {"boxes": boxes[best], "scores": scores[best]}
