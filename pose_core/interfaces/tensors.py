"""Batched labels, targets and predictions: what goes into and comes out of a network, on its device.

All coordinates are pixels of the network's input image (after resizing, cropping and padding).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from pose_core.structures import Skeleton

_Holder = TypeVar("_Holder", "Labels", "Predictions")


@dataclass(frozen=True)
class Labels:
    """Labels of a batch of B images, padded to N animals.

    Attributes:
        keypoints: (B, N, K, 2) float32; NaN where unlabelled or where there is no animal.
        occluded: (B, N, K) bool, labelled but hidden.
        boxes: (B, N, 4) float32 ``x1, y1, x2, y2``; NaN where unknown.
        areas: (B, N) float32, square pixels; NaN where unknown.
        identity: (B, N) int64; -1 where unknown.
        unique_keypoints: (B, U, 2) float32; NaN where unlabelled.
    """

    keypoints: Tensor
    occluded: Tensor
    boxes: Tensor
    areas: Tensor
    identity: Tensor
    unique_keypoints: Tensor

    def of_first(self) -> Labels:
        """The labels of the first animal of each image: in crops the one that the crop is about."""
        every = {f.name: getattr(self, f.name) for f in fields(self)}
        return Labels(**{n: t if n == "unique_keypoints" else t[:, :1] for n, t in every.items()})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Labels:
        """The same labels on another device."""
        return _moved(self, device, non_blocking)


class Target(NamedTuple):
    """What one output should be.

    Attributes:
        value: same shape as the output.
        weight: broadcastable to ``value``; 0 where the output does not matter (unlabelled keypoints ...).
    """

    value: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Predictions:
    """Animals found in a batch of B images, padded to N.

    A head's predictor gets what the heads before it found and returns it extended: an identity head fills
    ``identity`` of the animals that a keypoint head found.

    Attributes:
        keypoints: (B, N, K, 2) float32; NaN where missing.
        keypoint_scores: (B, N, K) float32 in [0, 1]; 0 where missing.
        scores: (B, N) float32 in [0, 1]; 0 where there is no animal.
        identity: (B, N) int64; -1 where unknown.
        unique_keypoints: (B, U, 2) float32; NaN where missing.
        unique_scores: (B, U) float32.
    """

    keypoints: Tensor
    keypoint_scores: Tensor
    scores: Tensor
    identity: Tensor
    unique_keypoints: Tensor
    unique_scores: Tensor

    @classmethod
    def none(cls, batch: int, skeleton: Skeleton, device: torch.device | str = "cpu") -> Predictions:
        """No animal found yet (N = 0)."""
        k, u = skeleton.num_keypoints, len(skeleton.unique_keypoints)
        return cls(
            keypoints=torch.zeros(batch, 0, k, 2, device=device),
            keypoint_scores=torch.zeros(batch, 0, k, device=device),
            scores=torch.zeros(batch, 0, device=device),
            identity=torch.zeros(batch, 0, dtype=torch.int64, device=device),
            unique_keypoints=torch.full((batch, u, 2), float("nan"), device=device),
            unique_scores=torch.zeros(batch, u, device=device),
        )

    def with_animals(self, keypoints: Tensor, keypoint_scores: Tensor, scores: Tensor | None = None) -> Predictions:
        """These predictions with the animals replaced; missing keypoints get score 0.

        ``scores`` defaults to the mean score of an animal's keypoints.
        """
        missing = torch.isnan(keypoints).any(dim=-1)
        keypoint_scores = keypoint_scores.masked_fill(missing, 0.0)
        if scores is None:
            scores = keypoint_scores.sum(-1) / (~missing).sum(-1).clamp(min=1)
        return replace(
            self,
            keypoints=keypoints,
            keypoint_scores=keypoint_scores,
            scores=scores,
            identity=torch.full(scores.shape, -1, dtype=torch.int64, device=scores.device),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Predictions:
        """The same predictions on another device."""
        return _moved(self, device, non_blocking)


def _moved(holder: _Holder, device: torch.device | str, non_blocking: bool) -> _Holder:
    return replace(
        holder,
        **{f.name: getattr(holder, f.name).to(device, non_blocking=non_blocking) for f in fields(holder)},
    )
