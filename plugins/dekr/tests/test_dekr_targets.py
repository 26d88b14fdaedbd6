"""Targets of DEKR, against a plain statement of the rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_dekr.config import DekrTargetConfig
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext, Grid, Labels, Target
from pose_core.specs import AnyTargetGenerator
from pose_core.structures import Skeleton

NAN = math.nan
STRIDE = 4


def make_labels(keypoints: torch.Tensor, **more: torch.Tensor) -> Labels:
    shape = keypoints.shape[:2]
    given = {
        "occluded": torch.zeros(keypoints.shape[:3], dtype=torch.bool),
        "boxes": torch.full((*shape, 4), NAN),
        "areas": torch.full(shape, NAN),
        "identity": torch.full(shape, -1),
        "unique_keypoints": torch.zeros(shape[0], 0, 2),
    }
    return Labels(keypoints=keypoints, **{**given, **more})


def targets(labels: Labels, size: tuple[int, int], **config: Any) -> dict[str, Target]:
    k = labels.keypoints.shape[2]
    spec = TypeAdapter(AnyTargetGenerator).validate_python({"type": "dekr/dekr", **config})
    context = BuildContext(skeleton=Skeleton(tuple(f"k{i}" for i in range(k))))
    generator = context.build("target_generator", spec, Grid.cells(STRIDE))
    batch = len(labels.keypoints)
    outputs = {"heatmap": torch.zeros(batch, k + 1, *size), "offset": torch.zeros(batch, 2 * k, *size)}
    made: dict[str, Target] = generator(labels, outputs)
    for name, output in outputs.items():
        assert made[name].value.shape == output.shape
        assert torch.broadcast_shapes(made[name].weight.shape, output.shape) == output.shape
        assert all(torch.isfinite(t).all() for t in made[name])
    return made


def scene(seed: int, animals: int, k: int, size: tuple[int, int], missing: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([size[1] * STRIDE, size[0] * STRIDE], dtype=torch.float32)
    middles = torch.rand(1, animals, 1, 2, generator=generator) * extent
    points = middles + (torch.rand(1, animals, k, 2, generator=generator) - 0.5) * 40
    points[torch.rand(1, animals, k, generator=generator) < missing] = NAN
    return points


def plain(points: np.ndarray, areas: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """One image by loops. ``points`` (N, K, 2), every animal with all its keypoints or some."""
    n, k, _ = points.shape
    sigma, center_sigma, radius = 6.0, 8.0, 16.0
    heat, weight = np.zeros((k + 1, *size)), np.full((k + 1, *size), 0.1)
    offset, strength = np.zeros((2 * k, *size)), np.zeros((2 * k, *size))
    centers = np.full((n, 2), np.nan)
    for i in range(n):
        labelled = ~np.isnan(points[i, :, 0])
        if labelled.any():
            centers[i] = points[i, labelled].mean(0)
    for row in range(size[0]):
        for column in range(size[1]):
            cell = np.array([column, row]) * STRIDE + 1.5
            best = None
            for i in range(n):
                for j in range(k + 1):
                    at, s = (points[i, j], sigma) if j < k else (centers[i], center_sigma)
                    if np.isnan(at[0]):
                        continue
                    away = cell - at
                    heat[j, row, column] = max(heat[j, row, column], math.exp(-(away**2).sum() / 2 / s**2))
                    if (abs(away) <= 3 * s).all():
                        weight[j, row, column] = 1
                away = cell - centers[i]
                if not np.isnan(away[0]) and (abs(away) <= radius).all():
                    own = (np.round((centers[i] - 1.5) / STRIDE) == [column, row]).all()
                    rank = (not own, areas[i], (away**2).sum())
                    if best is None or rank < best[0]:
                        best = (rank, i)
            if best is not None:
                for j in range(k):
                    if not np.isnan(points[best[1], j, 0]):
                        offset[2 * j : 2 * j + 2, row, column] = (cell - points[best[1], j]) / STRIDE
                        strength[2 * j : 2 * j + 2, row, column] = areas[best[1]] ** -0.5
    return {"heat": heat, "weight": weight, "offset": offset, "strength": strength}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    animals=st.integers(1, 4),
    k=st.integers(1, 4),
    size=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    missing=st.sampled_from([0.0, 0.4]),
)
def test_they_follow_the_rules(
    seed: int, animals: int, k: int, size: tuple[int, int], missing: float
) -> None:
    points = scene(seed, animals, k, size, missing)
    areas = 1000.0 + torch.randint(0, 3, (1, animals), generator=torch.Generator().manual_seed(seed)) * 500.0
    made = targets(make_labels(points, areas=areas), size)
    expected = plain(points[0].double().numpy(), areas[0].double().numpy(), size)
    heat, weight = made["heatmap"]
    np.testing.assert_allclose(heat[0].numpy(), expected["heat"], atol=5e-4)
    if missing == 0:
        np.testing.assert_array_equal(weight[0].numpy(), expected["weight"].astype(np.float32))
    np.testing.assert_array_equal(weight[0, -1].numpy(), expected["weight"][-1].astype(np.float32))
    np.testing.assert_allclose(made["offset"].weight[0].numpy(), expected["strength"], rtol=1e-5)
    np.testing.assert_allclose(made["offset"].value[0].numpy(), expected["offset"], atol=1e-4)


def test_the_smaller_animal_has_the_cells_but_for_anothers_centre() -> None:
    small, large = torch.tensor([[33.5, 33.5], [33.5, 33.5]]), torch.tensor([[12.0, 45.5], [71.0, 45.5]])
    points = torch.stack([large, small])[None]
    made = targets(make_labels(points, areas=torch.tensor([[900.0, 100.0]])), (20, 20))["offset"]
    # Both squares cover these cells, rows 7 to 11.
    assert (made.weight[0, :, 9, 6:11] == 0.1).all()
    assert made.weight[0, 0, 14, 8] == pytest.approx(1 / 30)
    assert made.weight[0, 0, 11, 10] == pytest.approx(1 / 30), "the cell of the large one's centre"
    assert made.value[0, 0, 11, 10] == pytest.approx((41.5 - 12) / 4)


def test_what_is_unlabelled_does_not_count() -> None:
    points = torch.full((1, 2, 3, 2), NAN)
    points[0, 0] = torch.tensor([[10.0, 10.0], [20.0, 14.0], [NAN, NAN]])
    alone = targets(make_labels(points), (20, 20))
    assert (alone["heatmap"].weight[0, 2] == 0).all(), "the only animal may have it anywhere"
    assert (alone["offset"].weight[0, 4:] == 0).all()
    assert alone["offset"].weight[0, :4].amax() > 0
    points[0, 1] = torch.tensor([[60.0, 60.0], [70.0, 66.0], [64.0, 70.0]])
    two = targets(make_labels(points), (20, 20))
    assert two["heatmap"].weight[0, 2, 2, 2] == 0, "near the animal that lacks it"
    assert two["heatmap"].weight[0, 2, 17, 16] == 1, "the blob of the other"
    assert two["heatmap"].weight[0, 2, 17, 1] == pytest.approx(0.1)
    two_alone = targets(make_labels(torch.cat([points, torch.full((1, 3, 3, 2), NAN)], dim=1)), (20, 20))
    for name in two:
        for one, other in zip(two[name], two_alone[name], strict=True):
            assert torch.equal(one, other), "animals without a keypoint are none"


def test_without_animals_all_is_background() -> None:
    for animals in (0, 2):
        made = targets(make_labels(torch.full((2, animals, 3, 2), NAN)), (6, 8), background=0.3)
        assert (made["heatmap"].value == 0).all()
        assert (made["heatmap"].weight == np.float32(0.3)).all()
        assert (made["offset"].weight == 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), far=st.sampled_from([1.0, 1e3, 1e8]))
def test_order_does_not_matter_and_far_points_do_no_harm(seed: int, far: float) -> None:
    points = scene(seed, 4, 3, (12, 12), 0.2) * far
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    one, other = (targets(make_labels(p), (12, 12)) for p in (points, points[:, order]))
    for name in one:
        for a, b in zip(one[name], other[name], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_areas_are_labelled_ones_else_boxes_else_keypoints() -> None:
    points = torch.tensor([[[[20.0, 20.0], [40.0, 30.0]]]])
    boxes = torch.tensor([[[10.0, 10.0, 50.0, 35.0]]])
    for more, area in (
        ({}, 200.0),
        ({"boxes": boxes}, 1000.0),
        ({"boxes": boxes, "areas": torch.tensor([[625.0]])}, 625.0),
    ):
        weight = targets(make_labels(points, **more), (16, 16))["offset"].weight
        assert float(weight.amax()) == pytest.approx(area**-0.5)
    line = targets(make_labels(torch.tensor([[[[20.0, 20.0], [40.0, 20.0]]]])), (16, 16))["offset"].weight
    assert float(line.amax()) == pytest.approx(0.1)


@pytest.mark.parametrize(("field", "value"), [("sigma", 1.0), ("center_sigma", 1.0), ("offset_radius", 3.0)])
def test_blobs_between_cells_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{field}: .* is too small for cells of 4 pixels"):
        DekrTargetConfig(**{field: value}).check_stride(4)
    DekrTargetConfig().check_stride(4)
