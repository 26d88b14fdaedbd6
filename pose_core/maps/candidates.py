"""Candidates: places where a keypoint of some animal may be, before anybody knows which belong together.

From one head to the next a candidate is an animal with one keypoint (:class:`pose_core.interfaces.Predictions`
allows it), so what groups candidates can take animals of any head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pose_core.interfaces import Predictions


def spread_candidates(positions: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Make an animal of each candidate, with this one keypoint.

    Args:
        positions: (B, K, M, 2) of up to M candidates of each keypoint; NaN where there are fewer.
        scores: (B, K, M) in [0, 1]; 0 where there are fewer.

    Returns:
        keypoints (B, K * M', K, 2), NaN but for one of them, and their scores (B, K * M', K): those of the
        first keypoint first. M' is the most that a map has here (on a GPU M, where asking would wait for it).
    """
    scores = torch.where(torch.isfinite(positions).all(-1), scores, 0.0)
    count = _count_most(scores)
    batch, k = scores.shape[:2]
    every = torch.arange(k, device=scores.device)
    keypoints = positions.new_full((batch, k, count, k, 2), torch.nan)
    values = scores.new_zeros(batch, k, count, k)
    # Indices beside each other: the first axis of what is chosen is the keypoint.
    keypoints[:, every, :, every] = positions[:, :, :count].transpose(0, 1)
    values[:, every, :, every] = scores[:, :, :count].transpose(0, 1)
    return keypoints.view(batch, k * count, k, 2), values.view(batch, k * count, k)


def gather_candidates(found: Predictions, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Take animals apart into candidates of each keypoint; the way back from :func:`spread_candidates`.

    Args:
        found: of the heads before; keypoints with score 0 are none.
        count: at most so many candidates of each keypoint, those with the highest scores; None: all.

    Returns:
        positions (B, K, M, 2) in pixels of the network's input, NaN where there are fewer, and scores (B, K,
        M), 0 there; the highest first, of equal ones that of the earlier animal. M is the most that a
        keypoint has here (on a GPU the most that it may have).
    """
    points = found.keypoints.transpose(1, 2)
    scores = torch.where(torch.isfinite(points).all(-1), found.keypoint_scores.transpose(1, 2), 0.0)
    # Stable, so that equal candidates come out in one order wherever this runs.
    scores, order = scores.sort(dim=2, descending=True, stable=True)
    most = min(_count_most(scores), scores.shape[2] if count is None else count)
    scores, order = scores[:, :, :most], order[:, :, :most]
    points = points.gather(2, order[..., None].expand(-1, -1, -1, 2))
    return torch.where(scores[..., None] > 0, points, torch.nan), scores


def _count_most(scores: Tensor) -> int:
    """The most candidates (score above 0) that a keypoint has; on a GPU the size of the axis."""
    if scores.device.type != "cpu" or not scores.numel():
        return scores.shape[2]
    return int((scores > 0).sum(-1).max())
