"""Convert torchvision's published weights to those of the detectors here."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from pose_torchvision.coco import ANIMALS, NUM_CLASSES

_COUNTER = ".num_batches_tracked"
# Files from before torchvision 0.13 have convolutions where there is a block with a convolution now.
_OLD_NAMES = (
    (re.compile(r"^(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),
    (re.compile(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),
)
_CLASS_ROWS = re.compile(
    r"^(head\.classification_head\.module_list\.\d+\.1|roi_heads\.box_predictor\.(cls_score|(?P<boxes>bbox_pred)))\."
)
_MOBILENET_BLOCK = re.compile(r"^features\.(?P<block>\d+)\.(?P<part>block\.\d+\.)?(?P<rest>.+)$")
# Index of the block that SSDLite takes its first map from the middle of.
_SPLIT = 13


def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a COCO file to today's names, without counters of batches."""
    result = {}
    for key, value in state.items():
        for pattern, replacement in _OLD_NAMES:
            key = pattern.sub(replacement, key)
        if not key.endswith(_COUNTER):
            result[key] = value
    return result


def merge_animal_classes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge COCO's 91 classes to background and animal.

    The animal is the mean of COCO's ten classes of animals. Only the rows of classes change: they follow each
    other within each default box (``view(N, A, classes, h, w)``), with four rows a class where boxes are
    regressed for each class.

    Args:
        state: of a detector of COCO, from :func:`rename_keys`.
    """
    result = dict(state)
    for key, value in state.items():
        if found := _CLASS_ROWS.match(key):
            width = 4 if found["boxes"] else 1
            rows = value.reshape(-1, NUM_CLASSES, width, *value.shape[1:])
            animal = rows[:, list(ANIMALS)].mean(dim=1, keepdim=True)
            result[key] = torch.cat([rows[:, :1], animal], dim=1).flatten(0, 2)
    return result


def convert_to_one_animal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a COCO file to torchvision's network of one class of animal."""
    return merge_animal_classes(rename_keys(state))


def convert_coco_detector(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a COCO file to a detector of one class of animal."""
    return {f"model.{key}": value for key, value in convert_to_one_animal(state).items()}


def convert_coco_classes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a COCO file to a detector of COCO's classes (``classes`` of its settings)."""
    return {f"model.{key}": value for key, value in rename_keys(state).items()}


def convert_mobilenet_for_ssdlite(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert ImageNet weights of a MobileNetV3-Large to the parts of SSDLite's backbone that they fit.

    SSDLite has half as many channels in the last three blocks, and splits the one before them, the 14th,
    after its first convolution. The blocks up to there fit (``0.``), and its second convolution and attention
    (``1.``).
    """
    result = {}
    for key, value in state.items():
        found = _MOBILENET_BLOCK.match(key)
        if found is None or key.endswith(_COUNTER):
            continue
        block, part, rest = int(found["block"]), found["part"], found["rest"]
        if block < _SPLIT:
            result[f"0.{block}.{part or ''}{rest}"] = value
        elif block == _SPLIT and part == "block.0.":
            result[f"0.{block}.{rest}"] = value
        elif block == _SPLIT and part in ("block.1.", "block.2."):
            result[f"1.{part.removeprefix('block.')}{rest}"] = value
    return result


def convert_fasterrcnn_body(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert ImageNet weights of a MobileNetV3-Large or ResNet-50 to ``backbone.body``."""
    return {
        key.removeprefix("features."): value
        for key, value in state.items()
        if not key.endswith(_COUNTER) and not key.startswith(("fc.", "classifier."))
    }
