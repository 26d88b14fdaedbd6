"""Detectors that DeepLabCut trained -> ours. Its networks are torchvision's too, its images and boxes are
not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_deeplabcut.mapping import Converted

_VARIANTS = ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2")
_PARTS = ("model.backbone.", "model.head.", "model.rpn.", "model.roi_heads.")
# Of torchvision's SSD: DeepLabCut's option for it does not reach the network.
_SSDLITE_THRESHOLD = 0.001


def ssdlite(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map an ``SSDLite`` to ``torchvision/ssdlite``.

    Raises:
        ValueError: it has the wider backbone that came with ImageNet's weights.
    """
    if part.get("pretrained_from_imagenet"):
        raise ValueError(
            "detector.model.pretrained_from_imagenet: true makes an SSDLite with a wider backbone, which is "
            "not "
            "supported; retrain the detector without it"
        )
    config = _config("torchvision/ssdlite", part)
    config.update(threshold=_SSDLITE_THRESHOLD, nms=0.55, max_boxes=300, match_iou=0.5)
    return config, rename


def fasterrcnn(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map a ``FasterRCNN`` to that of its variant.

    Raises:
        ValueError: its variant is not among our detectors.
    """
    variant = part.get("variant", _VARIANTS[0])
    if variant not in _VARIANTS:
        raise ValueError(
            f"detector.model.variant: {variant} is not supported; there are {' and '.join(_VARIANTS)}"
        )
    config = _config(f"torchvision/{variant}", part)
    config.update(threshold=float(part.get("box_score_thresh", 0.01)), nms=0.5, max_boxes=100)
    return config, rename


def rename(key: str) -> str | None:
    """A key of DeepLabCut's detector -> ours; None for counters of batches, which are not used.

    Raises:
        KeyError: no key of these detectors.
    """
    if not key.startswith(_PARTS):
        raise KeyError(key)
    return None if key.endswith(".num_batches_tracked") else key


def _config(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """What all have in common: whole frames that torchvision resizes, normalised twice, boxes not moved."""
    return {
        "type": name,
        "size": None,
        "resize": "torchvision",
        "normalize": "twice",
        "half_pixel": False,
        "pretrained": False,
        "freeze_bn": _frozen(part),
    }


def _frozen(part: Mapping[str, Any]) -> str | bool:
    # Frozen parameters under moving statistics (in none of its configurations) only matter to further
    # training.
    statistics, parameters = bool(part.get("freeze_bn_stats")), bool(part.get("freeze_bn_weights"))
    return parameters if statistics == parameters else "statistics" if statistics else False
