"""Encoding and decoding of heatmaps undo each other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_heatmap.config import HeatmapHeadConfig
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.interfaces import BuildContext, Head, Labels, Predictions
from pose_core.maps import find_peaks
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

NAN = math.nan


def make_head(stride: int = 4, keypoints: int = 3, **config: Any) -> Head:
    context = BuildContext(
        skeleton=Skeleton(tuple(f"k{i}" for i in range(keypoints))), features=(Feature(2, stride),)
    )
    spec = TypeAdapter(AnyHead).validate_python({"type": "heatmap/heatmap", **config})
    assert isinstance(spec, HeatmapHeadConfig)
    spec.check(context.features, None)
    head: Head = context.build("head", spec)
    return head


def encode(head: Head, labels: Labels, stride: int, height: int, width: int) -> dict[str, Tensor]:
    """Targets as a perfect network would put them out; nonsense where nothing is learned."""
    with torch.no_grad():
        outputs = head([torch.zeros(len(labels.keypoints), 2, height // stride, width // stride)])
        targets = head.target_generator(labels, outputs)
    for name, target in targets.items():
        assert target.value.shape == outputs[name].shape
    perfect = {"heatmap": targets["heatmap"].value}
    if "locref" in targets:
        perfect["locref"] = torch.where(targets["locref"].weight > 0, targets["locref"].value, 1e3)
    return perfect


def decode(head: Head, outputs: dict[str, Tensor]) -> Predictions:
    return head.decode(outputs, Predictions.none(len(outputs["heatmap"]), head.skeleton))


CODECS: list[dict[str, Any]] = [
    {},
    {"location_refinement": False},
    {"predictor": {"type": "heatmap/argmax"}},
    {"predictor": {"type": "heatmap/subpixel", "window": 3, "locref": 0}},
    {"predictor": {"type": "heatmap/subpixel", "window": 7, "locref": 0}},
    {"target_generator": {"type": "heatmap/plateau"}, "predictor": {"type": "heatmap/argmax"}},
    {"deconv_padding": "valid"},
    {"deconv_layers": 0},
]


@pytest.mark.parametrize("codec", CODECS, ids=[str(i) for i in range(len(CODECS))])
@given(
    stride=st.sampled_from([1, 2, 4, 8, 16, 32]),
    cells=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_decode_undoes_encode(
    codec: dict[str, Any], stride: int, cells: tuple[int, int], places: list[tuple[float, float]]
) -> None:
    height, width = cells[0] * stride, cells[1] * stride
    head = make_head(stride, **codec)
    # Anywhere in the image: from the outer edge of the first pixel to that of the last.
    keypoints = torch.tensor(places) * torch.tensor([width, height]) - 0.5
    found = decode(head, encode(head, Labels.from_keypoints(keypoints[None, None]), stride, height, width))
    assert found.keypoints.shape == (1, 1, 3, 2)
    assert (found.keypoints[0, 0] - keypoints).norm(dim=-1).max() < 0.1
    assert found.keypoint_scores.min() > 0.1
    assert found.keypoint_scores.max() <= 1


@pytest.mark.parametrize("sigma", [2.7, 4.0, 11.33, 40.0])
def test_any_sigma_is_decoded_exactly(sigma: float) -> None:
    head = make_head(
        4, target_generator={"type": "heatmap/gaussian", "sigma": sigma}, location_refinement=False
    )
    keypoints = torch.rand(50, 1, 3, 2, generator=torch.Generator().manual_seed(0)) * 127
    found = decode(head, encode(head, Labels.from_keypoints(keypoints), 4, 128, 128))
    assert (found.keypoints - keypoints).abs().max() < 0.05


@pytest.mark.parametrize("codec", CODECS[:6], ids=[str(i) for i in range(6)])
def test_missing_keypoints_have_low_scores(codec: dict[str, Any]) -> None:
    head = make_head(4, **codec)
    keypoints = torch.tensor([[[[10.0, 20.0], [NAN, NAN], [30.0, NAN]]], [[[NAN, NAN]] * 3]])
    found = decode(head, encode(head, Labels.from_keypoints(keypoints), 4, 64, 64))
    assert found.keypoint_scores[0, 0, 0] > 0.8
    assert torch.equal(found.keypoint_scores[0, 0, 1:], torch.zeros(2))
    assert torch.equal(found.keypoint_scores[1], torch.zeros(1, 3))
    assert torch.equal(found.scores[1], torch.zeros(1))
    assert (found.keypoints[0, 0, 0] - torch.tensor([10.0, 20.0])).norm() < 0.1


@given(
    stride=st.sampled_from([1, 2, 4, 8]),
    locref=st.booleans(),
    shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
@settings(max_examples=40, deadline=None)
def test_peaks_of_three_animals(stride: int, locref: bool, shift: tuple[float, float]) -> None:
    head = make_head(stride, keypoints=2, deconv_layers=0, location_refinement=locref)
    spread = 16 * stride + 24  # far beyond the blobs of each other
    first = torch.tensor([[0.0, 0.0], [spread, 0.3 * spread], [0.2 * spread, 1.2 * spread]])
    keypoints = torch.stack([first, first.flip(0)], dim=1) + torch.tensor(shift) * stride + spread / 2
    size = math.ceil(2.5 * spread / stride) * stride
    outputs = encode(head, Labels.from_keypoints(keypoints[None]), stride, size, size)
    positions, scores = find_peaks(outputs["heatmap"], head.predictor.grid, 5, locref=outputs.get("locref"))
    assert positions.shape == (1, 2, 5, 2)
    assert torch.equal(scores > 0, torch.tensor([True, True, True, False, False]).expand(1, 2, 5))
    assert torch.isnan(positions[0, :, 3:]).all()
    for k in range(2):
        nearest = torch.cdist(keypoints[:, k], positions[0, k, :3]).amin(1)
        assert nearest.max() < 0.1


def test_location_refinement_points_to_the_nearest_animal() -> None:
    head = make_head(4, keypoints=1, target_generator={"type": "heatmap/gaussian", "locref_radius": 30})
    keypoints = torch.tensor([[[[20.0, 30.0]], [[41.0, 33.0]], [[NAN, NAN]]]])
    outputs = head([torch.zeros(1, 2, 16, 16)])
    value, weight = head.target_generator(Labels.from_keypoints(keypoints), outputs)["locref"]
    centres = head.predictor.grid.centres(16)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    cells = torch.stack([x, y], dim=-1)
    away = keypoints[0, :2, 0] - cells[..., None, :]
    distance = away.norm(dim=-1)
    nearest = away.gather(2, distance.argmin(-1)[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    learned = distance.amin(-1) <= 30
    assert learned.any()
    assert not learned.all()
    assert torch.equal(weight[0, 0].bool(), learned)
    assert torch.equal(weight[0, 0], weight[0, 1])
    torch.testing.assert_close(value[0].permute(1, 2, 0)[learned], nearest[learned])


def test_gaussian_target_is_the_formula() -> None:
    head = make_head(4, target_generator={"type": "heatmap/gaussian", "sigma": 7.0})
    keypoints = torch.rand(2, 2, 3, 2, generator=torch.Generator().manual_seed(1)) * 80
    outputs = head([torch.zeros(2, 2, 16, 20)])
    heat = head.target_generator(Labels.from_keypoints(keypoints), outputs)["heatmap"].value
    x, y = head.predictor.grid.centres(20), head.predictor.grid.centres(16)
    dx, dy = x - keypoints[..., 0, None], y - keypoints[..., 1, None]
    formula = torch.exp(-(dx.square()[..., None, :] + dy.square()[..., None]) / (2 * 49)).amax(1)
    torch.testing.assert_close(heat, formula, atol=4e-4, rtol=0)


def test_plateau_target_is_a_disc() -> None:
    head = make_head(4, keypoints=1, target_generator={"type": "heatmap/plateau", "radius": 9})
    outputs = head([torch.zeros(1, 2, 16, 16)])
    heat = head.target_generator(
        Labels.from_keypoints(torch.tensor([[[[21.0, 33.0]], [[40.0, 12.0]]]])), outputs
    )["heatmap"].value
    centres = head.predictor.grid.centres(16)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    disc = ((x - 21) ** 2 + (y - 33) ** 2 <= 81) | ((x - 40) ** 2 + (y - 12) ** 2 <= 81)
    assert torch.equal(heat[0, 0].bool(), disc)


@pytest.mark.parametrize("kind", ["heatmap/gaussian", "heatmap/plateau"])
def test_unlabelled_keypoint_of_the_only_animal_has_no_weight(kind: str) -> None:
    head = make_head(4, target_generator={"type": kind})
    keypoints = torch.tensor([[[[10.0, 20.0], [NAN, NAN], [30.0, 40.0]]], [[[NAN, NAN]] * 3]])
    outputs = head([torch.zeros(2, 2, 16, 16)])
    targets = head.target_generator(Labels.from_keypoints(keypoints), outputs)
    weight = targets["heatmap"].weight.expand_as(targets["heatmap"].value)
    assert weight[0].amin((1, 2)).tolist() == [1, 0, 1]
    assert weight[0].amax((1, 2)).tolist() == [1, 0, 1]
    assert weight[1].min() == 1, "an image without animals is background"
    assert targets["locref"].weight[0, 2:4].max() == 0
    assert targets["locref"].weight[1].max() == 0


def test_unlabelled_keypoint_among_several_animals() -> None:
    head = make_head(2, keypoints=2)
    first = [[20.0, 20.0], [40.0, 20.0]]
    second = [[80.0, 80.0], [NAN, NAN]]
    boxes = torch.tensor([[[10.0, 10.0, 50.0, 30.0], [70.0, 70.0, 90.0, 90.0]]])
    outputs = head([torch.zeros(1, 2, 64, 64)])
    weight = head.target_generator(
        Labels.from_keypoints(torch.tensor([[first, second]]), boxes=boxes), outputs
    )["heatmap"].weight
    centres = head.predictor.grid.centres(64)
    doubtful = (centres >= 50) & (centres <= 110)  # the box widened by half of 40, the longest side
    assert weight[0, 0].min() == 1
    assert torch.equal(weight[0, 1] == 0, doubtful[:, None] & doubtful)
    near = torch.tensor([[first, [*second[:1], [NAN, NAN]], [[75.0, 75.0], [60.0, 60.0]]]])
    weight = head.target_generator(Labels.from_keypoints(near), outputs)["heatmap"].weight
    assert weight[0, 1, 30, 30] == 1, "a labelled blob counts where another animal's keypoint may be"


@pytest.mark.parametrize("kind", ["heatmap/gaussian", "heatmap/plateau"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_targets_of_an_image_do_not_depend_on_the_batch(kind: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    head = make_head(4, target_generator={"type": kind})
    keypoints = torch.rand(3, 3, 3, 2, generator=generator) * 90 - 10
    keypoints[torch.rand(3, 3, 3, generator=generator) < 0.4] = NAN
    keypoints[0, 1:] = NAN
    outputs = {"heatmap": torch.zeros(3, 3, 18, 20), "locref": torch.zeros(3, 6, 18, 20)}
    together = head.target_generator(Labels.from_keypoints(keypoints), outputs)
    for row in range(3):
        animals = keypoints[row : row + 1]
        animals = animals[:, torch.isfinite(animals).all(-1).any(-1)[0]]
        alone = head.target_generator(Labels.from_keypoints(animals), {n: o[:1] for n, o in outputs.items()})
        for name, (value, weight) in alone.items():
            torch.testing.assert_close(value[0], together[name].value[row])
            whole = together[name].weight[row].expand_as(value[0])
            assert torch.equal(weight[0].expand_as(value[0]), whole)


def test_keypoints_far_outside_leave_nothing() -> None:
    head = make_head(4, keypoints=1)
    outputs = {"heatmap": torch.zeros(1, 1, 16, 16), "locref": torch.zeros(1, 2, 16, 16)}
    for x, y in ((-1e6, 30.0), (30.0, 1e9), (-300.0, -300.0)):
        targets = head.target_generator(Labels.from_keypoints(torch.tensor([[[[x, y]]]])), outputs)
        assert targets["heatmap"].value.max() == 0
        assert targets["locref"].weight.max() == 0
    reaching_in = head.target_generator(Labels.from_keypoints(torch.tensor([[[[-3.0, 30.0]]]])), outputs)
    assert reaching_in["heatmap"].value.max() > 0.3


@pytest.mark.parametrize("predictor", ["heatmap/argmax", "heatmap/subpixel"])
def test_decoding_survives_nonsense(predictor: str) -> None:
    head = make_head(4, predictor={"type": predictor})
    for fill in (0.0, -5.0, 1e30):
        outputs = {"heatmap": torch.full((2, 3, 2, 5), fill), "locref": torch.zeros(2, 6, 2, 5)}
        found = decode(head, outputs)
        assert torch.isfinite(found.keypoints).all()
        assert found.keypoint_scores.min() >= 0
        assert found.keypoint_scores.max() <= 1


@pytest.mark.parametrize("kind", ["heatmap/gaussian", "heatmap/plateau"])
@given(seed=st.integers(0, 10**6), animals=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_unlabelled_keypoints_may_be_taught_as_absent(kind: str, seed: int, animals: int) -> None:
    """All of every map counts, whatever is labelled; the blobs are the same ones, and a map of a keypoint
    that no animal has is empty."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(2, animals, 3, 2, generator=generator) * 60
    points[torch.rand(2, animals, 3, generator=generator) < 0.4] = NAN
    made = {}
    for missing in ("unknown", "absent"):
        head = make_head(target_generator={"type": kind, "missing": missing})
        outputs = {"heatmap": torch.zeros(2, 3, 16, 16), "locref": torch.zeros(2, 6, 16, 16)}
        made[missing] = head.target_generator(Labels.from_keypoints(points), outputs)
    absent = made["absent"]["heatmap"]
    assert torch.equal(absent.value, made["unknown"]["heatmap"].value)
    assert (absent.weight == 1).all()
    gone = ~torch.isfinite(points).all(-1).any(1)
    assert not absent.value[gone].any()
    unsure = made["unknown"]["heatmap"].weight.expand_as(absent.value)[gone].flatten(1)
    # What is unknown has weight 0 somewhere, unless there is no animal at all.
    there = torch.isfinite(points).all(-1).flatten(1).any(1)[:, None].expand_as(gone)[gone]
    assert bool((unsure.amin(1) == 0).eq(there).all()) if len(unsure) else True
    assert torch.equal(made["absent"]["locref"].weight, made["unknown"]["locref"].weight)


