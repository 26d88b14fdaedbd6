"""SSDLite detector, with a loss that also learns from images without animals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.ops import box_iou

from pose_core.interfaces import Labels
from pose_torchvision.coco import MOBILENET
from pose_torchvision.config import SSDLiteConfig
from pose_torchvision.detector import TorchvisionDetector
from pose_torchvision.fixed_numbers import FixedSSDLite
from pose_torchvision.layers import BatchNorm, group_mobilenet_blocks
from pose_torchvision.pretrained import BackboneWeights
from pose_torchvision.transfer import convert_mobilenet_for_ssdlite

# Of torchvision's SSDLite, which COCO's weights were trained with.
_ASPECT_RATIOS = ((2, 3),) * 6
_NEGATIVES_EACH = 3


class SSDLite(TorchvisionDetector):
    """SSDLite (Liu et al., ECCV 2016; Sandler et al., CVPR 2018) on a MobileNetV3-Large (Howard et al., ICCV
    2019).

    The network is torchvision's, the loss is not: it handles the images of a batch together, and counts
    default boxes of the background in images without animals, from which torchvision's loss learns nothing.
    """

    config: SSDLiteConfig

    def build(self, num_classes: int) -> nn.Module:
        """Build torchvision's network with random weights."""
        model: nn.Module = detection.ssdlite320_mobilenet_v3_large(
            weights=None,
            weights_backbone=None,
            num_classes=num_classes,
            # torchvision's own values; given because the class replaces the norm layer that holds them.
            norm_layer=partial(BatchNorm, eps=0.001, momentum=0.03),
        )
        if self.config.anchor_scales is not None:
            model.anchor_generator = DefaultBoxGenerator(
                [list(r) for r in _ASPECT_RATIOS], scales=list(self.config.anchor_scales)
            )
        return model

    def limit_boxes(self, max_boxes: int) -> None:
        """Set threshold, overlap and number of the boxes that the network reports."""
        model = self.model
        model.score_thresh, model.nms_thresh, model.detections_per_img = (
            self.config.threshold,
            self.config.nms,
            max_boxes,
        )

    def backbone_groups(self) -> Sequence[nn.Module]:
        """Return stem, stages and last convolution of the MobileNet."""
        # torchvision splits the 14th block: SSD's first map is taken from the middle of it.
        first, second = (list(half.children()) for half in self.model.backbone.features)
        return group_mobilenet_blocks([*first[:13], nn.ModuleList([first[13], second[0]]), *second[1:]])

    def backbone_weights(self) -> BackboneWeights:
        """Return the ImageNet weights of the part of the backbone that they fit."""
        first, second = self.model.backbone.features
        convolution, attention, *_ = second[0].children()
        fitting = nn.ModuleList([first, nn.ModuleDict({"1": convolution, "2": attention})])
        return BackboneWeights(fitting, MOBILENET, convert_mobilenet_for_ssdlite)

    def make_exportable(self) -> nn.Module:
        """Make its form with a fixed number of boxes."""
        return FixedSSDLite(self).eval()

    def loss(self, images: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].
            labels: of the batch; ``boxes`` are the targets, an image may have none.

        Returns:
            ``boxes``: smooth L1 of the encoded boxes, a mean over the matched default boxes; and
            ``classification``: cross-entropy of these and of the hardest of the others, four times their
            mean, which equals SSD's sum divided by the number of matched boxes where these are a quarter of
            all that count. Scalars.
        """
        self.check_training()
        edges, valid = self.make_targets(images, labels)
        batch, _ = self.model.transform(self.prepare_images(images))
        (height, width), (seen_height, seen_width) = images.shape[2:], batch.image_sizes[0]
        # torchvision's transform may have resized the images; boxes follow.
        edges = edges * edges.new_tensor([seen_width / width, seen_height / height]).repeat(2)

        features = list(self.model.backbone(batch.tensors).values())
        outputs: dict[str, Tensor] = self.model.head(features)
        # In the precision of the features, which may be half, default boxes would be off by pixels.
        anchors: Tensor = self.model.anchor_generator(batch, [f.detach().float() for f in features])[0]
        matched = match_boxes(anchors, edges, valid, self.config.match_iou)
        positive = matched >= 0
        image, anchor = positive.nonzero(as_tuple=True)
        encoded = encode_boxes(edges[image, matched[image, anchor]], anchors[anchor])
        boxes = functional.smooth_l1_loss(outputs["bbox_regression"][image, anchor], encoded, reduction="sum")
        entropy = functional.cross_entropy(
            outputs["cls_logits"].flatten(0, 1), positive.flatten().long(), reduction="none"
        ).view_as(positive)
        counted = positive | select_hardest(entropy.detach(), positive, self.config.negatives)
        return {
            "boxes": boxes / positive.sum().clamp(min=1),
            "classification": (1 + _NEGATIVES_EACH) * (entropy * counted).sum() / counted.sum(),
        }


def match_boxes(anchors: Tensor, boxes: Tensor, valid: Tensor, iou: float) -> Tensor:
    """Match each default box with a labelled box.

    A default box that overlaps boxes by at least ``iou`` gets the one it overlaps most; and the default box
    that overlaps a box most gets that box, whatever the overlap, so that every animal is matched.

    Args:
        anchors: (A, 4) default boxes.
        boxes: (B, N, 4).
        valid: (B, N) bool, True for rows that are boxes.
        iou: smallest intersection over union.

    Returns:
        (B, A) int64 index into N, -1 for none.
    """
    size = (*valid.shape, len(anchors))
    # The maximum over no boxes is an error.
    if not boxes.numel():
        return torch.full((size[0], size[2]), -1, dtype=torch.int64, device=boxes.device)
    overlap = box_iou(boxes.reshape(-1, 4), anchors).reshape(size).masked_fill(~valid[..., None], -1.0)
    best, index = overlap.max(dim=1)
    matched = torch.where(best >= iou, index, -1)
    nearest = functional.one_hot(overlap.argmax(dim=2), size[2]).bool() & valid[..., None]
    # Where two boxes have the same nearest default box, the one it overlaps more gets it.
    closest = overlap.masked_fill(~nearest, -1.0).argmax(dim=1)
    return torch.where(nearest.any(dim=1), closest, matched)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Encode boxes relative to default boxes, as torchvision's ``BoxCoder`` decodes them.

    The centre is in units of the default box's size, the size a logarithm; both are weighted by 10, 10, 5, 5.

    Args:
        boxes, anchors: (M, 4) ``x1, y1, x2, y2``.

    Returns:
        (M, 4).
    """
    size, anchor_size = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    offset = (boxes[:, :2] + boxes[:, 2:] - anchors[:, :2] - anchors[:, 2:]) / 2
    return torch.cat([10 * offset / anchor_size, 5 * (size / anchor_size).log()], dim=1)


def select_hardest(entropy: Tensor, positive: Tensor, minimum: int) -> Tensor:
    """Select the background boxes with the highest cross-entropy (hard negative mining).

    Args:
        entropy: (B, A) cross-entropy.
        positive: (B, A) bool, False for the background.
        minimum: smallest number to select in each image.

    Returns:
        (B, A) bool: in each image three times as many as are positive, at least ``minimum``.
    """
    wanted = (_NEGATIVES_EACH * positive.sum(dim=1, keepdim=True)).clamp(min=minimum)
    order = entropy.masked_fill(positive, -torch.inf).argsort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return (rank < wanted) & ~positive
