"""Names of the animals of a frame: given once, after the last stage, no name twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_core.interfaces import FrameGroup, Predictions, Stage, StageContext, StageResult, View
from pose_core.pipeline.crops import Crops, CropStage
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.naming import assign_names
from pose_core.pipeline.sources import ArraySource
from pose_core.pipeline.stage_configs import CropsConfig
from pose_core.specs import Preprocess
from pose_core.structures import Skeleton


def make_skeleton(individuals: int) -> Skeleton:
    names = tuple(f"i{number}" for number in range(individuals))
    return Skeleton(("a", "b"), individuals=names, identified=True)


def make_found(chances: Tensor, scores: Tensor) -> Predictions:
    """Animals (B, N) with identity scores (B, N, I), whose keypoints all have these scores (B, N)."""
    points = torch.zeros(*scores.shape, 2, 2)
    none = Predictions.none(len(scores), make_skeleton(chances.shape[-1]))
    found = none.with_animals(points, scores[..., None].expand(-1, -1, 2).clone())
    return replace(found, identity_scores=chances)


def random_found(seed: int, animals: int, individuals: int) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    chances = (4 * torch.randn(2, animals, individuals, generator=generator)).softmax(-1)
    return make_found(chances, 0.05 + 0.95 * torch.rand(2, animals, generator=generator))


seeds, numbers = st.integers(0, 100_000), st.integers(1, 5)


@settings(max_examples=100, deadline=None)
@given(seeds, numbers, numbers, st.floats(0, 1))
def test_the_best_names_are_given_none_twice_and_no_improbable_one(
    seed: int, animals: int, individuals: int, threshold: float
) -> None:
    """Against every way of giving names."""
    found = random_found(seed, animals, individuals)
    named = assign_names(found, threshold).identity
    every = [*range(individuals), *[-1] * animals]
    for frame in range(2):
        chances, weights = found.identity_scores[frame], found.scores[frame]
        names = named[frame].tolist()
        given_names = [n for n in names if n >= 0]
        assert len(set(given_names)) == len(given_names)

        def worth(way: tuple[int, ...], chances: Tensor = chances, weights: Tensor = weights) -> float:
            return sum(float(chances[a, n] * weights[a]) for a, n in enumerate(way) if n >= 0)

        best = max(set(permutations(every, animals)), key=worth)
        assert names == [n if n >= 0 and chances[a, n] >= threshold else -1 for a, n in enumerate(best)]


@settings(max_examples=60, deadline=None)
@given(seeds, numbers, numbers)
def test_names_go_with_animals_and_with_individuals(seed: int, animals: int, individuals: int) -> None:
    """Other orders of the animals or of the individuals give the same names in those orders."""
    found = random_found(seed, animals, individuals)
    named = assign_names(found).identity
    rng = torch.Generator().manual_seed(seed + 1)
    order, renamed = (torch.randperm(n, generator=rng) for n in (animals, individuals))
    moved = make_found(found.identity_scores[:, order], found.scores[:, order])
    assert torch.equal(assign_names(moved).identity, named[:, order])
    other = make_found(found.identity_scores[..., renamed], found.scores)
    # Individual renamed[i] of before is number i now.
    back = torch.cat([renamed, torch.tensor([-1])])
    assert torch.equal(back[assign_names(other).identity], named)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 4))
def test_rows_that_pad_a_frame_and_what_a_stage_dropped_take_no_name(seed: int, more: int) -> None:
    found = random_found(seed, 3, 3)
    padded = found._padded(3 + more)
    dropped = replace(
        Predictions.merge([padded, padded]),
        scores=torch.cat([padded.scores, torch.zeros_like(padded.scores)], 1),
    )
    named = assign_names(dropped).identity
    assert torch.equal(named[:, :3], assign_names(found).identity)
    assert (named[:, 3:] == -1).all()


def test_an_animal_that_a_stage_has_named_keeps_its_name_and_nobody_else_gets_it() -> None:
    chances = torch.tensor([[[0.0, 0, 0], [0.9, 0.08, 0.02], [0.0, 0, 0]]])
    found = replace(make_found(chances, torch.ones(1, 3)), identity=torch.tensor([[0, 2, -1]]))
    assert assign_names(found, 0.05).identity.tolist() == [[0, 1, -1]]
    assert assign_names(found, 0.1).identity.tolist() == [[0, -1, -1]]


def test_nothing_is_changed_where_no_head_knows_anything() -> None:
    found = replace(
        make_found(torch.zeros(2, 3, 2), torch.ones(2, 3)), identity=torch.tensor([[1, 1, -1]] * 2)
    )
    assert torch.equal(assign_names(found).identity, found.identity)
    assert assign_names(Predictions.none(2, make_skeleton(3))).identity.shape == (2, 0)


class CoatNetwork:
    """Reads the red channel in the middle of a crop: how much it looks like each individual. By itself it
    would take nearly everybody for individual 0."""

    size_multiple = 1
    device = torch.device("cpu")

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton

    def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
        batch, _, height, width = images.shape
        shade = images[:, 0, height // 2, width // 2].float() / 255
        points = torch.tensor([[[width / 2, height / 2], [width / 2 + 4, height / 2]]]).repeat(batch, 1, 1)
        found = Predictions.none(batch, self.skeleton).with_animals(points[:, None], torch.ones(batch, 1, 2))
        own = torch.linspace(0, 0.3, self.skeleton.num_individuals)
        likeness = -20 * (shade[:, None] - own).abs()
        likeness[:, 0] += 6
        return replace(found, identity_scores=likeness.softmax(-1)[:, None])


class GivenBoxes(Stage):
    def __init__(self, points: list[np.ndarray[Any, Any]]) -> None:
        self.points = points

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        most = max(len(self.points[i]) for i in group.indices)
        boxes = torch.full((len(group.indices), most, 4), torch.nan)
        for row, index in enumerate(group.indices):
            for n, (x, y) in enumerate(self.points[index]):
                boxes[row, n] = torch.tensor([x - 16, y - 16, x + 16, y + 16])
        return StageResult(boxes=boxes, box_scores=boxes[..., 0].isfinite().float())


@pytest.mark.parametrize("animals", [3, 4])
def test_top_down_gives_three_and_four_animals_of_a_frame_their_own_names(animals: int) -> None:
    """Each crop by itself is named alike, as a network that sees one animal at a time must; the probability
    of the name that is given comes along."""
    skeleton = make_skeleton(animals)
    rng = np.random.default_rng(animals)
    shades = np.linspace(0, 0.3, animals) * 255
    places = np.array([[40.0, 40], [120, 40], [40, 120], [120, 120]])
    images, points, names = [], [], []
    for _ in range(6):
        order = rng.permutation(animals)
        image = np.zeros((160, 160, 3), np.uint8)
        at = places[:animals] + rng.integers(-6, 6, (animals, 2))
        for (x, y), individual in zip(at.astype(int), order, strict=True):
            image[y - 18 : y + 19, x - 18 : x + 19] = shades[individual]
        images.append(image)
        points.append(at)
        names.append(order.tolist())
    network = CoatNetwork(skeleton)
    crops = Crops(network, Preprocess(view="animal", size=(32, 32), margin=0, min_box=0.0), 4)
    boxes = np.array([[x - 16, y - 16, x + 16, y + 16] for x, y in points[0]], np.float32)
    alone = crops.predict([images[0]] * animals, boxes).identity_scores.argmax(-1).flatten().tolist()
    assert len(set(alone)) < animals
    context = StageContext(skeleton, network.device, "coats", network=network, crops=crops)
    stages = [GivenBoxes(points), CropStage(CropsConfig(), context)]
    pipeline = Pipeline(stages, skeleton, torch.device("cpu"), batch_size=4, identity_threshold=0.0)
    frames = [f for result in pipeline.run(ArraySource(images)) for f in result.frames]
    assert [f.instances.identity.tolist() for f in frames] == names
    scores = np.stack([f.instances.identity_scores for f in frames])
    assert ((scores > 0) & (scores <= 1)).all()
    # What is not probable enough is reported without a name, with score 0.
    strict = Pipeline(stages, skeleton, torch.device("cpu"), batch_size=4, identity_threshold=0.999)
    for frame in strict.run_once(images[:1]):
        assert (frame.instances.identity[scores[0] < 0.999] == -1).all()
        assert (frame.instances.identity_scores[scores[0] < 0.999] == 0).all()
        assert (scores[0] < 0.999).any()
