"""The head: its graph, its layers, where its cells lie, and what its config refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_paf.graph import choose_limbs, full_graph, is_connected, sparse_graph
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Head
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyHead, Feature, ModelSpec
from pose_core.specs.resolve import choose_model
from pose_core.structures import Skeleton

NAMES = ("nose", "ear", "hip", "tail")
CHAIN = Skeleton(NAMES, edges=(("nose", "ear"), ("ear", "hip"), ("hip", "tail")))


def config_of(**config: Any) -> Any:
    return TypeAdapter(AnyHead).validate_python({"type": "paf/paf", **config})


def make_head(skeleton: Skeleton = CHAIN, stride: int = 16, **config: Any) -> Head:
    spec, features = config_of(**config), (Feature(6, stride),)
    spec.check(features, None)
    head: Head = BuildContext(skeleton=skeleton, features=features).build("head", spec)
    return head


# The graph


def test_graphs_by_name() -> None:
    assert choose_limbs("auto", CHAIN) == choose_limbs("skeleton", CHAIN) == ((0, 1), (1, 2), (2, 3))
    assert choose_limbs("bridged", CHAIN) == ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3))
    assert choose_limbs("full", CHAIN) == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    assert choose_limbs("auto", Skeleton(NAMES)) == full_graph(4)
    assert choose_limbs("auto", Skeleton(NAMES, edges=(("nose", "ear"),))) == full_graph(4)
    assert choose_limbs([("tail", "nose"), ("nose", "ear"), ("ear", "hip")], CHAIN) == (
        (3, 0),
        (0, 1),
        (1, 2),
    )
    assert choose_limbs([(3, 0), (0, 1), (1, 2)], CHAIN) == ((3, 0), (0, 1), (1, 2))


@pytest.mark.parametrize("keypoints", [2, 3, 15, 16, 40, 101])
def test_large_sets_get_a_sparse_graph_that_is_always_the_same(keypoints: int) -> None:
    skeleton = Skeleton(tuple(map(str, range(keypoints))))
    limbs = choose_limbs("auto", skeleton)
    assert is_connected(limbs, keypoints)
    assert len({frozenset(limb) for limb in limbs}) == len(limbs)
    if keypoints > 15:
        assert limbs == sparse_graph(keypoints)
        assert len(limbs) == 3 * keypoints
    else:
        assert limbs == full_graph(keypoints)


@pytest.mark.parametrize(
    ("skeleton", "graph", "message"),
    [
        (Skeleton(NAMES), "skeleton", "skeleton needs a skeleton with edges"),
        (Skeleton(NAMES, edges=(("nose", "ear"), ("ear", "hip"))), "skeleton", "does not connect tail with"),
        (CHAIN, [["nose", "ear"]], "does not connect hip with"),
        (CHAIN, [["nose", "eye"]], "no keypoint 'eye'; there are nose, ear"),
        (CHAIN, [[0, 4]], "no keypoint 4"),
        (CHAIN, [["nose", "nose"]], "joined with itself"),
        (CHAIN, [["nose", "ear"], ["ear", "nose"]], "appears twice"),
        (Skeleton(("nose",)), "auto", "only one"),
    ],
)
def test_graphs_that_cannot_be(skeleton: Skeleton, graph: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_head(skeleton, graph=graph)
    assert "\n" not in str(caught.value)


# The layers


@pytest.mark.parametrize(
    ("stride", "config", "cells"),
    [
        (4, {}, (24, 40)),
        (8, {}, (24, 40)),
        (16, {}, (24, 40)),
        (32, {}, (24, 40)),
        (16, {"deconv_layers": 0}, (6, 10)),
        (16, {"deconv_layers": 1}, (12, 20)),
        (16, {"stages": 1}, (24, 40)),
        (16, {"stages": 2, "stage_channels": 5, "deconv_layers": 1}, (12, 20)),
        (16, {"stages": 2, "deconv_layers": 2, "deconv_padding": "valid"}, (25, 41)),
        (32, {"stages": 3, "deconv_layers": 3, "deconv_padding": "valid"}, (27, 43)),
    ],
)
def test_outputs_and_gradients(stride: int, config: dict[str, Any], cells: tuple[int, int]) -> None:
    head = make_head(stride=stride, stage_features=7, deconv_channels=6, **config)
    outputs = head([torch.randn(2, 6, 96 // stride, 160 // stride)])
    assert {n: tuple(t.shape) for n, t in outputs.items()} == {
        name: (2, maps, *cells) for name, maps in (("heatmap", 4), ("locref", 8), ("paf", 6))
    }
    torch.stack([t.square().sum() for t in outputs.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())


@pytest.mark.parametrize(
    "config",
    [
        {"deconv_layers": 1},
        {"deconv_layers": 2},
        {"deconv_layers": 2, "deconv_padding": "valid"},
        {"deconv_layers": 2, "deconv_kernel": 4},
        {"deconv_layers": 2, "stages": 2},
        {"deconv_layers": 3, "stages": 1, "deconv_padding": "valid"},
    ],
)
def test_the_grid_is_where_an_impulse_comes_out(config: dict[str, Any]) -> None:
    head = make_head(stride=16, deconv_channels=3, stage_features=3, stage_activation=False, **config).eval()
    for module in head.modules():
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.ones_(module.weight)
        elif isinstance(module, nn.Conv2d):
            # Stages pass on what they get.
            nn.init.zeros_(module.weight)
            module.weight.data[:, :, 1, 1] = 1
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    feature = torch.zeros(1, 6, 9, 9)
    feature[..., 4, 3] = 1
    grid = head.grid
    assert isinstance(grid, Grid)
    for name, tensor in head([feature]).items():
        mass = tensor[0, 0].detach()
        x = grid.centres(mass.shape[1]) @ mass.sum(0) / mass.sum()
        y = grid.centres(mass.shape[0]) @ mass.sum(1) / mass.sum()
        assert (float(x), float(y)) == pytest.approx((3 * 16 + 7.5, 4 * 16 + 7.5), abs=0.01), name


def test_an_offset_of_the_grid_can_be_given() -> None:
    assert make_head(grid_offset=2.0).grid == Grid(4, 2.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"deconv_layers": 5}, "more cells than pixels; at most 4"),
        ({"deconv_layers": 0, "stages": 1}, "deconv_layers: stages come after"),
        ({"feature": 1}, "there is no feature map 1"),
        ({"target_generator": {"width": 1.0}}, "target_generator.width: 1 is too small"),
        ({"target_generator": {"maps": {"sigma": 1.0}}}, "target_generator.maps.sigma: 1 is too small"),
        (
            {"losses": {"limbs": {"type": "heatmap/mse"}}},
            "no output limbs; its outputs are heatmap, locref, paf",
        ),
        ({"losses": {"paf": {"type": "heatmap/bce"}}}, "not vectors"),
        ({"losses": {"paf": {"foreground": 5}}}, "it must be 1"),
        ({"stagse": 1}, "stagse"),
        ({"predictor": {"limbs": [3]}}, "there is no limb 3; the graph's 3 limbs"),
    ],
)
def test_settings_that_cannot_be(config: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, ConfigError), match=message):
        make_head(**config)


def test_tokens_are_no_feature_map() -> None:
    with pytest.raises(ValueError, match="holds keypoint tokens"):
        config_of().check((Feature(6, 4, tokens=True),), None)
    config_of().check((Feature(6, 4), Feature(6, 8)), None)


def test_keypoint_axes_are_all_that_depends_on_the_keypoints() -> None:
    for config in ({"deconv_layers": 0}, {"deconv_layers": 1}, {"deconv_layers": 2}, {"stages": 2}):
        heads = [make_head(Skeleton(names), **config) for names in (NAMES, (*NAMES, "knee"))]
        states = [head.state_dict() for head in heads]
        differ = {name for name in states[0] if states[0][name].shape != states[1][name].shape}
        axes = heads[0].keypoint_axes()
        assert differ == set(axes)
        for name, found in axes.items():
            for axis in found:
                assert states[0][name].shape[axis.axis] == len(axis.entries)


# Models


def test_a_bare_name_in_a_project_of_several_animals_is_a_bottom_up_model() -> None:
    model = choose_model("unet", multi_animal=True)
    assert model.method == "bottom_up"
    assert choose_model("unet", multi_animal=False).method == "single_animal"
    names = {m.name for m in get_catalog().models() if m.method == "bottom_up"}
    assert {"resnet_50", "resnet_101", "hrnet_w18", "hrnet_w32", "hrnet_w48", "cspnext_s"} <= names
    assert {"dlcrnet_stride16_ms5", "dlcrnet_stride32_ms5"} <= names


def test_a_whole_model_predicts_and_learns() -> None:
    torch.manual_seed(0)
    backbone = {"type": "unet/unet", "filters": 4, "max_stride": 8, "output_stride": 4}
    spec = {
        "method": "bottom_up",
        "backbone": backbone,
        "heads": {"keypoints": {"type": "paf/paf"}},
        "preprocess": {"scale": 1.0},
    }
    model = PoseModel(ModelSpec.model_validate(spec), CHAIN)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    assert model.predict(images).keypoints.shape[2:] == (4, 2)


def test_a_loss_of_vectors_in_yaml_is_merged_with_the_default() -> None:
    config = config_of(losses={"paf": {"weight": 2.0}})
    assert config.losses["paf"].weight == 2.0
    assert config.losses["heatmap"].type == "heatmap/mse"
    with pytest.raises(ValidationError, match="limbs"):
        config_of(predictor={"limbs": []})
