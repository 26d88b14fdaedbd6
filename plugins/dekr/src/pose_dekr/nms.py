"""Which of several poses are the same animal."""

from __future__ import annotations

import torch
from torch import Tensor


def decide_joints(wanted: int | None, keypoints: int) -> int:
    """How many close keypoints make two poses one.

    The paper's code asks for more than 8 of 17. ``None`` keeps that share for any skeleton, more than half: 9
    of 17, 3 of 5, 2 of 3, 1 of 1. Two different animals that touch share a few keypoints' places, hardly most
    of them; two centres of one animal predict all of its keypoints at nearly the same places.
    """
    return keypoints // 2 + 1 if wanted is None else min(wanted, keypoints)


def pose_diagonals(poses: Tensor) -> Tensor:
    """Diagonal of the box around each pose: (B, M, K, 2), NaN where a keypoint is missing -> (B, M), 0
    without any."""
    low, high = poses.nan_to_num(torch.inf).amin(2), poses.nan_to_num(-torch.inf).amax(2)
    size: Tensor = torch.where(high >= low, high - low, 0.0).norm(dim=-1)
    return size


def count_close_keypoints(poses: Tensor, reach: Tensor) -> Tensor:
    """Numbers of keypoints that two poses have in one place.

    Args:
        poses: (B, M, K, 2) pixels, NaN where a keypoint is missing, which is close to none.
        reach: (B, M, 1) or (B, 1, M) pixels; keypoints nearer than this are in one place.

    Returns:
        (B, M, M) int64.
    """
    distances: Tensor = (poses[:, :, None] - poses[:, None]).norm(dim=-1)
    return (distances < reach[..., None]).sum(-1)


def suppress_in_order(same: Tensor, found: Tensor) -> Tensor:
    """Which poses stay when, from the first to the last, each that is still there removes its duplicates
    among those after it.

    Args:
        same: (B, M, M) bool, whether the first pose of a pair would remove the second.
        found: (B, M) bool, which poses there are.

    Returns:
        (B, M) bool.
    """
    later = torch.ones(same.shape[1:], dtype=torch.bool, device=same.device).triu(1)
    removes = same & later
    kept = found
    # Each step waits for the one before it; a step handles all images.
    for row in range(same.shape[1] - 1):
        kept = kept & ~(removes[:, row] & kept[:, row, None])
    return kept


def suppress_at_once(same: Tensor, found: Tensor) -> Tensor:
    """The same, but poses that were removed remove others too (DeepLabCut 3)."""
    later = torch.ones(same.shape[1:], dtype=torch.bool, device=same.device).triu(1)
    return found & ~(same & later & found[:, :, None]).any(1)
