"""Faster R-CNN detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import detection

from pose_core.interfaces import Labels
from pose_torchvision.coco import MOBILENET, RESNET50
from pose_torchvision.detector import TorchvisionDetector
from pose_torchvision.fixed_numbers import FixedFasterRCNN
from pose_torchvision.layers import group_mobilenet_blocks
from pose_torchvision.pretrained import BackboneWeights
from pose_torchvision.transfer import convert_fasterrcnn_body


class _FasterRCNN(TorchvisionDetector):
    """torchvision's Faster R-CNN (Ren et al., NeurIPS 2015) with FPN (Lin et al., CVPR 2017)."""

    builder: ClassVar[Callable[..., nn.Module]]

    def build(self, num_classes: int) -> nn.Module:
        """Build torchvision's network with random weights."""
        # Without weights_backbone=None torchvision would download those of the backbone.
        return type(self).builder(weights=None, weights_backbone=None, num_classes=num_classes)

    def limit_boxes(self, max_boxes: int) -> None:
        """Set threshold, overlap and number of the boxes that the network reports."""
        heads = self.model.roi_heads
        heads.score_thresh, heads.nms_thresh, heads.detections_per_img = (
            self.config.threshold,
            self.config.nms,
            max_boxes,
        )

    def make_exportable(self) -> nn.Module | None:
        """Make its form with a fixed number of boxes; None where torchvision resizes, by factors of each image."""
        return FixedFasterRCNN(self).eval() if self.config.resize == "core" else None

    def describe_extra_work(self) -> str:
        """Name the proposals that PyTorch drops and the form does not."""
        # Ten times as long: MobileNet, images of 320 x 320, random weights, one core.
        count = self.model.rpn.post_nms_top_n()
        return (
            f"sends {count} proposals through its second stage, also those that PyTorch drops, which may take ten "
            "times as long"
        )

    def loss(self, images: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].
            labels: of the batch; ``boxes`` are the targets, an image may have none.

        Returns:
            the losses of proposals (``objectness``, ``proposal_boxes``) and of the boxes refined from them
            (``classification``, ``boxes``), scalars.
        """
        self.check_training()
        edges, valid = self.make_targets(images, labels)
        # Class 0 is the background, the project's animal is class 1.
        ones = torch.ones(valid.shape, dtype=torch.int64, device=valid.device)
        targets = [{"boxes": b[v], "labels": o[v]} for b, v, o in zip(edges, valid, ones, strict=True)]
        losses = self.model(self.prepare_images(images), targets)
        return {
            "objectness": losses["loss_objectness"],
            "proposal_boxes": losses["loss_rpn_box_reg"],
            "classification": losses["loss_classifier"],
            "boxes": losses["loss_box_reg"],
        }


class FasterRCNNMobileNet(_FasterRCNN):
    """Faster R-CNN on a MobileNetV3-Large (Howard et al., ICCV 2019)."""

    builder = staticmethod(detection.fasterrcnn_mobilenet_v3_large_fpn)

    def backbone_groups(self) -> Sequence[nn.Module]:
        """Return stem, stages and last convolution."""
        return group_mobilenet_blocks(list(self.model.backbone.body.children()))

    def backbone_weights(self) -> BackboneWeights:
        """Return the ImageNet weights of the backbone."""
        return BackboneWeights(self.model.backbone.body, MOBILENET, convert_fasterrcnn_body)


class FasterRCNNResNet50(_FasterRCNN):
    """Faster R-CNN on a ResNet-50, as in Li et al. ("Benchmarking detection transfer learning", 2021)."""

    builder = staticmethod(detection.fasterrcnn_resnet50_fpn_v2)

    def backbone_groups(self) -> Sequence[nn.Module]:
        """Return the stem and the four stages."""
        body = self.model.backbone.body
        return [nn.ModuleList([body.conv1, body.bn1]), body.layer1, body.layer2, body.layer3, body.layer4]

    def backbone_weights(self) -> BackboneWeights:
        """Return the ImageNet weights of the backbone."""
        return BackboneWeights(self.model.backbone.body, RESNET50, convert_fasterrcnn_body)
