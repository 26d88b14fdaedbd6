"""The detectors with fixed numbers of boxes, as runtimes compute them and files hold them.

torchvision chooses boxes image by image, as many as pass its thresholds, which no exporter can follow. Here all
images go through the same steps together: of fixed numbers of candidates those that are none get the score 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import nms, roi_align

from pose_torchvision.detector import TorchvisionDetector
from pose_torchvision.layers import NormalizeOnly

_ROW = 16
"""Groups in a row where non-maximum suppression sets them apart: float32 is exact to 0.001 px then."""

_SMALLEST_PROPOSAL, _SMALLEST_BOX = 1e-3, 1e-2
"""Sides in pixels below which torchvision drops proposals and boxes of Faster R-CNN."""


class _Fixed(nn.Module):
    """What both share.

    Args:
        detector: whose parts it uses.
    """

    def __init__(self, detector: TorchvisionDetector) -> None:
        super().__init__()
        self.detector = detector
        self.seen = _Seen(detector)


class FixedSSDLite(_Fixed):
    """SSDLite: images in, a fixed number of boxes out."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes; see :meth:`~pose_core.interfaces.Detector.make_exportable`."""
        model: Any = self.detector.model
        seen = self.seen(images)
        features = list(model.backbone(seen).values())
        outputs = model.head(features)
        height, width = seen.shape[2:]
        anchors = model.anchor_generator(ImageList(seen, [(height, width)]), features)[0]
        codes = outputs["bbox_regression"]
        number, count = codes.shape[:2]
        repeated = anchors[None].expand(number, -1, -1).reshape(-1, 4)
        boxes = model.box_coder.decode_single(codes.reshape(-1, 4), repeated).reshape(number, count, 4)
        boxes = _clip(boxes, height, width)
        scores = outputs["cls_logits"].softmax(-1)[..., _list_classes(self.detector)].transpose(1, 2)
        scores, best = scores.topk(min(model.topk_candidates, count), dim=2)
        boxes = boxes[:, None].expand(-1, scores.shape[1], -1, -1)
        boxes = boxes.gather(2, best[..., None].expand(-1, -1, -1, 4))
        boxes, scores = choose_boxes(boxes, scores, self.detector, height, width)
        return _to_labels(boxes * self.seen.find_way_back(images, seen), scores, self.detector.shift)


class FixedFasterRCNN(_Fixed):
    """Faster R-CNN: images in, a fixed number of boxes out.

    A fixed number of proposals goes through its second stage, those that were suppressed as well, and each is cut
    out of all maps, of which the one that fits its size counts. Images have the size that the core gives them.
    """

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes; see :meth:`~pose_core.interfaces.Detector.make_exportable`."""
        model: Any = self.detector.model
        seen = self.seen(images)
        height, width = seen.shape[2:]
        named = model.backbone(seen)
        proposals, there = self._propose(seen, list(named.values()))
        heads = model.roi_heads
        pooled = self._pool(named, proposals, height)
        logits, codes = heads.box_predictor(heads.box_head(pooled))
        number, count = proposals.shape[:2]
        classes = _list_classes(self.detector)
        boxes = heads.box_coder.decode_single(codes, proposals.reshape(-1, 4))
        boxes = boxes.reshape(number, count, -1, 4)[:, :, classes].transpose(1, 2)
        boxes = _clip(boxes, height, width)
        scores = logits.softmax(-1).reshape(number, count, -1)[..., classes].transpose(1, 2)
        scores = torch.where(there[:, None] & _are_large(boxes, _SMALLEST_BOX), scores, 0.0)
        boxes, scores = choose_boxes(boxes, scores, self.detector, height, width)
        return _to_labels(boxes, scores, self.detector.shift)

    def _propose(self, seen: Tensor, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Propose boxes (B, P, 4) by the first stage, and tell which are none (B, P)."""
        model: Any = self.detector.model
        rpn = model.rpn
        height, width = seen.shape[2:]
        anchors = rpn.anchor_generator(ImageList(seen, [(height, width)]), maps)[0]
        boxes, scores, first = [], [], 0
        for objectness, codes in zip(*rpn.head(maps), strict=True):
            number, each, high, wide = objectness.shape
            count = each * high * wide
            level = anchors[first : first + count]
            first += count
            flat = objectness.permute(0, 2, 3, 1).reshape(number, count)
            codes = (
                codes.reshape(number, each, 4, high, wide).permute(0, 3, 4, 1, 2).reshape(number, count, 4)
            )
            flat, best = flat.topk(min(rpn.pre_nms_top_n(), count), dim=1)
            codes = codes.gather(1, best[..., None].expand(-1, -1, 4)).reshape(-1, 4)
            found = rpn.box_coder.decode_single(codes, level[best].reshape(-1, 4)).reshape(*flat.shape, 4)
            found = _clip(found, height, width)
            likely = torch.where(_are_large(found, _SMALLEST_PROPOSAL), flat.sigmoid(), 0.0)
            scores.append(suppress(found, likely, rpn.nms_thresh, height, width))
            boxes.append(found)
        joined, ranked = torch.cat(boxes, 1), torch.cat(scores, 1)
        ranked, best = ranked.topk(min(rpn.post_nms_top_n(), ranked.shape[1]), dim=1)
        return joined.gather(1, best[..., None].expand(-1, -1, 4)), ranked > 0

    def _pool(self, named: dict[str, Tensor], proposals: Tensor, height: int) -> Tensor:
        """Cut proposals out of the maps that fit their sizes: (B * P, C, h, w)."""
        model: Any = self.detector.model
        pool = model.roi_heads.box_roi_pool
        maps = [found for name, found in named.items() if name in pool.featmap_names]
        # As torchvision infers them: powers of 2.
        steps = [round(torch.log2(torch.tensor(height / each.shape[2])).item()) for each in maps]
        number, count = proposals.shape[:2]
        image = torch.arange(number, dtype=proposals.dtype, device=proposals.device)
        places = torch.cat([image[:, None, None].expand(-1, count, 1), proposals], 2).reshape(-1, 5)
        sides = places[:, 3:] - places[:, 1:3]
        size = (sides[:, 0] * sides[:, 1]).sqrt()
        level = torch.floor(pool.canonical_level + torch.log2(size / pool.canonical_scale) + 1e-6)
        level = level.clamp(min=steps[0], max=steps[-1]) - steps[0]
        result: Tensor | None = None
        for place, (each, step) in enumerate(zip(maps, steps, strict=True)):
            cut = roi_align(each, places, pool.output_size, 2.0**-step, pool.sampling_ratio)
            here = (level == place)[:, None, None, None]
            result = cut if result is None else torch.where(here, cut, result)
        assert result is not None
        return result


