"""The identity head: whose place it is, names of all animals of a frame."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_heatmap.identity import IdentityHead
from pose_heatmap.identity_predictors import IdentityAtKeypointsPredictor
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Labels, Predictions
from pose_core.maps import spread_candidates
from pose_core.pipeline.naming import assign_names
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

NAN = math.nan
INDIVIDUALS = ("ann", "bob", "cat")
SKELETON = Skeleton(("nose", "tail"), individuals=INDIVIDUALS, identified=True)


def make_head(
    skeleton: Skeleton = SKELETON, features: tuple[Feature, ...] = (Feature(6, 8),), **more: Any
) -> Any:
    config = TypeAdapter(AnyHead).validate_python({"type": "heatmap/identity", **more})
    config.check(features, None)
    return BuildContext(skeleton=skeleton, features=features).build("head", config)


def make_labels(keypoints: Tensor, identity: Tensor) -> Labels:
    return Labels.from_keypoints(keypoints, identity=identity)


def make_found(keypoints: Tensor, scores: Tensor | None = None) -> Predictions:
    scores = torch.ones(keypoints.shape[:3]) if scores is None else scores
    return Predictions.none(len(keypoints), SKELETON).with_animals(keypoints, scores)


def name(head: Any, outputs: dict[str, Tensor], found: Predictions) -> Predictions:
    """What the core does with what the head says."""
    return assign_names(head.predictor(outputs, found))


def random_labels(seed: int, animals: int = 3, size: float = 64) -> Labels:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(2, animals, 2, 2, generator=generator) * size
    points[torch.rand(2, animals, 2, generator=generator) < 0.2] = NAN
    identity = torch.stack([torch.randperm(3, generator=generator)[:animals] for _ in range(2)])
    identity[torch.rand(2, animals, generator=generator) < 0.2] = -1
    return make_labels(points, identity)


@pytest.mark.parametrize("features", [(Feature(6, 8),), (Feature(4, 4), Feature(6, 16))])
def test_layers_and_grid_are_those_of_the_heatmap_head(features: tuple[Feature, ...]) -> None:
    more = {"feature": 1} if len(features) > 1 else {}
    head = make_head(features=features, **more)
    stride = features[-1].stride
    maps = head([torch.randn(2, f.channels, 64 // f.stride, 48 // f.stride) for f in features])["identity"]
    assert maps.shape == (2, 3, 128 // stride, 96 // stride)
    assert head.predictor.grid is head.target_generator.grid
    assert head.predictor.grid.stride == stride / 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"identified": False}, "identified: true"), ({"individuals": ("ann",)}, "several individuals")],
)
def test_a_skeleton_without_identities_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        make_head(replace(SKELETON, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"losses": {"heatmap": {"type": "heatmap/bce"}}}, "no output heatmap; its only output is identity"),
        ({"target_generator": {"radius": 1}}, "target_generator.radius: 1 is too small"),
        ({"target_generator": {"background": True}}, "target_generator.background: .* heatmap/bce"),
        ({"deconv_layers": 5}, "deconv_layers: 5"),
    ],
)
def test_wrong_settings_are_named(more: dict[str, Any], said: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=said):
        make_head(**more)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3), st.booleans())
def test_a_place_belongs_to_the_animal_with_the_nearest_keypoint(
    seed: int, animals: int, background: bool
) -> None:
    """Against every cell looked at by itself. Animals of unknown identity take their places but teach
    nothing."""
    loss = {"losses": {"identity": {"type": "heatmap/bce"}}} if background else {}
    head = make_head(target_generator={"radius": 11}, **loss)
    labels = random_labels(seed, animals)
    value, weight = head.target_generator(labels, {"identity": torch.zeros(2, 3, 16, 16)})["identity"]
    for b in range(2):
        for row in range(16):
            for column in range(16):
                centre = head.grid.to_pixels(torch.tensor([float(column), float(row)]))
                distance = (labels.keypoints[b] - centre).norm(dim=-1).nan_to_num(torch.inf).amin(-1)
                expected, counts = torch.zeros(3), float(background)
                if animals and distance.min() <= 11:
                    name = int(labels.identity[b, int(distance.argmin())])
                    counts = float(name >= 0)
                    if name >= 0:
                        expected[name] = 1
                assert weight[b, 0, row, column] == counts
                assert torch.equal(value[b, :, row, column], expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_targets_used_as_outputs_give_every_animal_its_name(seed: int, animals: int) -> None:
    """Animals that are not within reach of each other, in any order, some keypoints missing."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[40.0, 40], [120, 50], [60, 130]])[
        torch.randperm(3, generator=generator)[:animals]
    ]
    points = centres[None, :, None] + torch.rand(1, animals, 2, 2, generator=generator) * 12
    identity = torch.randperm(3, generator=generator)[None, :animals]
    head = make_head()
    value, _ = head.target_generator(make_labels(points, identity), {"identity": torch.zeros(1, 3, 48, 48)})[
        "identity"
    ]
    seen = points.clone()
    seen[:, :, 1][torch.rand(1, animals, generator=generator) < 0.5] = NAN
    named = name(head, {"identity": value * 20 - 10}, make_found(seen))
    assert torch.equal(named.identity, identity)
    assert torch.equal(named.keypoints.nan_to_num(-1), seen.nan_to_num(-1))  # nothing else changes


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3, 4, 5]), st.data())
def test_any_animals_may_be_any_individuals(seed: int, classes: int, data: st.DataObject) -> None:
    """Every assignment of one to all animals to three, four or five individuals: a place belongs to the
    individual of its animal, so other names move whole maps. (sleap-nn 0.3.5 is right for two only: it
    reshapes a matrix of animals and classes where it should transpose it.)"""
    skeleton = replace(SKELETON, individuals=tuple(f"i{n}" for n in range(classes)))
    head = make_head(skeleton)
    animals = data.draw(st.integers(1, classes))
    names = data.draw(st.permutations(range(classes)))[:animals]
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(1, animals, 2, 2, generator=generator) * 128
    outputs = {"identity": torch.zeros(1, classes, 32, 32)}

    def targets(identity: list[int]) -> tuple[Tensor, Tensor]:
        value, weight = head.target_generator(make_labels(points, torch.tensor([identity])), outputs)[
            "identity"
        ]
        return value[0], weight[0]

    value, weight = targets(names)
    plain, same = targets(list(range(animals)))
    assert torch.equal(weight, same)
    assert torch.equal(value[names], plain[:animals])
    others = [n for n in range(classes) if n not in names]
    assert not value[others].any()
    for animal, name_ in enumerate(names):
        for point in points[0, animal]:
            cell = head.grid.to_cells(point).round().long().clamp(0, 31)
            nearest = (points[0] - head.grid.to_pixels(cell.float())).norm(dim=-1).amin(-1).argmin()
            if int(nearest) == animal and (head.grid.to_pixels(cell.float()) - point).norm() <= 8:
                assert value[name_, cell[1], cell[0]] == 1


