"""Targets and assembly undo each other."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_paf.affinity import score_limbs
from pose_paf.assembly import assemble
from pose_paf.peaks import find_blobs
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

GRID = Grid.cells(4)
CELLS = 96
SIZE = CELLS * 4


def skeleton(keypoints: int, individuals: int = 10, edges: bool = False) -> Skeleton:
    names = tuple(f"k{i}" for i in range(keypoints))
    return Skeleton(
        names,
        edges=tuple(pairwise(names)) if edges else (),
        individuals=tuple(f"animal{i}" for i in range(individuals)),
    )


def make_head(skeleton: Skeleton, **config: Any) -> Head:
    spec = TypeAdapter(AnyHead).validate_python({"type": "paf/paf", **config})
    head: Head = BuildContext(skeleton=skeleton, features=(Feature(8, 4),)).build("head", spec)
    return head


def shapes(head: Head, batch: int, cells: int = CELLS) -> dict[str, Tensor]:
    limbs: Any = head.limbs
    k = max(end for pair in limbs for end in pair) + 1
    channels = {"heatmap": k, "locref": 2 * k, "paf": 2 * len(limbs)}
    return {name: torch.zeros(batch, n, cells, cells) for name, n in channels.items()}


def ideal(head: Head, keypoints: Tensor) -> dict[str, Tensor]:
    """The outputs of a network that has learned everything."""
    targets = head.target_generator(Labels.from_keypoints(keypoints), shapes(head, len(keypoints)))
    return {name: target.value for name, target in targets.items()}


def decode(head: Head, outputs: dict[str, Tensor], individuals: int = 10) -> Predictions:
    k = outputs["heatmap"].shape[1]
    return head.decode(outputs, Predictions.none(len(outputs["heatmap"]), skeleton(k, individuals)))


def same(found: Tensor, truth: Tensor) -> bool:
    """Whether the animals (N, K, 2) are the same ones to a tenth of a pixel, in any order; empty rows do not
    count."""
    found, truth = (points[torch.isfinite(points).any(-1).any(-1)] for points in (found, truth))
    apart = (found[:, None].nan_to_num(-99.0) - truth[None].nan_to_num(-99.0)).abs().amax((2, 3)) < 0.1
    return len(found) == len(truth) and bool((apart.sum(0) == 1).all() and (apart.sum(1) == 1).all())


def animals(seed: int, number: int, keypoints: int, missing: float, crossing: bool) -> Tensor:
    """(N, K, 2): worms with bends. Separated ones have a place each; crossing ones lie over each other, but
    keypoints of one kind stay five cells apart, for nearer ones are one blob, and no two creep along the same
    line, whose fields would be the same whichever way they were cut."""
    rng = np.random.default_rng(seed)
    while True:
        ways = rng.uniform(0, 2 * np.pi, (number, 1))
        if crossing:
            ways = (
                ways[:1]
                + rng.permutation(number)[:, None] * (np.pi / number)
                + np.pi * rng.integers(0, 2, (number, 1))
            )
        turn = ways + np.cumsum(rng.normal(0, 0.08 if crossing else 0.15, (number, keypoints)), axis=1)
        steps = np.stack([np.cos(turn), np.sin(turn)], -1) * rng.uniform(14, 17, (number, keypoints, 1))
        body = np.cumsum(steps * (12 / keypoints if keypoints > 12 else 1), axis=1)
        body -= body.mean(1, keepdims=True)
        if crossing:
            places = rng.uniform(130, SIZE - 130, (number, 1, 2))
            body = body + places
            apart = np.sqrt(((body[:, None] - body[None]) ** 2).sum(-1))
            apart[np.arange(number), np.arange(number)] = np.inf
            if apart.min() < 20 or body.min() < 4 or body.max() > SIZE - 5:
                continue
        else:
            cell = SIZE / 4
            slots = rng.permutation(16)[:number]
            body = body * (0.38 * cell / np.abs(body).max((1, 2), keepdims=True))
            body = body + (np.stack([slots % 4, slots // 4], -1)[:, None] + 0.5) * cell
        gone = rng.random((number, keypoints)) < missing
        for row in gone:
            row[rng.permutation(keypoints)[: max(4, keypoints // 2)]] = False
        body[gone] = np.nan
        return torch.tensor(body, dtype=torch.float32)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    number=st.integers(1, 10),
    keypoints=st.sampled_from([4, 7, 12]),
    missing=st.sampled_from([0.0, 0.2]),
    nearest=st.booleans(),
)
def test_separated_animals_come_back_exactly(
    seed: int, number: int, keypoints: int, missing: float, nearest: bool
) -> None:
    truth = animals(seed, number, keypoints, missing, crossing=False)
    sampling = "nearest" if nearest else "bilinear"
    head = make_head(skeleton(keypoints), graph="full", predictor={"sampling": sampling})
    found = decode(head, ideal(head, truth[None]))
    assert same(found.keypoints[0], truth)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert ((found.keypoint_scores >= 0) & (found.keypoint_scores <= 1)).all()
    assert (found.keypoint_scores[torch.isnan(found.keypoints).any(-1)] == 0).all()


# The same examples each time: no scene is known that fails (301 were tried), but none is excluded either.
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), number=st.integers(2, 5), missing=st.sampled_from([0.0, 0.15]))
def test_crossing_animals_come_back_exactly(seed: int, number: int, missing: float) -> None:
    truth = animals(seed, number, 8, missing, crossing=True)
    head = make_head(skeleton(8), graph="full")
    assert same(decode(head, ideal(head, truth[None])).keypoints[0], truth)


def test_animals_that_creep_along_each_other_come_back_exactly() -> None:
    # Merging limbs one by one gives two of these animals each other's seventh keypoint.
    truth = animals(1125, 5, 8, 0.0, crossing=True)
    head = make_head(skeleton(8), graph="full")
    assert same(decode(head, ideal(head, truth[None])).keypoints[0], truth)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_ten_crossing_animals_with_occlusions_come_back_exactly(seed: int) -> None:
    truth = animals(seed, 10, 8 if seed % 2 else 12, 0.1, crossing=False)
    head = make_head(skeleton(truth.shape[1]), graph="full")
    assert same(decode(head, ideal(head, truth[None])).keypoints[0], truth)


def test_a_tree_assembles_whole_animals_and_a_bridged_one_those_with_a_gap() -> None:
    truth = animals(3, 5, 8, 0.0, crossing=True)
    head = make_head(skeleton(8, edges=True))
    assert len(head.limbs) == 7  # type: ignore[arg-type]
    assert same(decode(head, ideal(head, truth[None])).keypoints[0], truth)
    truth[:, 4] = torch.nan
    bridged = make_head(skeleton(8, edges=True), graph="bridged")
    assert same(decode(bridged, ideal(bridged, truth[None])).keypoints[0], truth)
    halves = decode(head, ideal(head, truth[None]))
    assert halves.keypoints.shape[1] == 10
    # Where there cannot be so many animals, halves are joined.
    few = make_head(skeleton(8, 5, edges=True))
    apart = animals(5, 5, 8, 0.0, crossing=False)
    apart[:, 4] = torch.nan
    assert same(decode(few, ideal(few, apart[None]), 5).keypoints[0], apart)


def test_the_order_of_animals_and_images_does_not_matter() -> None:
    batch = torch.stack([animals(seed, 5, 7, 0.2, crossing=seed % 2 == 0) for seed in range(3)])
    head = make_head(skeleton(7), graph="full")
    one = decode(head, ideal(head, batch))
    order = torch.tensor([2, 0, 1])
    images = decode(head, ideal(head, batch[order]))
    swapped = decode(head, ideal(head, batch[:, [4, 2, 0, 1, 3]]))
    for i in range(3):
        assert same(one.keypoints[order[i]], images.keypoints[i])
        assert same(one.keypoints[i], batch[i])
        assert same(swapped.keypoints[i], batch[i])
    again = decode(head, ideal(head, batch))
    assert torch.equal(one.keypoints.nan_to_num(-1), again.keypoints.nan_to_num(-1))


def test_empty_images_beside_full_ones_and_alone() -> None:
    truth = torch.full((2, 3, 5, 2), torch.nan)
    truth[1] = animals(0, 3, 5, 0.0, crossing=False)
    head = make_head(skeleton(5), graph="full")
    found = decode(head, ideal(head, truth))
    assert found.keypoints.shape == (2, 3, 5, 2)
    assert torch.isnan(found.keypoints[0]).all()
    assert (found.scores[0] == 0).all()
    assert decode(head, ideal(head, truth[:1])).keypoints.shape == (1, 0, 5, 2)


@pytest.mark.parametrize("fill", ["normal", "nan", "inf", "zero", "one"])
def test_any_outputs_can_be_decoded(fill: str) -> None:
    head = make_head(skeleton(6, 3), graph="full", predictor={"blur": 1.0})
    generator = torch.Generator().manual_seed(0)
    values = {"nan": torch.nan, "inf": torch.inf, "zero": 0.0, "one": 1.0}
    outputs = {
        name: torch.full_like(t, values[fill])
        if fill in values
        else torch.randn(t.shape, generator=generator)
        for name, t in shapes(head, 2, 40).items()
    }
    found = decode(head, outputs, 3)
    assert found.keypoints.shape[1] <= 3
    assert ((found.keypoint_scores >= 0) & (found.keypoint_scores <= 1)).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_two_animals_in_one_place_are_one_or_two_animals() -> None:
    truth = animals(1, 1, 6, 0.0, crossing=False).expand(2, -1, -1)
    head = make_head(skeleton(6), graph="full")
    assert same(decode(head, ideal(head, truth[None])).keypoints[0], truth[:1])


def test_limits_of_animals_and_keypoints() -> None:
    truth = animals(2, 6, 9, 0.0, crossing=False)
    truth[0, 2:] = torch.nan
    head = make_head(skeleton(9, 3), graph="full")
    assert decode(head, ideal(head, truth[None]), 3).keypoints.shape[1] == 3
    anyone = {"max_animals": None}
    head = make_head(skeleton(9, 3), graph="full", predictor=anyone)
    # An animal of two keypoints is below the quarter of nine.
    assert same(decode(head, ideal(head, truth[None]), 3).keypoints[0], truth[1:])
    head = make_head(skeleton(9, 3), graph="full", predictor={**anyone, "min_keypoints": 2})
    assert same(decode(head, ideal(head, truth[None]), 3).keypoints[0], truth)


def test_some_limbs_are_enough() -> None:
    truth = animals(2, 6, 9, 0.0, crossing=False)
    full = make_head(skeleton(9), graph="full")
    star = [i for i, limb in enumerate(full.limbs) if 0 in limb]  # type: ignore[arg-type]
    head = make_head(skeleton(9), graph="full", predictor={"limbs": star})
    outputs = ideal(head, truth[None])
    others = [c for i in range(36) if i not in star for c in (2 * i, 2 * i + 1)]
    outputs["paf"][:, others] = torch.nan
    assert same(decode(head, outputs).keypoints[0], truth)


# Targets


def expected_field(points: Tensor, width: float, flat: bool) -> np.ndarray[Any, Any]:
    """Field (2, h, w) of one kind of limb, cell by cell; points (N, 2, 2)."""
    field = np.zeros((2, CELLS, CELLS))
    nearest = np.full((CELLS, CELLS), np.inf)
    for a, b in points.double().numpy():
        if not np.isfinite([a, b]).all():
            continue
        unit = (b - a) / np.linalg.norm(b - a)
        for row in range(CELLS):
            for column in range(CELLS):
                way = np.array([column * 4 + 1.5, row * 4 + 1.5]) - a
                along, across = way @ unit, abs(way[0] * unit[1] - way[1] * unit[0])
                reaches = -2 <= along <= np.linalg.norm(b - a) + 2 and across < width
                if reaches and across < nearest[row, column]:
                    nearest[row, column] = across
                    field[:, row, column] = unit * (1 if flat else 1 - across / width)
    return field


@pytest.mark.parametrize("profile", ["linear", "flat"])
@pytest.mark.parametrize("width", [6.0, 20.0])
def test_fields_are_the_formula(profile: str, width: float) -> None:
    generator = torch.Generator().manual_seed(int(width))
    # Some reach beyond the image, one is upright, one is shorter than a cell.
    points = torch.rand(3, 3, 2, generator=generator) * (SIZE + 60) - 30
    points[0, 1] = points[0, 0] + torch.tensor([0.0, 77.7])
    points[1, 1] = points[1, 0] + torch.tensor([1.3, 0.4])
    head = make_head(skeleton(3), graph="full", target_generator={"width": width, "profile": profile})
    field = ideal(head, points[None])["paf"][0]
    for number, (a, b) in enumerate(head.limbs):  # type: ignore[arg-type]
        expected = expected_field(points[:, [a, b]], width, profile == "flat")
        got = field[2 * number : 2 * number + 2].numpy()
        # Cells on the very edge of a strip may fall either way.
        assert (np.abs(got - expected).max(0) > 1e-3).sum() <= 2
        assert np.abs(got - expected).mean() < 1e-4


def test_what_is_unlabelled_is_not_background() -> None:
    head = make_head(skeleton(3), graph=[["k0", "k1"], ["k1", "k2"]])
    points = torch.full((3, 2, 3, 2), torch.nan)
    points[0, 0] = torch.tensor([[100.0, 100.0], [140.0, 100.0], [180.0, 100.0]])
    points[0, 1] = torch.tensor([[100.0, 300.0], [140.0, 300.0], [torch.nan, torch.nan]])
    points[1, 0] = points[0, 1]
    weight = head.target_generator(Labels.from_keypoints(points), shapes(head, 3))["paf"].weight.float()
    assert weight[0, :2].min() == 1
    assert weight[0, 2:, 75, 40].max() == 0, "the second limb may be near the animal that lacks it"
    assert weight[0, 2:, 25, 40].min() == 1, "the strip of the other animal counts"
    assert weight[0, 2:, 5, 90].min() == 1, "far away there is none"
    assert weight[1, :2, 75, 28].min() == 1, "the labelled strip counts"
    assert weight[1, 2:].max() == 0, "the only animal may have it anywhere"
    assert weight[2].min() == 1, "an image without animals is background"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), number=st.integers(1, 12))
def test_weights_are_those_of_each_animal_alone(seed: int, number: int) -> None:
    """The bits of animals do what a loop would do."""
    rng = np.random.default_rng(seed)
    points = torch.tensor(rng.uniform(0, SIZE, (1, number, 3, 2)), dtype=torch.float32)
    points[torch.tensor(rng.random((1, number, 3)) < 0.4)] = torch.nan
    head = make_head(skeleton(3), graph="full")
    target = head.target_generator(Labels.from_keypoints(points), shapes(head, 1))["paf"]
    centres = np.arange(CELLS) * 4 + 1.5
    labelled = torch.isfinite(points[0]).all(-1).numpy()
    boxes = [
        (np.nanmin(p, 0), np.nanmax(p, 0)) if n.any() else None
        for p, n in zip(points[0].numpy(), labelled, strict=True)
    ]
    longest = max((float((b[1] - b[0]).max()) for b in boxes if b is not None), default=0.0)
    margin = np.inf if labelled.any(1).sum() <= 1 or longest <= 0 else longest / 2
    for limb, (a, b) in enumerate(head.limbs):  # type: ignore[arg-type]
        certain = np.ones((CELLS, CELLS), bool)
        for n, box in enumerate(boxes):
            if box is not None and not (labelled[n, a] and labelled[n, b]):
                x = (centres >= box[0][0] - margin) & (centres <= box[1][0] + margin)
                y = (centres >= box[0][1] - margin) & (centres <= box[1][1] + margin)
                certain &= ~(y[:, None] & x[None])
        certain |= (target.value[0, 2 * limb : 2 * limb + 2] != 0).any(0).numpy()
        got = target.weight[0, 2 * limb].expand(CELLS, CELLS).numpy()
        assert (got != certain).sum() <= 2


def test_losses_of_unlabelled_and_broken_labels_are_finite() -> None:
    head = make_head(skeleton(4))
    outputs = {name: t.requires_grad_() for name, t in shapes(head, 2).items()}
    same = torch.full((2, 2, 4, 2), 50.0)
    for points in (torch.full((2, 2, 4, 2), torch.nan), same, same * 1e6):
        total = torch.stack(list(head.loss(outputs, Labels.from_keypoints(points)).values())).sum()
        assert torch.isfinite(total)
        total.backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(t.grad).all() for t in outputs.values() if t.grad is not None)


def test_ideal_outputs_have_no_loss() -> None:
    head = make_head(skeleton(5), graph="full")
    points = animals(0, 4, 5, 0.2, crossing=False)[None]
    losses = head.loss(ideal(head, points), Labels.from_keypoints(points))
    assert set(losses) == {"heatmap", "locref", "paf"}
    assert all(float(value) < 1e-6 for value in losses.values())


# Parts of the decoding


def test_blobs_are_located_by_location_refinement_to_the_edge_of_the_map() -> None:
    head = make_head(skeleton(2))
    points = torch.tensor([[[0.3, 0.2], [SIZE - 1.2, SIZE - 0.7]]])
    outputs = ideal(head, points[None])
    positions, scores = find_blobs(
        outputs["heatmap"], outputs["locref"], GRID, 5, nms=5, threshold=0.1, window=3
    )
    assert positions.shape == (1, 2, 1, 2)
    torch.testing.assert_close(positions[0, :, 0], points[0], atol=0.01, rtol=0)
    assert (scores > 0.8).all()


@pytest.mark.parametrize("nearest", [False, True])
def test_affinity_is_the_cosine_with_a_uniform_field(nearest: bool) -> None:
    field = torch.zeros(1, 2, 20, 20)
    field[:, 0] = 1.0
    starts = torch.tensor([[40.0, 40.0], [torch.nan, torch.nan]]).view(1, 1, 2, 2)
    ends = torch.tensor([[60.0, 40.0], [40.0, 60.0], [50.0, 50.0], [20.0, 40.0], [40.0, 40.0]]).view(
        1, 1, 5, 2
    )
    found = score_limbs(field, starts, ends, GRID, nearest=nearest)[0, 0]
    torch.testing.assert_close(found[0], torch.tensor([1.0, 0.0, 0.5**0.5, -1.0, 0.0]), atol=1e-4, rtol=0)
    assert torch.isnan(found[1]).all()


def test_assignment_is_optimal_and_one_animal_has_a_keypoint_once() -> None:
    positions = np.zeros((3, 2, 2), np.float32)
    scores = np.ones((3, 2), np.float32)
    affinity = np.zeros((3, 2, 2), np.float32)
    # Greedily 0-0 (0.9) would leave 1-1 (0.1); the sum is larger with 0-1 and 1-0.
    affinity[0] = [[0.9, 0.8], [0.8, 0.1]]
    affinity[1] = [[0.7, 0.0], [0.0, 0.6]]
    # The last limb would join the two animals; it comes last.
    affinity[2] = [[0.3, 0.0], [0.0, 0.0]]
    points = np.arange(12, dtype=np.float32).reshape(3, 2, 2) + positions
    limbs = ((0, 1), (1, 2), (0, 2))
    found, values, totals = assemble(
        affinity, points, scores, limbs, min_affinity=0.05, min_keypoints=2, limit=None
    )
    assert found.shape == (2, 3, 2)
    assert values.min() == 1
    rows = sorted(found[:, :, 0].tolist())
    assert rows == [[0.0, 6.0, 10.0], [2.0, 4.0, 8.0]]
    assert totals[0] >= totals[1] > 0


def test_logits_and_probabilities_decode_alike() -> None:
    truth = animals(4, 3, 5, 0.0, crossing=False)
    plain = make_head(skeleton(5), graph="full")
    logits = make_head(skeleton(5), graph="full", losses={"heatmap": {"type": "heatmap/bce"}})
    outputs = ideal(plain, truth[None])
    asked = {**outputs, "heatmap": outputs["heatmap"].clamp(1e-4, 1 - 1e-4).logit()}
    assert same(decode(logits, asked).keypoints[0], truth)


def test_unique_keypoints_of_other_heads_are_kept() -> None:
    truth = animals(4, 3, 5, 0.0, crossing=False)
    head = make_head(skeleton(5), graph="full")
    before = Predictions.none(1, replace(skeleton(5), unique_keypoints=("corner",)))
    before = replace(before, unique_keypoints=torch.ones(1, 1, 2), unique_scores=torch.ones(1, 1))
    after = head.decode(ideal(head, truth[None]), before)
    assert torch.equal(after.unique_keypoints, before.unique_keypoints)
