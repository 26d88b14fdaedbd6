"""What the detectors have in common: torchvision's network between the core's images, labels and boxes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import nms

from pose_core.interfaces import BuildContext, Detector, Labels
from pose_torchvision.boxes import padded, to_edges
from pose_torchvision.coco import CLASSES, NUM_CLASSES
from pose_torchvision.config import TorchvisionConfig
from pose_torchvision.layers import MEAN, STD, Normalised, replace_norms
from pose_torchvision.pretrained import BackboneWeights, start_from_pretrained

# With a class filter the network reports all it sees; the limit is applied to what the filter leaves.
_ALL = 10_000


class TorchvisionDetector(Detector):
    """A detector of torchvision; its parameters are under ``model``, as torchvision names them.

    It is built without weights, never downloading; pretrained ones are loaded where the context asks for them.

    Raises:
        PoseError: the pretrained weights that the config insists on cannot be had, or are damaged.
    """

    def __init__(self, config: TorchvisionConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.config = config
        self.classes = tuple(CLASSES[name] for name in config.classes)
        # Its parts are torchvision's; nn.Module types them as tensors.
        self.model: Any = self.build(NUM_CLASSES if self.classes else 2)
        replace_norms(self.model)
        if config.resize == "core":
            self.model.transform = Normalised(self.model.transform.image_mean, self.model.transform.image_std)
        self.twice = Normalised(MEAN, STD) if config.normalize == "twice" else None
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
    def build(self, num_classes: int) -> Any:
        """torchvision's network with random weights, for so many classes (background included)."""

    @abstractmethod
    def limit_boxes(self, most: int) -> None:
        """Set threshold, overlap and number of the boxes that the network reports."""

    @abstractmethod
    def backbone_groups(self) -> Sequence[nn.Module]:
        """The groups of layers that ``trainable_layers`` counts, from first to last."""

    @abstractmethod
    def backbone_weights(self) -> BackboneWeights:
        """ImageNet weights of the backbone."""

    def train(self, mode: bool = True) -> TorchvisionDetector:
        """Training mode; batch norms with frozen statistics stay in evaluation mode."""
        super().train(mode)
        if self.config.freeze_bn:
            for norm in self._norms():
                norm.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].

        Returns:
            boxes (B, M, 4) ``x1, y1, x2, y2`` in pixels of the images, NaN beyond the last, and scores (B, M) in
            [0, 1], 0 beyond the last; best first.

        Raises:
            RuntimeError: the detector is in training mode, in which torchvision computes losses only.
        """
        if self.training:
            raise RuntimeError("a detector finds boxes in evaluation mode; call eval() first")
        found = self.model(self.arriving(images))
        if self.classes:
            found = [self._of_classes(one) for one in found]
        return padded([one["boxes"] for one in found], [one["scores"] for one in found], self.shift)

    def arriving(self, images: Tensor) -> Any:
        """(B, 3, H, W) in [0, 1] -> what torchvision's network, or its transform, takes."""
        if self.twice is not None:
            images = self.twice(images)[0].tensors
        return images if self.config.resize == "core" else list(images)

    def targets(self, images: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
        """Boxes (B, N, 4) in edge coordinates of the images, and (B, N) bool: which rows are boxes."""
        boxes = labels.boxes.to(images.device)
        return to_edges(boxes, images.shape[2], images.shape[3], self.shift)

    def check_training(self) -> None:
        """Refuse to compute a loss where it makes no sense.

        Raises:
            RuntimeError: the detector is in evaluation mode or has COCO's classes.
        """
        if self.classes:
            raise RuntimeError("a detector of COCO classes is used as it is and has no loss; leave out classes")
        if not self.training:
            raise RuntimeError("a detector computes its loss in training mode; call train() first")

    def _norms(self) -> list[nn.Module]:
        # Looked up anew each time: on several GPUs they are replaced by synchronised ones after construction.
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def _of_classes(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The boxes of the chosen classes; an animal found as two of them is reported once."""
        wanted = torch.isin(found["labels"], torch.tensor(self.classes, device=found["labels"].device))
        boxes, scores = found["boxes"][wanted], found["scores"][wanted]
        best = nms(boxes, scores, self.config.nms)[: self.config.max_boxes]
        return {"boxes": boxes[best], "scores": scores[best]}