def logits_for(probabilities: list[list[float]]) -> tuple[Tensor, Tensor]:
    """Maps that say these probabilities (softmax) where the animals are, and the animals' keypoints."""
    rows = torch.tensor(probabilities)
    columns = 8 * len(rows)
    maps = torch.zeros(1, rows.shape[1], 8, columns)
    for i, row in enumerate(rows):
        maps[0, :, :, 8 * i : 8 * i + 8] = row.clamp(min=1e-9).log()[:, None, None]
    points = torch.tensor([[8 * i + 4.0, 4.0] for i in range(len(rows))]) * 4
    return maps, points[None, :, None].repeat(1, 1, 2, 1)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]], [0, 1]),  # no name twice; 0.9 + 0.2 beats 0.1 + 0.8
        ([[0.6, 0.4, 0.0], [0.9, 0.1, 0.0]], [1, 0]),
        ([[0.8, 0.2, 0.0], [0.98, 0.01, 0.01]], [1, 0]),
        ([[0.98, 0.01, 0.01], [0.99, 0.005, 0.005]], [-1, 0]),  # the names left are improbable
        (
            [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]],
            [0, 1, 2, -1],
        ),  # more than there are
    ],
)
def test_names_are_given_to_all_animals_at_once(
    probabilities: list[list[float]], expected: list[int]
) -> None:
    head = make_head()
    maps, points = logits_for(probabilities)
    assert name(head, {"identity": maps}, make_found(points)).identity.tolist() == [expected]


def test_doubtful_animals_take_no_name_from_certain_ones() -> None:
    head = make_head()
    maps, points = logits_for([[0.9, 0.05, 0.05], [0.85, 0.1, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])
    scores = torch.tensor([[0.1, 0.9, 0.9, 0.9]])[..., None].expand(-1, -1, 2)
    named = name(head, {"identity": maps}, make_found(points, scores.clone()))
    assert named.identity.tolist() == [[-1, 0, 1, 2]]


def test_keypoints_count_by_their_scores() -> None:
    head = make_head()
    maps, points = logits_for([[0.95, 0.05, 0.0], [0.05, 0.95, 0.0]])
    mixed = torch.stack([points[:, 0, 0], points[:, 1, 0]], dim=1)[:, None]
    for scores, expected in (([0.9, 0.2], 0), ([0.2, 0.9], 1)):
        assert (
            name(head, {"identity": maps}, make_found(mixed, torch.tensor([[scores]]))).identity.item()
            == expected
        )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 6), st.sampled_from(["random", "nan", "inf", "zero"]))
