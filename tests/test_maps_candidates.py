"""Candidates: animals with one keypoint each, taken apart and put together."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_core.interfaces import Predictions
from pose_core.maps import gather_candidates, spread_candidates
from pose_core.structures import Skeleton


def sorted_candidates(seed: int, batch: int, keypoints: int, most: int) -> tuple[Tensor, Tensor]:
    """Candidates in order, NaN beyond the last of each keypoint; ties included."""
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.rand(batch, keypoints, most, generator=generator) * 8).ceil() / 8
    count = torch.randint(0, most + 1, (batch, keypoints, 1), generator=generator)
    scores = scores.masked_fill(torch.arange(most) >= count, 0.0).sort(dim=-1, descending=True, stable=True)[
        0
    ]
    positions = torch.rand(batch, keypoints, most, 2, generator=generator) * 100
    return torch.where(scores[..., None] > 0, positions, torch.nan), scores


def as_animals(positions: Tensor, scores: Tensor) -> Predictions:
    skeleton = Skeleton(tuple(f"k{i}" for i in range(scores.shape[1])))
    return Predictions.none(len(scores), skeleton).with_animals(*spread_candidates(positions, scores))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 3), st.integers(1, 4), st.integers(0, 6))
def test_what_is_spread_is_gathered_again(seed: int, batch: int, keypoints: int, most: int) -> None:
    positions, scores = sorted_candidates(seed, batch, keypoints, most)
    found = as_animals(positions, scores)
    # Each animal has one keypoint, or none where it only pads its image.
    assert (torch.isfinite(found.keypoints).all(-1).sum(-1) == (found.scores > 0)).all()
    again = gather_candidates(found)
    used = again[1].shape[2]
    assert used == (int((scores > 0).sum(-1).max()) if most else 0)
    assert torch.equal(again[1], scores[:, :, :used])
    assert torch.equal(again[0].nan_to_num(-1), positions[:, :, :used].nan_to_num(-1))
    assert (scores[:, :, used:] == 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 4))
def test_the_best_candidates_are_kept_of_animals_with_any_number_of_keypoints(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(2, 6, 3, 2, generator=generator)
    points[torch.rand(2, 6, 3, generator=generator) < 0.3] = torch.nan
    found = Predictions.none(2, Skeleton(("a", "b", "c"))).with_animals(
        points, torch.rand(2, 6, 3, generator=generator)
    )
    positions, scores = gather_candidates(found, count)
    assert scores.shape[2] <= count
    for b in range(2):
        for k in range(3):
            own = sorted(found.keypoint_scores[b, :, k].tolist(), reverse=True)[: scores.shape[2]]
            assert scores[b, k].tolist() == own
            for place, score in zip(positions[b, k], scores[b, k], strict=True):
                same = found.keypoint_scores[b, :, k] == score
                assert torch.isnan(place).all() if score == 0 else (points[b, same, k] == place).all(-1).any()
