"""How similar poses are, and which of them are duplicates."""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA = 0.1
"""Tolerance of keypoints, relative to the size of the animal, by which poses are found to be the same."""


def compare_poses(one: Tensor, other: Tensor) -> Tensor:
    """Object keypoint similarity of poses, with one tolerance for all keypoints.

    Args:
        one: (..., N, K, 2), NaN where missing.
        other: (..., M, K, 2).

    Returns:
        (..., N, M) in [0, 1]: the mean over the keypoints that both poses have, relative to the larger of the
        two boxes; 0 where they have none in common.
    """

    def areas(points: Tensor) -> Tensor:
        missing = torch.isnan(points)
        low = points.masked_fill(missing, torch.inf).amin(-2)
        high = points.masked_fill(missing, -torch.inf).amax(-2)
        return (high - low).clamp(min=1).prod(-1)

    area = torch.maximum(areas(one)[..., :, None], areas(other)[..., None, :]).nan_to_num(1.0, posinf=1.0)
    # A keypoint that one of them lacks is NaN here, and counts neither for nor against them.
    squared = (one[..., :, None, :, :] - other[..., None, :, :, :]).square().sum(-1)
    common = torch.isfinite(squared)
    near = torch.exp(-squared.nan_to_num(0.0) / (2 * area[..., None] * (2 * SIGMA) ** 2)) * common
    return near.sum(-1) / common.sum(-1).clamp(min=1)


def find_duplicates(keypoints: Tensor, scores: Tensor, limit: float, groups: Tensor | None = None) -> Tensor:
    """Find poses nearly the same as one with a higher score that is no duplicate itself.

    Args:
        keypoints: (B, N, K, 2), NaN where missing.
        scores: (B, N); 0 where there is no pose.
        limit: similarity above which two poses are one.
        groups: (N,) int64; poses of one group (a tile of the frame ...) are known to be of different animals. None:
            nothing is known.

    Returns:
        (B, N) bool.
    """
    same = compare_poses(keypoints, keypoints) > limit
    if groups is not None:
        same &= groups[:, None] != groups[None, :]
    return drop_repeated(same, scores)


def drop_repeated(same: Tensor, scores: Tensor) -> Tensor:
    """Find what is the same as something with a higher score that is not dropped itself.

    Args:
        same: (B, N, N) bool, which are the same.
        scores: (B, N); 0 where there is nothing.

    Returns:
        (B, N) bool, what is to be dropped.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    n = scores.shape[1]
    ranked = same.gather(1, order[:, :, None].expand(-1, -1, n)).gather(
        2, order[:, None, :].expand(-1, n, -1)
    )
    ranked &= (scores.gather(1, order) > 0)[:, :, None]
    dropped = torch.zeros_like(scores, dtype=torch.bool)
    for rank in range(1, n):  # one goes because of one that stayed: sequential by nature
        dropped[:, rank] = (ranked[:, :rank, rank] & ~dropped[:, :rank]).any(1)
    return torch.zeros_like(dropped).scatter(1, order, dropped)
