"""The identity of a crop: what is learned, what is said, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Labels, Predictions
from pose_core.specs import AnyHead, Feature, ModelSpec
from pose_core.structures import Skeleton

SKELETON = Skeleton(("nose", "tail"), individuals=("ann", "bob", "cat"), identified=True)
MAPS = (Feature(6, 4), Feature(8, 16))


def make_head(skeleton: Skeleton = SKELETON, features: tuple[Feature, ...] = MAPS, **more: Any) -> Any:
    config = TypeAdapter(AnyHead).validate_python({"type": "heatmap/identity_vector", **more})
    config.check(features, None)
    torch.manual_seed(0)
    return BuildContext(skeleton=skeleton, features=features).build("head", config)


def make_labels(identity: list[list[int]]) -> Labels:
    b, n = len(identity), len(identity[0])
    return Labels.from_keypoints(torch.zeros(b, n, 2, 2), identity=torch.tensor(identity).view(b, n))


def features(batch: int = 2) -> list[Tensor]:
    return [torch.randn(batch, 6, 16, 12), torch.randn(batch, 8, 4, 3)]


def test_the_coarsest_map_is_pooled_unless_another_is_chosen() -> None:
    maps = features()
    head = make_head(layers=0)
    assert head.feature == 1
    weight, bias = head.classifier.weight, head.classifier.bias
    torch.testing.assert_close(head(maps)["identity"], maps[1].amax((2, 3)) @ weight.T + bias)
    mean = make_head(layers=0, pool="mean", feature=0)
    expected = maps[0].mean((2, 3)) @ mean.classifier.weight.T + mean.classifier.bias
    torch.testing.assert_close(mean(maps)["identity"], expected)
    sizes = [tuple(layer.weight.shape) for layer in make_head(layers=2, units=5).hidden_layers[::2]]
    assert sizes == [(5, 8), (5, 5)]
    tokens = make_head(features=(Feature(7, 4, tokens=True),), layers=0)
    assert tokens([torch.randn(2, 9, 7)])["identity"].shape == (2, 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 5), st.data())
def test_the_loss_is_the_cross_entropy_of_the_named_crops(individuals: int, data: st.DataObject) -> None:
    """Of logits: it falls to 0 for a network that is sure, which a softmax taken twice could not. Crops
    without a name, and neighbours in a crop, teach nothing."""
    skeleton = replace(SKELETON, individuals=tuple(f"i{n}" for n in range(individuals)))
    head = make_head(skeleton, losses={"identity": {"weight": 1.0}})
    names = data.draw(st.lists(st.integers(-1, individuals - 1), min_size=1, max_size=5))
    labels = make_labels([[n, 0] for n in names])
    logits = torch.randn(len(names), individuals, requires_grad=True)
    loss = head.loss({"identity": logits}, labels)["identity"]
    named = [i for i, n in enumerate(names) if n >= 0]
    own = [float(-logits[i].detach().log_softmax(-1)[names[i]]) for i in named]
    assert loss.item() == pytest.approx(sum(own) / len(own) if own else 0.0, abs=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[[i for i, n in enumerate(names) if n < 0]].any()
    sure = 30 * torch.eye(individuals)[torch.tensor(names).clamp(min=0)]
    assert head.loss({"identity": sure}, labels)["identity"].item() < 1e-6


def test_the_animal_of_the_crop_gets_the_probabilities() -> None:
    head = make_head()
    logits = torch.tensor([[2.0, 0, 0], [0, math.nan, 0], [0, 0, 1]])
    points = torch.zeros(3, 1, 2, 2)
    points[2] = math.nan
    found = Predictions.none(3, SKELETON).with_animals(points, torch.ones(3, 1, 2))
    scores = head.decode({"identity": logits}, found).identity_scores
    torch.testing.assert_close(scores[0, 0], logits[0].softmax(-1))
    # Nothing is known of a crop whose numbers are not finite, nor of one without an animal.
    assert torch.isfinite(scores).all()
    assert not scores[2].any()
    by_itself = make_head(predictor={"type": "heatmap/identity_of_crop", "sigmoid": True})
    torch.testing.assert_close(
        by_itself.decode({"identity": logits[:1]}, found[:1]).identity_scores[0, 0], logits[0].sigmoid()
    )


@pytest.mark.parametrize("changes", [{"identified": False}, {"individuals": ("ann",)}])
def test_a_skeleton_without_identities_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="heatmap/identity_vector needs a skeleton with several") as caught:
        make_head(replace(SKELETON, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"feature": 2}, "feature: there is no feature map 2; there are 2"),
        ({"losses": {"identity": {"type": "heatmap/huber"}}}, "heatmap/huber does not compare logits"),
        ({"losses": {"identity": {"type": "heatmap/bce"}}}, "heatmap/bce is for maps"),
        ({"losses": {"heatmap": {"type": "heatmap/bce"}}}, "no output heatmap; its only output is identity"),
    ],
)
def test_wrong_settings_are_named(more: dict[str, Any], said: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=said):
        make_head(**more)


@pytest.mark.parametrize(
    ("method", "heads", "said"),
    [
        (
            "bottom_up",
            {"keypoints": {"type": "paf/paf"}, "who": {"type": "heatmap/identity_vector"}},
            "does not work in a network that looks at whole frames, as bottom_up does",
        ),
        (
            "bottom_up",
            {"who": {"type": "heatmap/identity", "predictor": {"type": "heatmap/group_by_identity"}}},
            "groups the candidates of the heads before it, and is the first",
        ),
        (
            "single_animal",
            {"keypoints": {"type": "heatmap/heatmap", "predictor": {"type": "heatmap/peaks"}}},
            "finds several animals in one input",
        ),
        (
            "single_animal",
            {
                "lamp": {
                    "type": "heatmap/heatmap",
                    "keypoints": "unique",
                    "predictor": {"type": "heatmap/peaks"},
                }
            },
            "finds several of each keypoint",
        ),
    ],
)
def test_heads_that_do_not_fit_the_method_are_refused(method: str, heads: Any, said: str) -> None:
    backbone = {"type": "unet/unet", "filters": 4, "max_stride": 8}
    with pytest.raises(ValidationError, match=said):
        ModelSpec.model_validate({"method": method, "backbone": backbone, "heads": heads})


def test_weights_move_between_projects_by_the_names_of_individuals() -> None:
    axes = make_head().keypoint_axes()
    assert set(axes) == {"classifier.weight", "classifier.bias"}
    assert all(a[0].individuals and a[0].entries == (("ann",), ("bob",), ("cat",)) for a in axes.values())