def test_anything_is_survived_and_no_name_is_given_twice(seed: int, animals: int, kind: str) -> None:
    torch.manual_seed(seed)
    head = make_head()
    maps = {
        "random": torch.randn(2, 3, 9, 7) * 5,
        "nan": torch.full((2, 3, 9, 7), NAN),
        "inf": torch.full((2, 3, 9, 7), torch.inf),
        "zero": torch.zeros(2, 3, 9, 7),
    }[kind]
    points = torch.rand(2, animals, 2, 2) * 80 - 20
    points[torch.rand(2, animals, 2) < 0.3] = NAN
    found = make_found(points, torch.rand(2, animals, 2))
    identity = name(head, {"identity": maps}, found).identity
    assert identity.shape == (2, animals)
    assert identity.dtype == torch.int64
    for row, animal in zip(identity.tolist(), torch.isfinite(points).all(-1).any(-1).tolist(), strict=True):
        names = [name for name in row if name >= 0]
        assert len(set(names)) == len(names)
        assert all(0 <= name < 3 for name in names)
        assert all(name == -1 for name, there in zip(row, animal, strict=True) if not there)
        if kind in ("random", "zero"):
            assert len(names) <= min(3, sum(animal))
        else:
            assert names == []


def test_a_frame_is_named_the_same_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    head = make_head()
    maps, points = torch.randn(4, 3, 10, 10) * 3, torch.rand(4, 3, 2, 2) * 40
    together = name(head, {"identity": maps}, make_found(points)).identity
    alone = [
        name(head, {"identity": maps[i : i + 1]}, make_found(points[i : i + 1])).identity[0] for i in range(4)
    ]
    assert torch.equal(together, torch.stack(alone))


def test_the_loss_of_a_new_head_is_that_of_a_guess_and_ignores_what_has_no_weight() -> None:
    head = make_head()
    labels = random_labels(1)
    outputs = head([torch.randn(2, 6, 8, 8)])
    assert head.loss(outputs, labels)["identity"].item() == pytest.approx(math.log(3), abs=0.05)
    nobody = head.loss(outputs, make_labels(labels.keypoints, torch.full((2, 3), -1)))["identity"]
    assert nobody.item() == 0
    _, weight = head.target_generator(labels, outputs)["identity"]
    wild = torch.where(weight == 0, torch.inf, outputs["identity"])
    assert head.loss({"identity": wild}, labels)["identity"] == head.loss(outputs, labels)["identity"]


def test_losses_and_their_reading_belong_together() -> None:
    """Softmax for cross-entropy, the logistic function for maps that were learned by themselves."""
    assert not make_head().predictor.sigmoid
    by_itself = make_head(losses={"identity": {"type": "heatmap/bce"}})
    assert by_itself.predictor.sigmoid
    assert by_itself.target_generator.background
    assert isinstance(by_itself, IdentityHead)
    assert isinstance(by_itself.predictor, IdentityAtKeypointsPredictor)
    labels = random_labels(3)
    by_itself.loss(by_itself([torch.randn(2, 6, 8, 8)]), labels)["identity"].backward()
    assert all(torch.isfinite(p.grad).all() for p in by_itself.parameters())


def test_individuals_are_learned() -> None:
    """Animals that differ in colour only, on a feature map that shows it; names on new images are right."""
    torch.manual_seed(0)
    head = make_head(features=(Feature(3, 4),), deconv_layers=0)
    colours = torch.eye(3) * 2 + 0.3 * torch.randn(3, 3)

    def image() -> tuple[Tensor, Labels]:
        centres = torch.tensor([[30.0, 30], [100, 40], [50, 110]])[torch.randperm(3)]
        points = centres[None, :, None] + torch.rand(1, 3, 2, 2) * 8
        identity = torch.randperm(3)[None]
        feature = 0.3 * torch.randn(1, 3, 36, 36)
        for animal in range(3):
            at = (centres[animal] / 4).long()
            colour = colours[identity[0, animal]][:, None, None]
            feature[0, :, at[1] - 3 : at[1] + 6, at[0] - 3 : at[0] + 6] += colour
        return feature, make_labels(points, identity)

    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(60):
        feature, labels = image()
        optimiser.zero_grad()
        head.loss(head([feature]), labels)["identity"].backward()
        optimiser.step()
    right = 0
    for _ in range(20):
        feature, labels = image()
        right += int(
            (name(head, head([feature]), make_found(labels.keypoints)).identity == labels.identity).sum()
        )
    assert right >= 57


