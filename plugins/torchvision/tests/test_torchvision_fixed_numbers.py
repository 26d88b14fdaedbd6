"""The detectors with fixed numbers of boxes find what torchvision's own steps find."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from calibrated import calibrate
from pose_torchvision.detector import TorchvisionDetector
from pose_torchvision.fixed_numbers import suppress
from pydantic import TypeAdapter
from torch import Tensor, nn
from torchvision.ops import nms

from pose_core.interfaces import BuildContext
from pose_core.model.detector_runner import apply_threshold
from pose_core.specs import AnyDetector
from pose_core.structures import Skeleton

FRCNN = "fasterrcnn_mobilenet_v3_large_fpn"


def make(name: str, images: Tensor, **config: Any) -> TorchvisionDetector:
    """A detector of random weights that finds many boxes of many scores in noise."""
    spec = TypeAdapter(AnyDetector).validate_python({"type": f"torchvision/{name}", "size": None, **config})
    torch.manual_seed(0)
    detector = BuildContext(Skeleton(("a",))).build("detector", spec)
    assert isinstance(detector, TorchvisionDetector)
    model = detector.model

    def compute() -> None:
        features = model.backbone(model.transform(detector.prepare_images(images))[0].tensors)
        if name == "ssdlite":
            model.head(list(features.values()))

    calibrate(detector, compute)
    if name == FRCNN:
        # Built to be unsure of everything: objectness and classes are as good as equal.
        for layer in (model.rpn.head.cls_logits, model.roi_heads.box_predictor.cls_score):
            nn.init.normal_(layer.weight, std=0.3)
    return detector


def compare(detector: TorchvisionDetector, images: Tensor) -> int:
    """Compare both forms; returns the number of boxes."""
    form = detector.make_exportable()
    assert form is not None
    assert not form.training
    with torch.inference_mode():
        boxes, scores = apply_threshold(*form(images), detector.config.threshold)
        wanted, true = detector(images)
    found = int((true > 0).sum())
    assert (scores > 0).sum(1).tolist() == (true > 0).sum(1).tolist()
    most = true.shape[1]
    if not most:
        return 0
    torch.testing.assert_close(scores[:, :most], true, rtol=0, atol=1e-6)
    # Equal scores have no order.
    far = (boxes[:, :most, None] - wanted[:, None]).abs().amax(-1).nan_to_num(torch.inf)
    far = torch.where((scores[:, :most, None] - true[:, None]).abs() <= 1e-6, far, torch.inf)
    assert (far.amin(2)[scores[:, :most] > 0] <= 1e-3).all()
    assert (far.amin(1)[true > 0] <= 1e-3).all()
    return found


@pytest.mark.parametrize(
    "config",
    [
        {"threshold": 0.3},
        {"threshold": 0.3, "max_boxes": 7, "nms": 0.3, "half_pixel": False},
        {"threshold": 0.3, "anchor_scales": (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)},
        {"threshold": 0.3, "resize": "torchvision", "normalize": "twice"},
        {"threshold": 0.012, "classes": ("dog", "cat", "bear"), "pretrained": True},
        # Nothing is as sure as that.
        {"threshold": 0.999},
    ],
)
def test_ssdlite_finds_the_same_boxes(config: dict[str, Any]) -> None:
    images = torch.rand(3, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    detector = make("ssdlite", images, **config)
    found = compare(detector, images)
    compare(detector, images[:1])
    assert (found == 0) == (config["threshold"] == 0.999)


@pytest.mark.parametrize("config", [{}, {"classes": ("dog", "cat"), "pretrained": True, "threshold": 0.02}])
def test_faster_rcnn_finds_the_same_boxes(config: dict[str, Any]) -> None:
    images = torch.rand(2, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    detector = make(FRCNN, images, **{"threshold": 0.6, **config})
    assert compare(detector, images) > 10


def test_faster_rcnn_that_torchvision_resizes_offers_none() -> None:
    with torch.device("meta"):
        detector = make(FRCNN, torch.rand(1, 3, 64, 64), resize="torchvision", threshold=0.6)
    assert detector.make_exportable() is None


def test_suppression_of_many_groups_is_that_of_each() -> None:
    random = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 30, 2, generator=random) * 60
    boxes = torch.cat([corners, corners + 20 + 20 * torch.rand(40, 30, 2, generator=random)], 2)
    scores = torch.rand(40, 30, generator=random)
    found = suppress(boxes, scores, 0.5, 100, 100)
    for group in range(40):
        kept = nms(boxes[group], scores[group], 0.5)
        wanted = torch.zeros(30).index_put((kept,), scores[group][kept])
        assert torch.equal(found[group], wanted)
    assert 0 < int((found == 0).sum()) < found.numel()
