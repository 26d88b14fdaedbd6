"""Conditional backbones and the models made of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import Backbone, BuildContext, Labels
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyBackbone, RunSpec
from pose_core.specs.resolve import Layer, resolve
from pose_core.structures import Skeleton

NAN = float("nan")
NAMES = tuple("abcde")
# Parameters for five keypoints, as DeepLabCut 3.0.2 counts them.
COUNTS = {
    "ctd_coam_w32": 47_667_777,
    "ctd_coam_w48": 84_258_465,
    "ctd_coam_w48_human": 117_319_185,
    "ctd_prenet_hrnet_w32": 29_318_112,
    "ctd_prenet_hrnet_w48": 65_337_936,
    "ctd_prenet_rtmpose_s": 5_221_128,
    "ctd_prenet_rtmpose_m": 13_184_960,
    "ctd_prenet_rtmpose_x": 48_752_080,
    "ctd_prenet_rtmpose_x_human": 48_693_712,
}
SIZES = {
    "ctd_prenet_rtmpose_x": (384, 384),
    "ctd_coam_w48_human": (384, 288),
    "ctd_prenet_rtmpose_x_human": (384, 288),
}
SMALL = ("ctd_prenet_rtmpose_s", "ctd_prenet_hrnet_w18")


def spec_of(name: str) -> RunSpec:
    (model,) = get_catalog().model(name)
    data = {"skeleton": {"keypoints": list(NAMES), "individuals": ["x", "y"]}, "data": {"source": "nowhere"}}
    return resolve(model, Layer(data), [])


def build(size: tuple[int, int] | None = (64, 64), names: tuple[str, ...] = NAMES, **config: Any) -> Backbone:
    spec = TypeAdapter(AnyBackbone).validate_python(config)
    network: Backbone = BuildContext(skeleton=Skeleton(names), input_size=size).build("backbone", spec)
    return network


def coam(size: tuple[int, int] | None = (64, 64), names: tuple[str, ...] = NAMES, **config: Any) -> Backbone:
    return build(
        size, names, **{"type": "buctd/coam", "backbone": {"type": "hrnet/hrnet", "width": 18}, **config}
    )


def prenet(names: tuple[str, ...] = NAMES, **config: Any) -> Backbone:
    inner = {"type": "cspnext/cspnext", "deepen": 0.33, "widen": 0.5}
    return build(None, names, **{"type": "buctd/prenet", "backbone": inner, **config})


def random_labels(b: int, size: tuple[int, int]) -> Labels:
    keypoints = torch.rand(b, 2, len(NAMES), 2) * (min(size) - 1)
    keypoints[0, 0, 1] = NAN
    keypoints[1, 1] = NAN
    shape = keypoints.shape[:2]
    return Labels(
        keypoints,
        torch.zeros(keypoints.shape[:3], dtype=torch.bool),
        torch.full((*shape, 4), NAN),
        torch.full(shape, NAN),
        torch.full(shape, -1),
        torch.zeros(b, 0, 2),
    )


@pytest.mark.parametrize("name", COUNTS)
def test_presets_have_the_parameters_of_the_reference(name: str) -> None:
    spec = spec_of(name)
    assert spec.model.method == "conditional_top_down"
    assert spec.model.preprocess.size == SIZES.get(name, (256, 256))
    assert spec.model.view == "animal"
    with torch.device("meta"):
        model = PoseModel(spec.model, spec.skeleton)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name]


def check_learning(name: str) -> None:
    torch.manual_seed(0)
    spec = spec_of(name)
    model = PoseModel(spec.model, spec.skeleton).train()
    assert spec.model.preprocess.size is not None
    height, width = spec.model.preprocess.size
    labels = random_labels(2, (height, width))
    extra = model.extra_for_training(labels, (height, width))
    assert extra["conditions"].shape == (2, len(NAMES), height, width)
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    sum(model.losses(model(model.normalise(images), **extra), labels).values()).backward()  # type: ignore[union-attr]
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
    condition_layers = [
        p for k, p in model.named_parameters() if "conditions.0.weight" in k or "out.weight" in k
    ]
    assert condition_layers
    assert all(p.grad.any() for p in condition_layers)


@pytest.mark.parametrize("name", SMALL)
def test_small_presets_learn(name: str) -> None:
    check_learning(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COUNTS if name not in SMALL])
def test_large_presets_learn(name: str) -> None:
    check_learning(name)


def test_every_backbone_becomes_conditional() -> None:
    catalog = get_catalog()
    presets = [p.name for plugin in catalog.plugins for p in plugin.definitions.get("pose_backbones", ())]
    assert presets
    for name in presets:
        (model,) = catalog.model(f"ctd_prenet_{name}")
        spec = resolve(model, Layer({"skeleton": {"keypoints": ["a"]}, "data": {"source": "nowhere"}}), [])
        assert spec.model.backbone.type == "buctd/prenet"
        assert spec.model.backbone.extra_inputs() == ("conditions",)


def test_the_image_passes_through_a_new_prenet() -> None:
    torch.manual_seed(0)
    network: Any = prenet().train()
    images = torch.randn(8, 3, 64, 64) * 2 + 1
    seen: list[Tensor] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images, conditions=torch.zeros(8, 5, 64, 64))
    for channel in range(3):
        both = torch.stack(
            [images[:, channel, 3:-3, 3:-3].flatten(), seen[0][:, channel, 3:-3, 3:-3].flatten()]
        )
        assert torch.corrcoef(both)[0, 1] > 0.98
    assert abs(float(seen[0].detach().std()) - 1) < 0.05


def test_conditions_show_but_do_not_outshine_the_image() -> None:
    torch.manual_seed(0)
    network: Any = prenet().train()
    spec = spec_of("ctd_prenet_rtmpose_s")
    model = PoseModel(spec.model, spec.skeleton).train()
    maps = model.extra_for_training(random_labels(8, (256, 256)), (256, 256))["conditions"]
    shown = network.conditions(maps).detach()
    assert 0.5 < float(shown.abs().amax()) < 10
    assert float(shown.std()) < 0.2


def randomised(network: Backbone) -> Backbone:
    """Attention that does something."""
    for name, parameter in network.named_parameters():
        if name.endswith("out.weight"):
            nn.init.normal_(parameter, std=0.05)
    return network


def test_new_attention_changes_nothing() -> None:
    torch.manual_seed(0)
    network = coam().eval()
    images = torch.randn(2, 3, 64, 64)
    without, with_conditions = (
        network(images, conditions=c)[0] for c in (torch.zeros(2, 5, 64, 64), torch.ones(2, 5, 64, 64))
    )
    torch.testing.assert_close(without, with_conditions, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("attention", ["dual", "channel"])
@pytest.mark.parametrize("at", [("transition2",), ("transition1", "transition3")])
def test_attention_sees_the_conditions(attention: str, at: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    network = randomised(coam((96, 64), attention=attention, at=at, heads=2)).eval()
    images = torch.randn(2, 3, 96, 64)
    conditions = torch.zeros(2, 5, 96, 64)
    (before,) = network(images, conditions=conditions)
    conditions[:, 2, 40:50, 20:30] = 5.0
    (after,) = network(images, conditions=conditions)
    assert before.shape == (2, 18, 24, 16)
    assert (before - after).abs().max() > 1e-4 * before.abs().max()
    after.square().mean().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and "fuse" not in name:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_attention_is_what_the_paper_writes() -> None:
    torch.manual_seed(0)
    branch: Any = randomised(coam((128, 64), heads=1)).attention["transition2"][1].eval()
    x, conditions = torch.randn(2, 36, 16, 8), torch.randn(2, 5, 128, 64)
    small = nn.functional.interpolate(conditions, size=(16, 8), mode="bilinear", antialias=True)
    position, channel = branch.position, branch.channel
    cells = position.feature_conv(x).flatten(2).mT
    q, k, v = (
        position.query(position.condition_conv(small).flatten(2).mT),
        position.key(cells),
        position.value(cells),
    )
    by_position = position.out((q @ k.mT / 36**0.5).softmax(-1) @ v).mT.reshape(x.shape)
    maps = channel.feature_conv(x).flatten(2)
    weights = (channel.condition_conv(small).flatten(2) @ maps.mT / (16 * 8) ** 0.5).softmax(-1)
    expected = x + by_position + channel.out(weights @ maps).reshape(x.shape)
    torch.testing.assert_close(branch(x, conditions), expected, rtol=1e-4, atol=1e-5)


def test_evaluation_is_deterministic() -> None:
    torch.manual_seed(0)
    images, conditions = torch.randn(2, 3, 64, 64), torch.rand(2, 5, 64, 64)
    for network in (randomised(coam()).eval(), prenet().eval()):
        assert torch.equal(
            network(images, conditions=conditions)[0], network(images, conditions=conditions)[0]
        )


@pytest.mark.parametrize("encoding", ["stacked", "coloured"])
def test_keypoint_axes_are_those_that_follow_the_number_of_keypoints(encoding: str) -> None:
    more = (*NAMES, "f", "g")
    for few, many in (
        (coam(encoding=encoding), coam(names=more, encoding=encoding)),
        (prenet(encoding=encoding), prenet(more, encoding=encoding)),
    ):
        shapes = {key: value.shape for key, value in few.state_dict().items()}
        axes = few.keypoint_axes()
        for key, value in many.state_dict().items():
            differing = tuple(
                i for i, (a, b) in enumerate(zip(shapes[key], value.shape, strict=True)) if a != b
            )
            declared = axes.get(key, ())
            assert tuple(sorted(axis.axis for axis in declared)) == differing, key
            assert all(axis.entries == tuple((name,) for name in NAMES) for axis in declared)
        assert bool(axes) is (encoding == "stacked")


@pytest.mark.parametrize("freeze", [True, "statistics"])
def test_frozen_batch_norms_stay_as_they_are(freeze: bool | str) -> None:
    network: Any = coam(backbone={"type": "hrnet/hrnet", "width": 18, "freeze_bn": freeze})
    assert network.train() is network
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert network.backbone.model.bn1.weight.requires_grad is (freeze == "statistics")
    assert network.attention["transition2"][0].position.training


def test_conditions_of_another_encoding_are_refused() -> None:
    images, conditions = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    for network in (coam(), prenet()):
        with pytest.raises(ConfigError, match=re.escape("made for 5 maps of conditions and gets 3")):
            network(images, conditions=conditions)


@pytest.mark.parametrize(
    ("size", "config", "message"),
    [
        (None, {}, "needs a fixed size"),
        ((100, 64), {}, r"needs multiples of 32, not \[100, 64\]"),
        ((64, 64), {"heads": 3}, "3 heads do not divide the 256 cells"),
    ],
)
def test_sizes_that_attention_cannot_take(
    size: tuple[int, int] | None, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        coam(size, **config)
    with pytest.raises(ConfigError, match="made for images of 64 x 64 pixels and gets 64 x 96"):
        coam()(torch.zeros(1, 3, 64, 96), conditions=torch.zeros(1, 5, 64, 96))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"backbone": {"type": "hrnet/hrnet", "width": 20}}, "width"),
        ({"backbone": {"type": "unet/unet"}}, "unet/unet has no insert points"),
        (
            {"at": ["transition4"]},
            "no insert point transition4; it has transition1, transition2, transition3",
        ),
        ({"at": ["transition2", "transition2"]}, "once only"),
        ({"at": []}, "at least 1"),
        ({"depth": 1}, "depth"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python(
            {"type": "buctd/coam", "backbone": {"type": "hrnet/hrnet"}, **config}
        )


@pytest.mark.parametrize(
    ("backbone", "at", "shapes"),
    [
        (
            {"type": "hrnet/hrnet", "width": 18, "branches": "all"},
            ["transition3"],
            [(18, 4), (36, 8), (72, 16), (144, 32)],
        ),
        ({"type": "resnet/resnet", "depth": 18}, ["stage1", "stage3_block1"], [(64, 4), (256, 16)]),
        ({"type": "cspnext/cspnext", "deepen": 0.1, "widen": 0.125}, ["stage2"], [(32, 8)]),
    ],
)
def test_attention_is_put_into_any_backbone_with_insert_points(
    backbone: dict[str, Any], at: list[str], shapes: list[tuple[int, int]]
) -> None:
    torch.manual_seed(0)
    network: Any = randomised(coam((64, 96), backbone=backbone, at=at)).eval()
    modules = [(module.channel, module) for maps in network.attention.values() for module in maps]
    assert [channel.feature_conv.in_channels for channel, _ in modules] == [
        channels for channels, _ in shapes
    ]
    assert [(m.rows.shape[0], m.columns.shape[1]) for _, m in modules] == [
        (64 // s, 96 // s) for _, s in shapes
    ]
    images, conditions = torch.randn(1, 3, 64, 96), torch.zeros(1, 5, 64, 96)
    before = network(images, conditions=conditions)
    assert [tuple(f.shape) for f in before] == [
        (1, f.channels, 64 // f.stride, 96 // f.stride)
        for f in TypeAdapter(AnyBackbone).validate_python(backbone).features()
    ]
    conditions[:, :, 20:40, 20:40] = 5.0
    assert not torch.equal(before[0], network(images, conditions=conditions)[0])


def test_the_backbone_within_is_the_backbone_alone() -> None:
    """Attention that adds nothing, as it starts, leaves the very numbers of the HRNet."""
    torch.manual_seed(0)
    network: Any = coam().eval()
    images = torch.randn(1, 3, 64, 64)
    (with_attention,) = network(images, conditions=torch.rand(1, 5, 64, 64))
    assert torch.equal(with_attention, network.backbone(images)[0])
