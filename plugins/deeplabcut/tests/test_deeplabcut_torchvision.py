"""Detectors that DeepLabCut trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pose_deeplabcut.networks.torchvision import fasterrcnn, rename, ssdlite
from pydantic import TypeAdapter
from torch import Tensor
from torchvision.models import detection
from torchvision.ops.misc import FrozenBatchNorm2d

from pose_core.catalog import get_catalog
from pose_core.interfaces import BuildContext
from pose_core.specs import AnyDetector
from pose_core.structures import Skeleton

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
FROZEN = {"freeze_bn_stats": True, "freeze_bn_weights": False}


def alive(network: Any) -> Any:
    """Weights and statistics that make a network find something."""
    torch.manual_seed(3)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.6, 1.4)
            elif key.endswith("running_mean"):
                value.normal_(0, 0.1)
    return network.eval()


def imported(
    convert: Callable[..., Any], part: dict[str, Any], theirs: torch.nn.Module
) -> tuple[Any, dict[str, Tensor]]:
    config, renamed = convert(part, {"as_trained": True})
    spec = TypeAdapter(AnyDetector).validate_python(config)
    ours = BuildContext(Skeleton(("a",)), input_size=None, pretrained=True).build("detector", spec)
    state = {renamed(f"model.{key}"): value for key, value in theirs.state_dict().items()}
    state.pop(None, None)
    assert state.keys() == ours.state_dict().keys()
    ours.load_state_dict(state)
    return ours.eval(), state


def check_same(ours: Any, theirs: Any, images: Tensor) -> None:
    with torch.no_grad():
        boxes, scores = ours(images)
        # Its images are normalised before torchvision normalises them, its boxes are not moved.
        expected = theirs(list((images - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)))
    for found, score, wanted in zip(boxes, scores, expected, strict=True):
        count = len(wanted["boxes"])
        assert count > 3
        torch.testing.assert_close(found[:count], wanted["boxes"], rtol=0, atol=1e-3)
        torch.testing.assert_close(score[:count], wanted["scores"], rtol=1e-5, atol=1e-6)
        assert not score[count:].any()


def test_ssdlite_gives_the_same_boxes() -> None:
    theirs = alive(
        detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    )
    ours, _ = imported(ssdlite, {"type": "SSDLite", **FROZEN}, theirs)
    assert ours.config.freeze_bn == "statistics"
    check_same(ours, theirs, torch.rand(2, 3, 75, 101))


FASTER_RCNN = {"type": "FasterRCNN", "variant": "fasterrcnn_mobilenet_v3_large_fpn", **FROZEN}


def faster_rcnn() -> Any:
    return detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, num_classes=2, box_score_thresh=0.01
    )


def test_faster_rcnn_gives_the_same_boxes() -> None:
    theirs = alive(faster_rcnn())
    ours, _ = imported(fasterrcnn, FASTER_RCNN, theirs)
    theirs.transform.min_size = ours.model.transform.min_size = (160,)  # the default takes a second
    check_same(ours, theirs, torch.rand(1, 3, 75, 101))


def test_its_frozen_batch_norms_compute_the_same() -> None:
    # It is made with ImageNet's weights, and therefore with frozen batch norms, which have no counters.
    theirs = faster_rcnn()
    for module in list(theirs.backbone.body.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(module, name, FrozenBatchNorm2d(child.num_features))
    alive(theirs)
    ours, state = imported(fasterrcnn, FASTER_RCNN, theirs)
    assert len(state) == len(theirs.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for name, wanted in theirs.backbone(image).items():
            torch.testing.assert_close(ours.model.backbone(image)[name], wanted, rtol=1e-4, atol=1e-5)


def test_keys() -> None:
    assert rename("model.head.classification_head.module_list.0.1.weight")
    assert rename("model.backbone.body.0.1.num_batches_tracked") is None
    for key in ("backbone.body.0.weight", "model.anchors"):
        with pytest.raises(KeyError, match=key):
            rename(key)


def test_configs() -> None:
    config, _ = fasterrcnn({"variant": "fasterrcnn_resnet50_fpn_v2", "box_score_thresh": 0.3}, {})
    assert (config["type"], config["threshold"]) == ("torchvision/fasterrcnn_resnet50_fpn_v2", 0.3)
    assert ssdlite({"freeze_bn_stats": True, "freeze_bn_weights": True}, {})[0]["freeze_bn"] is True
    with pytest.raises(ValueError, match="fasterrcnn_resnet50_fpn is not supported; there are"):
        fasterrcnn({"variant": "fasterrcnn_resnet50_fpn"}, {})
    with pytest.raises(ValueError, match="wider backbone"):
        ssdlite({"pretrained_from_imagenet": True}, {})


def test_the_mappings_are_listed() -> None:
    listed = {c.name: c.factory() for c in get_catalog().components("deeplabcut/detector")}
    assert listed["SSDLite"] is ssdlite
    assert listed["FasterRCNN"] is fasterrcnn