@pytest.mark.parametrize("fit", ["gaussian", "integral"])
@given(seed=st.integers(0, 10**6), animals=st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_candidates_are_all_peaks_of_all_maps(fit: str, seed: int, animals: int) -> None:
    """Keypoints that are far from each other, some of them missing: one candidate each, where it is and as
    high as its blob."""
    head = make_head(
        location_refinement=False,
        target_generator={"type": "heatmap/gaussian", "sigma": 4},
        predictor={"type": "heatmap/peaks", "fit": fit},
    )
    generator = torch.Generator().manual_seed(seed)
    corners = torch.tensor([[30.0, 30], [110, 34], [36, 112], [114, 110]])[:animals]
    points = corners[None, :, None] + torch.rand(2, animals, 3, 2, generator=generator) * 12
    points[torch.rand(2, animals, 3, generator=generator) < 0.3] = NAN
    found = decode(head, encode(head, Labels.from_keypoints(points), 4, 144, 144))
    seen = torch.isfinite(found.keypoints).all(-1)
    assert torch.equal(seen.sum(-1) > 0, found.scores > 0)
    assert seen.sum(-1).max() <= 1 if seen.numel() else True
    for b in range(2):
        for k in range(3):
            truth = points[b, :, k][torch.isfinite(points[b, :, k]).all(-1)]
            candidates = found.keypoints[b, seen[b, :, k], k]
            assert len(candidates) == len(truth)
            for place in truth:
                near = (candidates - place).norm(dim=-1)
                # The mean of cells stays nearer to its cell than a blob is.
                assert near.min() < (0.1 if fit == "gaussian" else 1.0)
    # No cell is farther than half a cell on each axis: exp(-(2^2 + 2^2) / (2 4^2)) = 0.78.
    assert (found.keypoint_scores[seen] > 0.77).all()


def test_candidates_are_limited_to_the_highest_ones() -> None:
    head = make_head(
        keypoints=1,
        location_refinement=False,
        predictor={"type": "heatmap/peaks", "candidates": 2, "threshold": 0.3, "nms": 3},
    )
    heat = torch.zeros(1, 1, 20, 20)
    for column, height in ((2, 0.4), (8, 0.9), (14, 0.6), (18, 0.2)):
        heat[0, 0, 10, column] = height
    found = decode(head, {"heatmap": heat})
    assert found.scores[0].tolist() == pytest.approx([0.9, 0.6])
    logits = make_head(
        keypoints=1,
        location_refinement=False,
        losses={"heatmap": {"type": "heatmap/bce"}},
        predictor={"type": "heatmap/peaks", "threshold": 0.3},
    )
    found = decode(logits, {"heatmap": torch.where(heat > 0, heat, 1e-6).logit()})
    assert sorted(found.scores[0].tolist()) == pytest.approx([0.4, 0.6, 0.9])
