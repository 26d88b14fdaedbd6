"""Decoding: animals that went into ideal maps come out; anything else does no harm."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_dekr.nms import (
    count_close_keypoints,
    decide_joints,
    pose_diagonals,
    suppress_at_once,
    suppress_in_order,
)
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Predictions
from pose_core.specs import AnyPredictor, AnyTargetGenerator
from pose_core.structures import Skeleton

NAN = math.nan
SIZE = (60, 72)


def decode(outputs: dict[str, Tensor], individuals: int = 10, **config: Any) -> Predictions:
    k = outputs["heatmap"].shape[1] - 1
    skeleton = Skeleton(
        tuple(f"k{i}" for i in range(k)), individuals=tuple(f"a{i}" for i in range(individuals))
    )
    spec = TypeAdapter(AnyPredictor).validate_python({"type": "dekr/centers", **config})
    predictor = BuildContext(skeleton=skeleton).build("predictor", spec, Grid.cells(4))
    found: Predictions = predictor(outputs, Predictions.none(len(outputs["heatmap"]), skeleton))
    batch = len(outputs["heatmap"])
    assert found.keypoints.shape == (batch, found.scores.shape[1], k, 2)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert ((found.keypoint_scores >= 0) & (found.keypoint_scores <= 1)).all()
    missing = torch.isnan(found.keypoints).any(-1)
    assert (found.keypoint_scores[missing] == 0).all()
    return found


def ideal(points: Tensor, size: tuple[int, int] = SIZE) -> dict[str, Tensor]:
    """The targets of animals (B, N, K, 2)."""
    batch, _, k, _ = points.shape
    labels = Labels.from_keypoints(points)
    spec = TypeAdapter(AnyTargetGenerator).validate_python({"type": "dekr/dekr"})
    context = BuildContext(skeleton=Skeleton(tuple(f"k{i}" for i in range(k))))
    generator = context.build("target_generator", spec, Grid.cells(4))
    shapes = {"heatmap": torch.zeros(batch, k + 1, *size), "offset": torch.zeros(batch, 2 * k, *size)}
    return {name: target.value for name, target in generator(labels, shapes).items()}


def animals_of(found: Predictions, image: int = 0) -> Tensor:
    there = torch.isfinite(found.keypoints[image]).all(-1).any(-1)
    assert not there.int().diff().gt(0).any(), "animals come first"
    return found.keypoints[image][there]


def crowd(seed: int, n: int, k: int, missing: float) -> Tensor:
    """(1, N, K, 2): animals of about 50 pixels whose centres are three cells apart or more."""
    generator = torch.Generator().manual_seed(seed)
    poses: list[Tensor] = []
    cells: list[Tensor] = []
    while len(poses) < n:
        pose = (torch.rand(k, 2, generator=generator) - 0.5) * 50
        pose = (
            pose
            + 20
            + torch.rand(2, generator=generator) * torch.tensor([SIZE[1] * 4 - 40.0, SIZE[0] * 4 - 40.0])
        )
        gone = torch.rand(k, generator=generator) < missing
        gone[int(torch.randint(k, (1,), generator=generator))] = False
        pose[gone] = NAN
        cell = ((pose[~gone].mean(0) - 1.5) / 4).round()
        inside = ((cell >= 0) & (cell < torch.tensor([SIZE[1], SIZE[0]]))).all()
        if inside and all((cell - c).abs().max() >= 3 for c in cells):
            poses.append(pose)
            cells.append(cell)
    return torch.stack(poses)[None]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 10),
    k=st.integers(1, 20),
    missing=st.sampled_from([0.0, 0.3, 0.7]),
    limit=st.sampled_from([10, 14]),
)
def test_every_animal_comes_out_exactly(seed: int, n: int, k: int, missing: float, limit: int) -> None:
    points = crowd(seed, n, k, missing)
    found = animals_of(decode(ideal(points), limit))
    assert len(found) == n
    labelled = torch.isfinite(points[0]).all(-1)
    off = (found[:, None] - points[0][None]).norm(dim=-1)
    worst = torch.where(labelled[None], off, 0.0).amax(-1)
    assert (worst.amin(0) < 1e-3).all(), "each animal is among the found"
    assert worst.argmin(0).unique().numel() == n


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 8))
def test_order_of_animals_does_not_matter(seed: int, n: int) -> None:
    points = crowd(seed, n, 4, 0.2)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    one, other = decode(ideal(points)), decode(ideal(points[:, order]))
    torch.testing.assert_close(one.keypoints, other.keypoints, equal_nan=True)
    torch.testing.assert_close(one.scores, other.scores)


def test_images_of_a_batch_do_not_meet() -> None:
    points = torch.cat([crowd(1, 5, 3, 0.0), crowd(2, 5, 3, 0.0), torch.full((1, 5, 3, 2), NAN)])
    together = decode(ideal(points))
    for image in range(3):
        alone = decode(ideal(points[image : image + 1]))
        torch.testing.assert_close(together.keypoints[image], alone.keypoints[0], equal_nan=True)
    assert len(animals_of(together, 2)) == 0


def test_more_animals_than_individuals_leaves_the_surest() -> None:
    outputs = ideal(crowd(3, 6, 4, 0.0))
    all_of_them, three = decode(outputs), decode(outputs, 3)
    assert three.keypoints.shape[1] == 3
    assert torch.equal(three.keypoints, all_of_them.keypoints[:, :3])
    assert (three.scores.diff() <= 0).all()
    assert torch.equal(decode(outputs, animals=3).keypoints, three.keypoints)


def test_two_animals_in_one_place_are_one() -> None:
    pose = crowd(4, 1, 5, 0.0)
    assert len(animals_of(decode(ideal(pose.expand(1, 2, 5, 2))))) == 1
    # Two centres of one animal, far apart, whose offsets lead to the same keypoints.
    outputs = ideal(pose)
    row, column = (
        int(i) for i in (outputs["heatmap"][0, -1] == outputs["heatmap"][0, -1].amax()).nonzero()[0]
    )
    away = 10 if column < 36 else -10
    outputs["heatmap"][0, -1, row, column + away] = 0.6
    outputs["offset"][0, :, row, column + away] = outputs["offset"][0, :, row, column]
    outputs["offset"][0, 0::2, row, column + away] += away
    assert len(animals_of(decode(outputs))) == 1
    assert len(animals_of(decode(outputs, pose_nms=0.0))) == 2


def test_few_close_keypoints_make_no_duplicate_but_as_trained_they_do() -> None:
    points = torch.tensor(
        [[[30.0, 30.0], [60.0, 30.0], [30.0, 60.0]], [[30.0, 30.0], [110.0, 90.0], [100.0, 110.0]]]
    )
    outputs = ideal(points[None])
    assert len(animals_of(decode(outputs))) == 2
    assert len(animals_of(decode(outputs, suppression="at_once", pose_nms_joints=1))) == 1


@pytest.mark.parametrize(("k", "expected"), [(1, 1), (2, 2), (3, 2), (5, 3), (12, 7), (17, 9), (20, 11)])
def test_more_than_half_of_the_keypoints_make_two_poses_one(k: int, expected: int) -> None:
    assert decide_joints(None, k) == expected
    assert decide_joints(8, k) == min(8, k)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), m=st.integers(1, 8))
def test_suppression_is_that_of_loops(seed: int, m: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    same = torch.rand(2, m, m, generator=generator) < 0.3
    found = torch.rand(2, m, generator=generator) < 0.8
    ordered, at_once = suppress_in_order(same, found), suppress_at_once(same, found)
    for image in range(2):
        kept = [bool(f) for f in found[image]]
        for i in range(m):
            for j in range(i + 1, m):
                if kept[i] and same[image, i, j]:
                    kept[j] = False
        assert ordered[image].tolist() == kept
        there = found[image].tolist()
        pairs = same[image]
        assert at_once[image].tolist() == [
            there[j] and not any(there[i] and pairs[i, j] for i in range(j)) for j in range(m)
        ]


def test_close_keypoints_are_counted() -> None:
    poses = torch.tensor([[[[0.0, 0.0], [3.0, 4.0]], [[0.0, 1.0], [NAN, NAN]], [[9.0, 9.0], [3.0, 4.5]]]])
    assert pose_diagonals(poses).tolist() == [[5.0, 0.0, pytest.approx(math.hypot(6, 4.5))]]
    reach = torch.tensor([[2.0, 0.5, 0.25]])
    assert count_close_keypoints(poses, reach[..., None])[0].tolist() == [[2, 1, 1], [0, 1, 0], [0, 0, 2]]


def test_the_threshold_is_one() -> None:
    outputs = ideal(crowd(5, 2, 3, 0.0))
    outputs["heatmap"] *= 0.3
    assert len(animals_of(decode(outputs, threshold=0.25))) == 2
    assert len(animals_of(decode(outputs, threshold=0.35))) == 0
    assert len(animals_of(decode({n: torch.zeros_like(o) for n, o in outputs.items()}, threshold=0.0))) == 0


def test_scores() -> None:
    points = torch.tensor([[[[41.5, 41.5], [81.5, 41.5], [61.5, 81.5]]]])
    outputs = ideal(points)
    outputs["heatmap"] *= torch.tensor([0.5, 0.8, 1.5, 0.9])[:, None, None]
    center = float(outputs["heatmap"][0, -1].amax())
    heights = torch.tensor([0.5, 0.8, 1.0])
    for kind, expected in (
        ("heatmap", heights),
        ("combined", heights * center),
        ("center", torch.full((3,), center)),
    ):
        found = decode(outputs, keypoint_score=kind)
        torch.testing.assert_close(found.keypoint_scores[0, 0], expected, rtol=1e-4, atol=1e-4)
        assert float(found.scores[0, 0]) == pytest.approx(float(heights.mean()) * center, rel=1e-4)
    logits = {"heatmap": outputs["heatmap"].clamp(1e-6, 1 - 1e-6).logit(), "offset": outputs["offset"]}
    torch.testing.assert_close(
        decode(logits, sigmoid=True).keypoint_scores, decode(outputs).keypoint_scores, rtol=1e-3, atol=1e-3
    )


def test_low_keypoints_are_missing_where_that_is_wanted() -> None:
    points = torch.tensor([[[[41.5, 41.5], [81.5, 41.5], [NAN, NAN]]]])
    found = decode(ideal(points), keypoint_threshold=0.3)
    assert torch.isnan(found.keypoints[0, 0, 2]).all()
    torch.testing.assert_close(found.keypoints[0, 0, :2], points[0, 0, :2])
    everywhere = decode(ideal(points))
    assert torch.isfinite(everywhere.keypoints[0, 0]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 4))
def test_keypoints_are_refined_to_the_middle_of_their_blobs(seed: int, n: int) -> None:
    points = crowd(seed, n, 1, 0.0).expand(1, n, 3, 2)
    points = points + torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    outputs = ideal(points)
    outputs["offset"] += 0.4 * torch.randn(
        outputs["offset"].shape, generator=torch.Generator().manual_seed(seed)
    )
    found, rough = animals_of(decode(outputs, refine=8.0)), animals_of(decode(outputs))

    def errors(poses: Tensor) -> Tensor:
        return (poses[:, None] - points[0][None]).norm(dim=-1).amin(0)

    # The blob of a keypoint at or beyond the edge is cut off, so its middle is elsewhere.
    if ((points > 8) & (points < torch.tensor([SIZE[1] * 4 - 9.0, SIZE[0] * 4 - 9.0]))).all():
        assert errors(found).amax() < 0.05 or n > 1
        assert errors(found).mean() < errors(rough).mean() + 0.5
    still = animals_of(decode(outputs, refine=1e-6))
    torch.testing.assert_close(still, rough)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    k=st.integers(1, 6),
    scale=st.sampled_from([0.0, 1.0, 1e4, 1e30]),
    broken=st.sampled_from([0.0, 0.2, 1.0]),
    config=st.sampled_from(
        [
            {},
            {"refine": 20.0, "threshold": 0.0},
            {"suppression": "at_once", "reading": "cells", "threshold": 0.0, "refine": 300.0},
            {"keypoint_threshold": 0.2, "sigmoid": True},
        ]
    ),
)
def test_nothing_crashes(
    seed: int, size: tuple[int, int], k: int, scale: float, broken: float, config: dict[str, Any]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs = {}
    for name, channels in (("heatmap", k + 1), ("offset", 2 * k)):
        maps = torch.randn(2, channels, *size, generator=generator) * scale
        maps[torch.rand(maps.shape, generator=generator) < broken] = [NAN, math.inf, -math.inf][seed % 3]
        outputs[name] = maps
    found = decode(outputs, 4, **config)
    there = torch.isfinite(found.keypoints)
    assert (there | torch.isnan(found.keypoints)).all(), "never infinite"


def test_an_even_neighbourhood_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be odd, a cell has equally many on both sides; 3 or 5"):
        TypeAdapter(AnyPredictor).validate_python({"type": "dekr/centers", "center_nms": 4})