def grouping_head(classes: int = 3, **predictor: Any) -> Any:
    skeleton = replace(SKELETON, individuals=tuple(f"i{n}" for n in range(classes)))
    return make_head(skeleton, predictor={"type": "heatmap/group_by_identity", **predictor})


def candidates(points: Tensor, scores: Tensor, classes: int) -> Predictions:
    """Candidates (B, K, M, 2) as a head before this one hands them on."""
    skeleton = replace(SKELETON, individuals=tuple(f"i{n}" for n in range(classes)))
    none = Predictions.none(len(points), skeleton)
    return none.with_animals(*spread_candidates(points, scores))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3, 4, 5]), st.data())
def test_candidates_are_grouped_by_their_individuals(seed: int, classes: int, data: st.DataObject) -> None:
    """Animals far from each other, some keypoints missing, candidates in any order; names are those of the
    individuals."""
    head = grouping_head(classes)
    animals = data.draw(st.integers(1, classes))
    names = data.draw(st.permutations(range(classes)))[:animals]
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[30.0, 30], [120, 40], [60, 120], [150, 140], [210, 60]])[:animals]
    points = centres[None, :, None] + torch.rand(1, animals, 2, 2, generator=generator) * 10
    value, _ = head.target_generator(
        make_labels(points, torch.tensor([names])), {"identity": torch.zeros(1, classes, 56, 56)}
    )["identity"]
    seen = points.clone()
    seen[:, :, 1][torch.rand(1, animals, generator=generator) < 0.4] = NAN
    order = torch.randperm(animals, generator=generator)
    scores = torch.isfinite(seen).all(-1).float() * (
        0.5 + 0.5 * torch.rand(1, animals, 2, generator=generator)
    )
    found = candidates(seen[:, order].transpose(1, 2), scores[:, order].transpose(1, 2), classes)
    grouped = name(head, {"identity": value * 20 - 10}, found)
    assert grouped.keypoints.shape == (1, classes, 2, 2)
    for animal, individual in enumerate(names):
        assert torch.equal(grouped.keypoints[0, individual].nan_to_num(-1), seen[0, animal].nan_to_num(-1))
        assert grouped.identity[0, individual] == individual
        assert grouped.identity_scores[0, individual].argmax() == individual
        torch.testing.assert_close(grouped.keypoint_scores[0, individual], scores[0, animal])
    gone = [n for n in range(classes) if n not in names]
    assert torch.isnan(grouped.keypoints[0, gone]).all()
    assert not grouped.scores[0, gone].any()
    assert (grouped.identity[0, gone] == -1).all()


def test_a_candidate_stays_only_where_its_best_individual_is_the_one_it_was_assigned_to() -> None:
    head = grouping_head()
    maps, points = logits_for([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    found = candidates(points[:, :, 0][:, None].repeat(1, 2, 1, 1), torch.ones(1, 2, 2), 3)
    grouped = head.predictor({"identity": maps}, found)
    # The second is assigned to individual 1, for it is more so than the first, and is dropped: it is more 0.
    assert torch.equal(grouped.keypoints[0, 0, 0], points[0, 0, 0])
    assert torch.isnan(grouped.keypoints[0, 1:]).all()


def test_a_doubtful_candidate_takes_no_place_of_a_certain_one_unless_asked() -> None:
    maps, points = logits_for([[0.9, 0.1, 0.0], [0.95, 0.05, 0.0]])
    where = points[:, :, 0][:, None].repeat(1, 2, 1, 1)
    found = candidates(where, torch.tensor([[[0.9, 0.2]] * 2]), 3)
    for by_score, winner in ((True, 0), (False, 1)):
        grouped = grouping_head(by_score=by_score).predictor({"identity": maps}, found)
        assert torch.equal(grouped.keypoints[0, 0, 0], points[0, winner, 0])


def test_nothing_is_grouped_to_nothing() -> None:
    head = grouping_head()
    none = Predictions.none(2, SKELETON)
    for found in (none, none.with_animals(torch.full((2, 4, 2, 2), NAN), torch.zeros(2, 4, 2))):
        grouped = head.predictor({"identity": torch.randn(2, 3, 8, 8)}, found)
        assert not grouped.scores.any()
        assert not grouped.identity_scores.any()
