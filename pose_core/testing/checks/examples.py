"""Skeletons and labels that parts are tried with."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pose_core.interfaces import Labels
from pose_core.structures import Skeleton

SKELETON = Skeleton(
    keypoints=("nose", "left", "right", "tail"),
    edges=(("nose", "left"), ("nose", "right"), ("nose", "tail")),
    symmetry=(("left", "right"),),
    individuals=("one", "two", "three"),
    identified=True,
    unique_keypoints=("corner", "door"),
)

MORE_KEYPOINTS = replace(
    SKELETON,
    keypoints=(*SKELETON.keypoints, "ear"),
    edges=(*SKELETON.edges, ("nose", "ear")),
    unique_keypoints=("corner", "door", "lamp"),
)

MORE_INDIVIDUALS = replace(SKELETON, individuals=("one", "two", "three", "four"))

FEW_KEYPOINTS = Skeleton(("only",), individuals=("one", "two"), identified=True, unique_keypoints=("corner",))

SIZE = (96, 128)
"""(H, W) of the network's input. Not square: what mixes up x and y shows."""

_ANIMAL = ((0.0, -14.0), (-9.0, 3.0), (9.0, 5.0), (1.0, 15.0))
"""Keypoints around the centre of an animal, pixels."""

_CENTRES = ((27.3, 30.6), (70.4, 61.8), (104.1, 29.5))
"""Of three animals that do not touch; x and y in a picture of SIZE."""


def labels(batch: int, animals: int, size: tuple[int, int] = SIZE, skeleton: Skeleton = SKELETON) -> Labels:
    """Whole animals, none on the centre of a cell, and each image a little different.

    Args:
        batch: B.
        animals: N, at most 3; of one, the middle one is taken.
        size: (H, W) of the images.
        skeleton: K at most 5.
    """
    scale = torch.tensor([size[1] / SIZE[1], size[0] / SIZE[0]])
    shape = torch.tensor((*_ANIMAL, (-4.0, -20.0)))[: skeleton.num_keypoints]
    # The middle one: fully inside for every size and shift of the batch.
    chosen = _CENTRES[1:2] if animals == 1 else _CENTRES[:animals]
    centres = torch.tensor(chosen).reshape(-1, 1, 2)
    # Every image differs, so that a part that mixes up the images of a batch shows.
    shift = torch.arange(batch, dtype=torch.float32).reshape(-1, 1, 1, 1) * torch.tensor([1.7, -2.3])
    points = (centres + shape + shift) * scale
    unique = torch.tensor([[12.4, 80.7], [110.2, 76.9], [60.3, 12.6]])[: len(skeleton.unique_keypoints)]
    unique = (unique + shift[:, 0] * 0.5) * scale
    return _complete_labels(points, unique)


def without(of: Labels, keypoints: Tensor) -> Labels:
    """The labels without some keypoints.

    Args:
        keypoints: bool, broadcastable to (B, N, K); those to leave out.
    """
    points = of.keypoints.masked_fill(keypoints[..., None].expand_as(of.keypoints), math.nan)
    return _complete_labels(points, of.unique_keypoints)


def nothing(batch: int, skeleton: Skeleton = SKELETON, animals: int = 1) -> Labels:
    """No animal, no unique keypoint."""
    return _complete_labels(
        torch.full((batch, animals, skeleton.num_keypoints, 2), math.nan),
        torch.full((batch, len(skeleton.unique_keypoints), 2), math.nan),
    )


def mirrored(of: Labels, width: float, skeleton: Skeleton = SKELETON) -> Labels:
    """The labels of the mirrored image: left and right change places."""
    points = mirrored_points(of.keypoints, width)[..., list(skeleton.mirror_indices), :]
    return _complete_labels(points, mirrored_points(of.unique_keypoints, width))


def mirrored_points(points: Tensor, width: float) -> Tensor:
    """Points (..., 2) in a mirrored image."""
    # Pixel centres lie at whole numbers (ADR 0004), so the last column is width - 1, not width.
    return torch.stack([width - 1 - points[..., 0], points[..., 1]], dim=-1)


def _complete_labels(points: Tensor, unique: Tensor) -> Labels:
    batch, animals = points.shape[:2]
    # NaN would win both the minimum and the maximum; an animal without keypoints comes out infinite and
    # becomes NaN again.
    low = points.nan_to_num(math.inf).amin(2)
    high = points.nan_to_num(-math.inf).amax(2)
    boxes = torch.cat([low, high], dim=-1)
    boxes[~boxes.isfinite().all(-1)] = math.nan
    present = boxes.isfinite().all(-1)
    identity = torch.arange(animals).expand(batch, animals).masked_fill(~present, -1)
    return Labels.from_keypoints(
        points,
        boxes=boxes,
        areas=(boxes[..., 2:] - boxes[..., :2]).prod(-1),
        identity=identity.clone(),
        unique_keypoints=unique.clone(),
    )