class _Seen(nn.Module):
    """Shows images to a network as torchvision's transform does, in steps that do not count the images."""

    mean: Tensor
    std: Tensor

    def __init__(self, detector: TorchvisionDetector) -> None:
        super().__init__()
        self.twice = detector.twice
        transform = detector.model.transform
        core = isinstance(transform, NormalizeOnly)
        self.size = None if core else transform.fixed_size
        for name in ("mean", "std"):
            value = getattr(transform, name) if core else torch.tensor(getattr(transform, f"image_{name}"))
            self.register_buffer(name, value.reshape(3, 1, 1).clone(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images, and resize them where torchvision does."""
        if self.twice is not None:
            images = (images - self.twice.mean) / self.twice.std
        images = (images - self.mean) / self.std
        if self.size is None:
            return images
        width, height = self.size
        return functional.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)

    @staticmethod
    def find_way_back(images: Tensor, seen: Tensor) -> Tensor:
        """Factors (4,) from boxes in what is seen to boxes in the images."""
        across, down = images.shape[3] / seen.shape[3], images.shape[2] / seen.shape[2]
        return torch.tensor([across, down, across, down], dtype=seen.dtype, device=seen.device)


def suppress(boxes: Tensor, scores: Tensor, iou: float, height: int, width: int) -> Tensor:
    """Set the scores of boxes to 0 that overlap a higher-scoring one of their group (non-maximum suppression).

    Args:
        boxes: (G, N, 4) within the image.
        scores: (G, N).
        iou: overlap from which a box is suppressed.
        height, width: of the images in pixels.

    Returns:
        scores (G, N).
    """
    groups = torch.arange(scores.shape[0], device=boxes.device)
    # All groups at once, set apart so that none overlaps another.
    columns, rows = (groups % _ROW).to(boxes.dtype), (groups // _ROW).to(boxes.dtype)
    apart = torch.stack([columns * (width + 1), rows * (height + 1)], 1).repeat(1, 2)
    kept = nms((boxes + apart[:, None]).reshape(-1, 4), scores.reshape(-1), iou)
    ones = torch.ones_like(kept, dtype=scores.dtype)
    return scores * torch.zeros_like(scores).reshape(-1).scatter(0, kept, ones).reshape(scores.shape)


def choose_boxes(
    boxes: Tensor, scores: Tensor, detector: TorchvisionDetector, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Choose the boxes that are reported: non-maximum suppression in each class, then among the classes.

    Args:
        boxes: (B, C, N, 4) of each class.
        scores: (B, C, N).
        detector: whose overlap and number count.
        height, width: of the images in pixels.

    Returns:
        boxes (B, M, 4) and scores (B, M), the highest first.
    """
    number, classes, count = scores.shape
    iou = detector.config.nms
    scores = suppress(boxes.reshape(-1, count, 4), scores.reshape(-1, count), iou, height, width)
    boxes, scores = boxes.reshape(number, -1, 4), scores.reshape(number, -1)
    if classes > 1:
        scores = suppress(boxes, scores, iou, height, width)
    scores, best = scores.topk(min(detector.config.max_boxes, scores.shape[1]), dim=1)
    return boxes.gather(1, best[..., None].expand(-1, -1, 4)), scores


def _list_classes(detector: TorchvisionDetector) -> list[int]:
    """The classes that are reported; 1 is the project's animal."""
    return list(detector.classes) or [1]


def _clip(boxes: Tensor, height: int, width: int) -> Tensor:
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def _are_large(boxes: Tensor, smallest: float) -> Tensor:
    return ((boxes[..., 2:] - boxes[..., :2]) >= smallest).all(-1)


def _to_labels(boxes: Tensor, scores: Tensor, shift: float) -> tuple[Tensor, Tensor]:
    """Boxes in coordinates of labels, NaN where there is none."""
    return torch.where(scores[..., None] > 0, boxes - shift, torch.nan), scores
