"""Imperfect poses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_buctd.conditions import Conditions
from pose_buctd.sampling import GOOD, INVERSION, JITTER, MISS, SWAP, Sampled
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext, Labels
from pose_core.specs import AnyInput
from pose_core.structures import Skeleton

NAMES = ("nose", "left_ear", "right_ear", "tail", "left_hip", "right_hip")
PAIRS = (("left_ear", "right_ear"), ("left_hip", "right_hip"))
MIRROR = [0, 2, 1, 3, 5, 4]
NAN = float("nan")
SIZE = (4096, 4096)
AREA = 1024.0**2
ERRORS = {"jitter": 0.2, "swap": 0.15, "inversion": 0.1, "miss": 0.25, "missing": 0.1}


def make(symmetry: tuple[tuple[str, str], ...] = PAIRS, **errors: Any) -> Conditions:
    """Conditions whose keypoints err one by one, unless the errors say otherwise."""
    errors = {"shift": 0.0, "turn": 0.0, **errors}
    spec = TypeAdapter(AnyInput).validate_python({"type": "buctd/conditions", "errors": errors})
    part: Conditions = BuildContext(skeleton=Skeleton(NAMES, symmetry=symmetry)).build("input", spec)
    return part


def labels(keypoints: torch.Tensor, area: float = NAN) -> Labels:
    return Labels.from_keypoints(keypoints, areas=torch.full(keypoints.shape[:2], area))


def far_apart(b: int, n: int) -> torch.Tensor:
    """Keypoints so far from each other and from the borders that every error says where it came from."""
    keypoints = torch.zeros(b, n, len(NAMES), 2)
    for animal in range(n):
        for i in range(len(NAMES)):
            keypoints[:, animal, i] = torch.tensor([400.0 + 600 * i, 600.0 + 900 * animal])
    return keypoints


def drawn(part: Conditions, keypoints: torch.Tensor, seed: int = 0, area: float = AREA) -> Sampled:
    torch.manual_seed(seed)
    return part.sample(labels(keypoints, area), SIZE)


def test_kinds_have_their_probabilities() -> None:
    sampled = drawn(make(**ERRORS), far_apart(3000, 3))
    paired = [1, 2, 4, 5]
    share = torch.stack([(sampled.kind[:, paired] == kind).float().mean() for kind in range(5)])
    expected = torch.tensor([0.3, 0.2, 0.25, 0.1, 0.15])
    # 12000 draws: five standard deviations are 0.023.
    assert (share - expected).abs().max() < 0.023
    # Keypoints without a mirrored one are never inverted; the others share its probability.
    lone = sampled.kind[:, [0, 3]]
    assert not (lone == INVERSION).any()
    assert abs(float((lone == GOOD).float().mean()) - 0.3 / 0.9) < 0.035
    absent = torch.isnan(sampled.keypoints).any(-1)
    assert abs(float(absent.float().mean()) - 0.1) < 0.012


def test_distances_are_those_of_similarities() -> None:
    truth = far_apart(2000, 3)
    sampled = drawn(make(**ERRORS), truth)
    distance = (sampled.keypoints - sampled.taken_for).norm(dim=-1)
    there = ~torch.isnan(distance)
    # The keypoint similarity of OKS, written out for sigma 0.1.
    similarity = torch.exp(-(distance**2) / (2 * AREA * (2 * 0.1) ** 2))
    for kind, low, high in (
        (GOOD, 0.85, 1.0),
        (JITTER, 0.5, 0.85),
        (MISS, 0.1, 0.5),
        (INVERSION, 0.5, 1),
        (SWAP, 0.5, 1),
    ):
        found = similarity[(sampled.kind == kind) & there]
        assert len(found) > 500
        assert low - 1e-3 <= float(found.min()), kind
        assert float(found.max()) <= high + 1e-3, kind
        assert float(found.max() - found.min()) > 0.8 * (high - low), kind


def test_errors_come_from_the_right_places() -> None:
    truth = far_apart(500, 3)
    sampled = drawn(make(**ERRORS), truth)
    own = {GOOD: True, JITTER: True, MISS: True}
    for kind in own:
        chosen = sampled.kind == kind
        assert torch.equal(sampled.taken_for[chosen], truth[:, 0][chosen])
    chosen = sampled.kind == INVERSION
    assert torch.equal(sampled.taken_for[chosen], truth[:, 0][:, MIRROR][chosen])
    row, keypoint = torch.nonzero(sampled.kind == SWAP, as_tuple=True)
    place = sampled.taken_for[row, keypoint]
    others = torch.cat([truth[:, 1:], truth[:, 1:][:, :, MIRROR]], dim=1)[row, :, keypoint]
    matches = (others == place[:, None]).all(-1)
    assert matches.any(-1).all()
    assert matches.any(0).all()


def test_sigma_by_keypoint_scales_distances() -> None:
    sigma = {name: 0.02 * (i + 1) for i, name in enumerate(NAMES)}
    part = make(jitter=1.0, swap=0.0, inversion=0.0, miss=0.0, missing=0.0, sigma=sigma)
    truth = far_apart(400, 1)
    distance = (drawn(part, truth).keypoints - truth[:, 0]).norm(dim=-1)
    unit = 2 * torch.tensor([sigma[name] for name in NAMES]) * math.sqrt(AREA)
    low, high = (math.sqrt(-2 * math.log(s)) for s in (0.85, 0.5))
    assert ((distance / unit).amin(0) >= low - 1e-3).all()
    assert ((distance / unit).amax(0) <= high + 1e-3).all()


def test_the_whole_pose_is_moved_and_turned() -> None:
    truth = far_apart(2000, 1)
    single = {"jitter": 0.0, "swap": 0.0, "inversion": 0.0, "miss": 0.0, "missing": 0.0, "sigma": 1e-6}
    moved = drawn(make(**single, shift=0.2, turn=0.0), truth).keypoints - truth[:, 0]
    step = moved[:, :1]
    torch.testing.assert_close(moved, step.expand_as(moved), atol=0.05, rtol=0)
    far = step[:, 0].norm(dim=-1) / math.sqrt(AREA)
    assert 0.19 < float(far.max()) <= 0.2 + 1e-4
    assert float((far < 0.1).float().mean()) == pytest.approx(0.25, abs=0.04), (
        "all places within reach equally likely"
    )
    assert step.mean(0).norm() < 0.02 * math.sqrt(AREA)

    turned = drawn(make(**single, shift=0.0, turn=15.0), truth).keypoints
    middle = truth[:, 0].mean(1, keepdim=True)
    torch.testing.assert_close(turned.mean(1, keepdim=True), middle, atol=0.1, rtol=0)
    first, last = turned[:, 0] - middle[:, 0], truth[:, 0, 0] - middle[:, 0]
    angle = torch.rad2deg(torch.atan2(first[:, 1], first[:, 0]) - torch.atan2(last[:, 1], last[:, 0]))
    angle = (angle + 180) % 360 - 180
    assert 14.5 < float(angle.abs().max()) <= 15.01
    assert abs(float(angle.mean())) < 1
    torch.testing.assert_close(first.norm(dim=-1), last.norm(dim=-1), atol=0.1, rtol=0)


def test_without_symmetry_any_other_keypoint_is_taken() -> None:
    part = make((), jitter=0.0, swap=0.0, inversion=1.0, miss=0.0, missing=0.0)
    truth = far_apart(300, 1)
    truth[:, 0, 3] = NAN
    sampled = drawn(part, truth)
    distance = (sampled.taken_for[:, :, None] - truth[:, 0][:, None]).norm(dim=-1).nan_to_num(1e9)
    taken = distance.argmin(-1)
    for i in (0, 1, 2, 4, 5):
        assert set(taken[:, i].tolist()) == {0, 1, 2, 4, 5} - {i}
    assert torch.isnan(sampled.keypoints[:, 3]).all()


def test_the_true_pose_does_not_come_out() -> None:
    truth = far_apart(200, 2)
    sampled = drawn(make(), truth)
    assert (sampled.keypoints != truth[:, 0]).any(-1).all()
    part = make(jitter=0.0, swap=0.0, inversion=0.0, miss=1.0, missing=0.0)
    assert (drawn(part, truth).keypoints - truth[:, 0]).norm(dim=-1).min() > 100


def test_something_is_always_left() -> None:
    sampled = drawn(make(missing=0.99), far_apart(500, 1))
    there = ~torch.isnan(sampled.keypoints).any(-1)
    assert there.any(-1).all()
    assert there.float().mean() < 0.3


def test_the_same_seed_gives_the_same_conditions() -> None:
    part, given_labels = make(shift=0.2, turn=15.0), labels(far_apart(4, 2) / 64)
    torch.manual_seed(1)
    first, second = (part.for_training(given_labels, (64, 64)) for _ in range(2))
    torch.manual_seed(1)
    again = part.for_training(given_labels, (64, 64))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_validation_is_deterministic_and_errs_too() -> None:
    part, given_labels = make(shift=0.2, turn=15.0).eval(), labels(far_apart(40, 2) / 64)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = part.for_training(given_labels, (64, 64))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(part.for_training(given_labels, (64, 64)), first)
    sampled = part.sample(given_labels, (64, 64))
    assert set(sampled.kind.flatten().tolist()) == {GOOD, JITTER, MISS, INVERSION, SWAP}


coordinates = st.one_of(st.floats(-1e4, 1e4, width=32), st.just(NAN))


@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    n=st.integers(1, 3),
    area=st.one_of(st.just(NAN), st.floats(0, 1e6)),
    seed=st.integers(0, 99),
)
def test_whatever_is_labelled_gives_finite_maps(data: st.DataObject, n: int, area: float, seed: int) -> None:
    values = data.draw(st.lists(coordinates, min_size=2 * n * 6 * 2, max_size=2 * n * 6 * 2))
    keypoints = torch.tensor(values).reshape(2, n, 6, 2)
    torch.manual_seed(seed)
    part = make(**ERRORS, shift=0.2, turn=15.0)
    sampled = part.sample(labels(keypoints, area), (48, 64))
    labelled = ~torch.isnan(keypoints[:, 0]).any(-1)
    there = ~torch.isnan(sampled.keypoints).any(-1)
    assert not (there & ~labelled).any()
    assert torch.equal(there.any(-1), labelled.any(-1))
    inside = sampled.keypoints[there]
    assert (inside >= 0).all()
    assert (inside <= torch.tensor([63.0, 47.0])).all()
    maps = part.for_training(labels(keypoints, area), (48, 64))
    assert maps.shape == (2, 6, 48, 64)
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize("area", [NAN, 900.0])
def test_areas_fall_back_to_what_is_known(area: float) -> None:
    part = make(jitter=1.0, swap=0.0, inversion=0.0, miss=0.0, missing=0.0)
    keypoints = torch.full((1, 1, 6, 2), 50.0)
    distances = (part.sample(labels(keypoints, area), (100, 100)).keypoints - 50).norm(dim=-1)
    # Neither a pose of one point nor a small area makes errors smaller than those of a sixteenth of the crop.
    low, high = (
        math.sqrt(-2 * math.log(s)) * 0.2 * math.sqrt(max(100**2 / 16, area if area == area else 0))
        for s in (0.85, 0.5)
    )
    assert low - 1e-2 <= float(distances.min()) <= float(distances.max()) <= high + 1e-2
