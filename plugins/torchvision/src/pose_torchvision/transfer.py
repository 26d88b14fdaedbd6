"""The tensors of torchvision's files of weights -> those of our detectors, by name."""

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
_SPLIT = 13


def named(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A COCO file under today's names, without counters of batches."""
    result = {}
    for key, value in state.items():
        for pattern, replacement in _OLD_NAMES:
            key = pattern.sub(replacement, key)
        if not key.endswith(_COUNTER):
            result[key] = value
    return result


def one_animal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """COCO's 91 classes become background and animal, the mean of COCO's ten classes of animals.

    Only the rows of classes change. They follow each other within each default box (``view(N, A, classes, h, w)``), and
    with four rows a class where boxes are regressed for each class.

    Args:
        state: of a detector of COCO, from :func:`named`.
    """
    result = dict(state)
    for key, value in state.items():
        if found := _CLASS_ROWS.match(key):
            width = 4 if found["boxes"] else 1
            rows = value.reshape(-1, NUM_CLASSES, width, *value.shape[1:])
            animal = rows[:, list(ANIMALS)].mean(dim=1, keepdim=True)
            result[key] = torch.cat([rows[:, :1], animal], dim=1).flatten(0, 2)
    return result


def named_one_animal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A COCO file -> the tensors of torchvision's network for one class of animal."""
    return one_animal(named(state))


def coco_detector(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A COCO file -> the tensors of our detector of one class of animal."""
    return {f"model.{key}": value for key, value in named_one_animal(state).items()}


def mobilenet_for_ssdlite(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ImageNet weights of a MobileNetV3-Large -> the two parts of SSDLite's backbone that they fit.

    SSDLite has half as many channels in the last three blocks, and splits the one before them, the 14th, after its
    first convolution. What fits are the blocks up to there (``0.``), and its second convolution and attention (``1.``).
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


def body_of_fasterrcnn(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ImageNet weights of a MobileNetV3-Large or a ResNet-50 -> those of Faster R-CNN's ``backbone.body``."""
    return {
        key.removeprefix("features."): value
        for key, value in state.items()
        if not key.endswith(_COUNTER) and not key.startswith(("fc.", "classifier."))
    }
