"""The heatmap head: layers, grid, configuration."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pose_heatmap.config import HeatmapHeadConfig
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

NAN = math.nan
SKELETON = Skeleton(("a", "b", "c"), unique_keypoints=("corner", "door"))


def make_config(**config: Any) -> HeatmapHeadConfig:
    spec = TypeAdapter(AnyHead).validate_python({"type": "heatmap/heatmap", **config})
    assert isinstance(spec, HeatmapHeadConfig)
    return spec


def make_head(
    features: tuple[Feature, ...] = (Feature(6, 16),), skeleton: Skeleton = SKELETON, **config: Any
) -> Head:
    spec = make_config(**config)
    spec.check(features, None)
    head: Head = BuildContext(skeleton=skeleton, features=features).build("head", spec)
    return head


def labels(batch: int, animals: int, generator: torch.Generator, size: float) -> Labels:
    keypoints = torch.rand(batch, animals, 3, 2, generator=generator) * size
    keypoints[torch.rand(batch, animals, 3, generator=generator) < 0.3] = NAN
    unique = torch.rand(batch, 2, 2, generator=generator) * size
    unique[:, 1] = NAN
    return Labels.from_keypoints(keypoints, unique_keypoints=unique)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 6)])
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_shapes(size: tuple[int, int], layers: int, kernel: int) -> None:
    head = make_head(deconv_layers=layers, deconv_kernel=kernel, deconv_channels=8)
    outputs = head([torch.randn(2, 6, *size)])
    expected = [n * 2**layers for n in size]
    assert outputs["heatmap"].shape == (2, 3, *expected)
    assert outputs["locref"].shape == (2, 6, *expected)


def test_valid_padding_gives_2n_plus_1() -> None:
    head = make_head(deconv_padding="valid")
    assert head([torch.zeros(1, 6, 16, 9)])["heatmap"].shape == (1, 3, 33, 19)
    assert head.predictor.grid.stride == 8


def test_grid_offset_of_imported_weights() -> None:
    head = make_head(grid_offset=4.0, deconv_padding="valid")
    assert head.predictor.grid == head.target_generator.grid == Grid(stride=8, offset=4.0)


def test_parameters_have_the_names_of_the_reference() -> None:
    assert sorted(dict(make_head().named_parameters())) == [
        f"{head}.deconv_layers.0.{what}"
        for head in ("heatmap_head", "locref_head")
        for what in ("bias", "weight")
    ]
    assert sorted(dict(make_head(deconv_layers=0, location_refinement=False).named_parameters())) == [
        "heatmap_head.final_conv.bias",
        "heatmap_head.final_conv.weight",
    ]
    two = dict(make_head(deconv_layers=2, deconv_channels=10).named_parameters())
    assert two["heatmap_head.deconv_layers.2.weight"].shape == (10, 3, 3, 3)


def test_layers_by_stride() -> None:
    assert make_config().layers_on(Feature(1, 4)) == 0
    assert make_config().layers_on(Feature(1, 8)) == 1
    assert make_config(deconv_layers=2).layers_on(Feature(1, 4)) == 2


def test_choice_of_the_feature_map() -> None:
    features = (Feature(4, 4), Feature(6, 8))
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 6, 4, 4)]
    assert make_head(features, deconv_layers=0)(maps)["heatmap"].shape == (1, 3, 8, 8), "of the finest"
    with pytest.raises(
        ValueError, match=r"no feature map 2; .*0 \(4 channels, stride 4\), 1 \(6 channels, stride 8\)"
    ):
        make_config(feature=2).check(features, None)
    head = make_head(features, feature=1)
    assert head(maps)["heatmap"].shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"deconv_layers": 3}, "deconv_layers"),
        ({"target_generator": {"type": "heatmap/gaussian", "sigma": 1.0}}, "target_generator.sigma"),
        ({"target_generator": {"type": "heatmap/plateau", "radius": 1.0}}, "target_generator.radius"),
        (
            {"target_generator": {"type": "heatmap/gaussian", "sigma": 8.0, "locref_radius": 8.0}},
            "target_generator.locref_radius",
        ),
    ],
)
def test_impossible_geometry_names_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        make_config(**config).check((Feature(6, 4),), None)


def test_losses_belong_to_outputs() -> None:
    assert set(make_config().losses) == {"heatmap", "locref"}
    assert set(make_config(location_refinement=False).losses) == {"heatmap"}
    changed = make_config(losses={"heatmap": {"type": "heatmap/bce"}})
    assert changed.losses["heatmap"].type == "heatmap/bce"
    assert changed.losses["locref"].type == make_config().losses["locref"].type
    with pytest.raises(ValidationError, match="no output paf"):
        make_config(losses={"paf": {"type": "heatmap/mse"}})
    with pytest.raises(ValidationError, match="no output locref"):
        make_config(location_refinement=False, losses={"locref": {"type": "heatmap/huber"}})
    again = make_config(**{k: v for k, v in changed.model_dump().items() if k != "type"})
    assert again == changed


def test_cross_entropy_decides_sigmoid_and_bias() -> None:
    assert make_config().decided_predictor().sigmoid is False  # type: ignore[attr-defined]
    bce = {"heatmap": {"type": "heatmap/bce"}}
    assert make_config(losses=bce).decided_predictor().sigmoid is True  # type: ignore[attr-defined]
    as_trained = make_config(losses=bce, predictor={"type": "heatmap/argmax", "sigmoid": False})
    assert as_trained.decided_predictor().sigmoid is False  # type: ignore[attr-defined]
    outputs = make_head(losses=bce)([torch.randn(1, 6, 4, 4)])
    assert outputs["heatmap"].sigmoid().max() < 0.02
    assert outputs["locref"].abs().max() < 1
    logits = {"heatmap": torch.full((1, 3, 8, 8), -20.0), "locref": torch.zeros(1, 6, 8, 8)}
    head = make_head(losses=bce)
    logits["heatmap"][0, :, 2, 3] = 3.0
    found = head.decode(logits, Predictions.none(1, SKELETON))
    torch.testing.assert_close(found.keypoint_scores, torch.full((1, 1, 3), 3.0).sigmoid())
    torch.testing.assert_close(
        found.keypoints[0, 0, 0], head.predictor.grid.to_pixels(torch.tensor([3.0, 2.0]))
    )


@pytest.mark.parametrize("animals", [0, 1, 3])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"losses": {"heatmap": {"type": "heatmap/bce"}, "locref": {"type": "heatmap/huber"}}},
        {"target_generator": {"type": "heatmap/plateau"}, "location_refinement": False},
        {"keypoints": "unique"},
    ],
)
def test_training_step(animals: int, config: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    head = make_head(**config)
    feature = torch.randn(2, 6, 5, 7, requires_grad=True)
    losses = head.loss(head([feature]), labels(2, animals, generator, 80.0))
    assert set(losses) == set(head.losses)
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    assert feature.grad is not None
    assert torch.isfinite(feature.grad).all()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_loss_weights_multiply() -> None:
    generator = torch.Generator().manual_seed(0)
    given = labels(2, 1, generator, 80.0)
    torch.manual_seed(0)
    head = make_head()
    heavy = make_head(losses={"heatmap": {"type": "heatmap/mse", "weight": 3.0}})
    heavy.load_state_dict(head.state_dict())
    feature = torch.randn(2, 6, 5, 7)
    once, thrice = head.loss(head([feature]), given), heavy.loss(heavy([feature]), given)
    torch.testing.assert_close(thrice["heatmap"], 3 * once["heatmap"])
    torch.testing.assert_close(thrice["locref"], once["locref"])


def test_a_few_steps_learn_a_blob() -> None:
    torch.manual_seed(0)
    head = make_head((Feature(64, 4),), keypoints="animal")
    # A feature that says where the cell is makes the blob learnable by a 1 x 1 convolution.
    feature = torch.randn(1, 64, 8, 8)
    given = labels(1, 1, torch.Generator().manual_seed(3), 0.0)
    given.keypoints[:] = torch.tensor([[12.0, 17.0], [22.0, 9.0], [NAN, NAN]])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    first = None
    for _ in range(400):
        total = torch.stack(list(head.loss(head([feature]), given).values())).sum()
        first = first or total.item()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    found = head.decode(head([feature]), Predictions.none(1, SKELETON))
    assert total.item() < 0.05 * first
    assert (found.keypoints[0, 0, :2] - given.keypoints[0, 0, :2]).norm(dim=-1).max() < 0.5


def test_unique_keypoints_leave_the_animals_alone() -> None:
    head = make_head((Feature(6, 4),), keypoints="unique")
    generator = torch.Generator().manual_seed(0)
    given = labels(1, 2, generator, 60.0)
    outputs = head([torch.zeros(1, 6, 16, 16)])
    assert outputs["heatmap"].shape == (1, 2, 16, 16)
    before = head.loss(outputs, given)["heatmap"]
    # The second unique keypoint is unlabelled: its map has no weight.
    perturbed = {name: value.clone() for name, value in outputs.items()}
    perturbed["heatmap"][:, 1] += 5
    assert torch.equal(head.loss(perturbed, given)["heatmap"], before)
    perturbed["heatmap"][:, 0] += 5
    assert head.loss(perturbed, given)["heatmap"] > before

    animals = Predictions.none(1, SKELETON).with_animals(torch.ones(1, 2, 3, 2), torch.ones(1, 2, 3))
    outputs["heatmap"][0, 0, 4, 7] = 1.0
    found = head.decode({"heatmap": outputs["heatmap"], "locref": torch.zeros(1, 4, 16, 16)}, animals)
    assert torch.equal(found.keypoints, animals.keypoints)
    torch.testing.assert_close(found.unique_keypoints[0, 0], torch.tensor([29.5, 17.5]))
    assert found.unique_scores.shape == (1, 2)


def test_unique_keypoints_need_a_skeleton_with_some() -> None:
    with pytest.raises(ConfigError, match="unique_keypoints"):
        make_head(skeleton=Skeleton(("a",)), keypoints="unique")


def test_outputs_are_contiguous_for_channels_last_features() -> None:
    head = make_head((Feature(6, 4),)).to(memory_format=torch.channels_last)
    feature = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)
    for output in head([feature]).values():
        assert output.is_contiguous()


def test_recipe_makes_single_animal_models() -> None:
    models = [m for m in get_catalog().models() if m.method == "single_animal"]
    heads = [layer.get("model", {}).get("heads") for m in models for layer in m.layers]
    assert {"keypoints": {"type": "heatmap/heatmap"}} in heads


def test_head_and_decoding_can_be_exported() -> None:
    class Decoded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = make_head((Feature(6, 8),))

        def forward(self, feature: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            found = self.head.decode(self.head([feature]), Predictions.none(len(feature), SKELETON))
            return found.keypoints, found.keypoint_scores

    module = Decoded().eval()
    feature = torch.randn(2, 6, 5, 7)
    exported = torch.export.export(module, (feature,)).module()
    for given, wanted in zip(exported(feature), module(feature), strict=True):
        torch.testing.assert_close(given, wanted)


def test_tokens_are_no_feature_map() -> None:
    config = HeatmapHeadConfig(type="heatmap/heatmap")
    with pytest.raises(ValueError, match="feature: 0 holds keypoint tokens"):
        config.check((Feature(8, 4, tokens=True),), None)


@pytest.mark.parametrize(("missing", "learned"), [("unknown", 1), ("absent", 2)])
def test_unlabelled_unique_keypoints_teach_nothing_or_that_they_are_absent(
    missing: str, learned: int
) -> None:
    """The second one is unlabelled."""
    head = make_head(keypoints="unique", target_generator={"type": "heatmap/gaussian", "missing": missing})
    truth = labels(1, 1, torch.Generator().manual_seed(0), 60)
    heat = torch.zeros(1, 2, 8, 8, requires_grad=True)
    outputs = {"heatmap": heat + 0.5, "locref": torch.zeros(1, 4, 8, 8)}
    (gradient,) = torch.autograd.grad(head.loss(outputs, truth)["heatmap"], heat)
    assert int(gradient.flatten(2).any(-1).sum()) == learned
