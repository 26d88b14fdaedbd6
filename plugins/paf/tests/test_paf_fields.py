"""Fields as a head of their own: what they are taught, and that they group the candidates of another head."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_paf.affinity import penalize_length
from pose_paf.peaks import find_blobs
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Head, Labels, Predictions
from pose_core.maps import spread_candidates
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyHead, Feature, ModelSpec
from pose_core.structures import Skeleton


def skeleton(keypoints: int, individuals: int = 4) -> Skeleton:
    names = tuple(f"k{i}" for i in range(keypoints))
    return Skeleton(names, tuple(pairwise(names)), individuals=tuple(f"i{n}" for n in range(individuals)))


def make_head(keypoints: int = 3, stride: int = 4, **config: Any) -> Head:
    spec = TypeAdapter(AnyHead).validate_python({"type": "paf/fields", "deconv_layers": 0, **config})
    spec.check((Feature(8, stride),), None)
    context = BuildContext(skeleton=skeleton(keypoints), features=(Feature(8, stride),))
    head: Head = context.build("head", spec)
    return head


def random_points(seed: int, animals: int, missing: float = 0.2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(2, animals, 3, 2, generator=generator) * 110 - 5
    points[torch.rand(2, animals, 3, generator=generator) < missing] = torch.nan
    return points


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.sampled_from(["linear", "flat", "quartic"]),
    st.floats(6, 14),
)
def test_vectors_of_all_animals_are_added_up_by_their_distance(
    seed: int, animals: int, profile: str, width: float
) -> None:
    """Against every cell looked at by itself; quartic: exp(-d^4 / (2 sigma^2)) of the distance d from the
    limb, sigma = width^2 (sleap-nn)."""
    target = {"type": "paf/fields", "profile": profile, "overlap": "sum", "width": width, "missing": "absent"}
    head = make_head(target_generator=target)
    points = random_points(seed, animals)
    value, weight = head.target_generator(Labels.from_keypoints(points), {"paf": torch.zeros(2, 4, 25, 28)})[
        "paf"
    ]
    assert weight.all()
    cells = torch.stack(torch.meshgrid(torch.arange(28.0), torch.arange(25.0), indexing="xy"), -1)
    assert isinstance(head.grid, Grid)
    pixels = head.grid.to_pixels(cells)
    expected = torch.zeros(2, 2, 2, 25, 28)
    for image in range(2):
        for animal in range(animals):
            for limb in range(2):
                start, end = points[image, animal, limb], points[image, animal, limb + 1]
                if not torch.isfinite(end - start).all():
                    continue
                unit = (end - start) / (end - start).norm()
                along = (pixels - start) @ unit
                length = (end - start).norm()
                if profile == "quartic":
                    nearest = start + along.clamp(0, length)[..., None] * unit
                    size = torch.exp(-((pixels - nearest).norm(dim=-1) ** 4) / (2 * width**4))
                else:
                    across = (pixels - start - along[..., None] * unit).norm(dim=-1)
                    near = (across < width) & (along >= -2) & (along <= length + 2)
                    size = near * (1 - across / width if profile == "linear" else torch.ones(()))
                expected[image, limb] += size * unit[:, None, None]
    difference = (value.view_as(expected) - expected).abs()
    # Cells on the very edge of a strip may fall on either side of it.
    assert (difference < 2e-5).float().mean() > (0.999 if profile == "flat" else 0.9999)
    assert profile != "quartic" or difference.max() < 2e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["linear", "flat", "quartic"]))
def test_one_animal_has_the_same_field_added_up_or_not(seed: int, profile: str) -> None:
    points = random_points(seed, 1)
    values = [
        make_head(target_generator={"type": "paf/fields", "profile": profile, "overlap": overlap})
        .target_generator(Labels.from_keypoints(points), {"paf": torch.zeros(2, 4, 25, 28)})["paf"]
        .value
        for overlap in ("sum", "nearest")
    ]
    assert torch.equal(*values)


def test_a_limb_that_nobody_labelled_is_unknown_or_absent() -> None:
    points = random_points(0, 1, missing=0)
    points[0, 0, 2] = torch.nan
    weights = {}
    for missing in ("unknown", "absent"):
        target = {"type": "paf/fields", "missing": missing}
        head = make_head(target_generator=target)
        found = head.target_generator(Labels.from_keypoints(points), {"paf": torch.zeros(2, 4, 25, 28)})[
            "paf"
        ]
        weights[missing] = found.weight.expand_as(found.value).float().mean((2, 3))
        assert not found.value[0, 2:].any()
    assert weights["unknown"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert weights["absent"].tolist() == [[1] * 4] * 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(5, 60), st.floats(0, 2))
def test_long_limbs_lose_by_what_they_are_too_long(seed: int, longest: float, penalty: float) -> None:
    torch.manual_seed(seed)
    starts, ends = torch.rand(1, 2, 3, 2) * 80, torch.rand(1, 2, 4, 2) * 80
    starts[0, 0, 1] = torch.nan
    affinity = torch.rand(1, 2, 3, 4)
    found = penalize_length(affinity, starts, ends, longest, penalty)
    for limb in range(2):
        for i in range(3):
            for j in range(4):
                length = float((ends[0, limb, j] - starts[0, limb, i]).norm())
                value = found[0, limb, i, j].item()
                if math.isnan(length):
                    assert math.isnan(value)
                    continue
                expected = affinity[0, limb, i, j].item() + penalty * min(longest / length - 1, 0)
                assert value == pytest.approx(expected, abs=1e-5)


def test_the_penalty_cuts_a_limb_across_the_image() -> None:
    """Two noses and two tails whose field runs all along the image: near ones are joined, far ones are not."""
    noses, tails = torch.tensor([[10.0, 50], [80, 50]]), torch.tensor([[20.0, 50], [95, 50]])
    found = Predictions.none(1, skeleton(2)).with_animals(
        *spread_candidates(torch.stack([noses, tails])[None], torch.ones(1, 2, 2))
    )
    far = found.with_animals(found.keypoints[:, [0, 3]], found.keypoint_scores[:, [0, 3]])
    field = torch.zeros(1, 2, 25, 28)
    field[:, 0] = 1
    for penalty, expected in ((0.0, 1), (2.0, 0)):
        head = make_head(2, predictor={"type": "paf/grouping", "length_penalty": penalty})
        assert head.decode({"paf": field}, found).keypoints.shape[1] == 2
        assert head.decode({"paf": field}, far).keypoints.shape[1] == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4))
def test_grouping_is_the_assembly_of_the_head_with_everything(seed: int, animals: int) -> None:
    """Given the blobs that paf/paf finds itself, the same fields give the same animals to the bit."""
    spec = TypeAdapter(AnyHead).validate_python({"type": "paf/paf", "deconv_layers": 0})
    whole: Any = BuildContext(skeleton=skeleton(3), features=(Feature(8, 4),)).build("head", spec)
    labels = Labels.from_keypoints(random_points(seed, animals))
    shapes = {"heatmap": 3, "locref": 6, "paf": 4}
    outputs = {name: torch.zeros(2, n, 25, 28) for name, n in shapes.items()}
    torch.manual_seed(seed)
    outputs = {
        n: t.value + 0.05 * torch.randn(t.value.shape)
        for n, t in whole.target_generator(labels, outputs).items()
    }
    none = Predictions.none(2, skeleton(3))
    expected = whole.decode(outputs, none)
    positions, scores = find_blobs(
        outputs["heatmap"], outputs["locref"], whole.grid, 20, nms=5, threshold=0.1, window=3
    )
    found = none.with_animals(*spread_candidates(positions, scores.clamp(0, 1)))
    grouped = make_head().decode({"paf": outputs["paf"]}, found)
    for one, other in (
        (grouped.keypoints, expected.keypoints),
        (grouped.keypoint_scores, expected.keypoint_scores),
        (grouped.scores, expected.scores),
    ):
        assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))


def chain(**fields: Any) -> ModelSpec:
    """Peaks on stride 2 and fields on stride 4, of a network whose features have stride 4."""
    return ModelSpec.model_validate(
        {
            "method": "bottom_up",
            "backbone": {"type": "unet/unet", "filters": 4, "max_stride": 8, "output_stride": 4},
            "heads": {
                "peaks": {
                    "type": "heatmap/heatmap",
                    "location_refinement": False,
                    "deconv_layers": 1,
                    "predictor": {"type": "heatmap/peaks"},
                },
                "fields": {"type": "paf/fields", "deconv_layers": 0, **fields},
            },
        }
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4))
def test_peaks_and_fields_of_other_strides_give_the_animals_back(seed: int, animals: int) -> None:
    """A network of two heads with perfect outputs; animals do not touch."""
    model = PoseModel(chain(), skeleton(4))
    rng = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[40.0, 40], [150, 45], [45, 150], [150, 150]])[torch.randperm(4, generator=rng)]
    shape = torch.tensor([[-20.0, -8], [0, 0], [18, 5], [25, 25]])
    turn = torch.rand(4, 1, generator=rng) * 2 * math.pi
    turned = torch.stack(
        [
            shape[:, 0] * turn.cos() - shape[:, 1] * turn.sin(),
            shape[:, 0] * turn.sin() + shape[:, 1] * turn.cos(),
        ],
        -1,
    )
    truth = (centres[:, None] + turned)[None, :animals]
    labels = Labels.from_keypoints(truth)
    shapes = {
        "peaks": {"heatmap": torch.zeros(1, 4, 100, 100)},
        "fields": {"paf": torch.zeros(1, 6, 50, 50)},
    }
    heads = {name: head for name, head in model.heads.items() if isinstance(head, Head)}
    grids = {name: head.predictor.grid for name, head in heads.items()}
    assert {name: grid.stride for name, grid in grids.items()} == {"peaks": 2, "fields": 4}
    outputs = {
        name: {n: t.value for n, t in head.target_generator(labels, shapes[name]).items()}
        for name, head in heads.items()
    }
    found = model.decode(outputs)
    assert found.keypoints.shape[1] == animals
    for animal in truth[0]:
        apart = (found.keypoints[0] - animal).norm(dim=-1).amax(-1)
        assert apart.min() < 0.1


def test_fields_cannot_come_first() -> None:
    spec = chain().model_dump(mode="json")
    spec["heads"] = dict(reversed(spec["heads"].items()))
    with pytest.raises(ValueError, match="paf/fields groups the candidates of the heads before it"):
        ModelSpec.model_validate(spec)


def test_candidates_that_no_head_groups_are_animals() -> None:
    spec = chain().model_dump(mode="json")
    del spec["heads"]["fields"]
    model = PoseModel(ModelSpec.model_validate(spec), replace(skeleton(2), individuals=("a",)))
    heat = torch.zeros(1, 2, 20, 20)
    heat[0, 0, 5, 5] = heat[0, 0, 15, 12] = heat[0, 1, 9, 9] = 0.9
    found = model.decode({"peaks": {"heatmap": heat}})
    assert (torch.isfinite(found.keypoints).all(-1).sum(-1)[found.scores > 0] == 1).all()
    assert int((found.scores > 0).sum()) == 3
