"""The CSPNeXt backbone and its presets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_cspnext.config import CSPNeXtConfig
from pose_cspnext.layers import ChannelAttention, PyramidPooling
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.nn import functional

from pose_core.catalog import get_catalog
from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone, Feature
from pose_core.structures import Skeleton

PRESETS = {
    preset.name: preset.backbone
    for record in get_catalog().plugins
    if record.name == "cspnext"
    for preset in record.definitions["pose_backbones"]
}


def make(**config: Any) -> tuple[CSPNeXtConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "cspnext/cspnext", **config})
    assert isinstance(spec, CSPNeXtConfig)
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return spec, network


def shapes(spec: CSPNeXtConfig, images: torch.Tensor) -> list[tuple[int, ...]]:
    height, width = images.shape[-2:]
    return [(len(images), f.channels, height // f.stride, width // f.stride) for f in spec.features()]


def check_forward_and_backward(spec: CSPNeXtConfig, network: Backbone, images: torch.Tensor) -> None:
    features = network(images)
    assert [tuple(f.shape) for f in features] == shapes(spec, images)
    sum((f * torch.randn_like(f)).sum() for f in features).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name
        else:
            assert parameter.grad is None, name


@pytest.mark.parametrize(
    ("name", "count", "entries", "channels"),
    [
        ("cspnext_s", 4_378_320, 242, 512),
        ("cspnext_m", 12_279_432, 350, 768),
        ("cspnext_x", 47_569_560, 566, 1280),
    ],
)
def test_presets_on_the_meta_device(name: str, count: int, entries: int, channels: int) -> None:
    with torch.device("meta"):
        spec, network = make(**PRESETS[name])
        images = torch.empty(1, 3, 96, 32)
        features = network(images)
    assert sum(p.numel() for p in network.parameters()) == count
    assert len(network.state_dict()) == entries
    assert spec.features() == (Feature(channels, 32),)
    assert spec.size_multiple() == 32
    assert [tuple(f.shape) for f in features] == shapes(spec, images)


def test_smallest_preset_forward_and_backward() -> None:
    torch.manual_seed(0)
    spec, network = make(**PRESETS["cspnext_s"])
    check_forward_and_backward(spec, network, torch.randn(2, 3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cspnext_m", "cspnext_x"])
def test_large_presets_forward_and_backward(name: str) -> None:
    torch.manual_seed(0)
    spec, network = make(**PRESETS[name])
    check_forward_and_backward(spec, network, torch.randn(2, 3, 64, 64))


@pytest.mark.parametrize("out_features", [(1, 2, 3, 4), (2, 3), (1,)])
@pytest.mark.parametrize(("deepen", "widen"), [(0.33, 0.5), (0.1, 0.125), (0.5, 0.3)])
def test_every_stage_can_be_put_out(out_features: tuple[int, ...], deepen: float, widen: float) -> None:
    torch.manual_seed(0)
    spec, network = make(out_features=out_features, deepen=deepen, widen=widen)
    assert [f.stride for f in spec.features()] == [2 ** (stage + 1) for stage in out_features]
    check_forward_and_backward(spec, network, torch.randn(2, 3, 96, 64))


def test_features_do_not_depend_on_what_else_is_put_out() -> None:
    torch.manual_seed(0)
    _, network = make(out_features=(1, 2, 3, 4))
    network.eval()
    images = torch.randn(1, 3, 32, 64)
    together = network(images)
    for stage in (1, 2, 3, 4):
        _, alone = make(out_features=(stage,))
        assert not hasattr(alone, f"stage{stage + 1}")
        alone.load_state_dict({k: v for k, v in network.state_dict().items() if k in alone.state_dict()})
        torch.testing.assert_close(alone.eval()(images)[0], together[stage - 1])


def test_pooling_is_over_5_9_and_13_cells() -> None:
    torch.manual_seed(0)
    pooling = PyramidPooling(8).eval()
    pooling.conv2 = nn.Identity()
    x = torch.randn(2, 8, 17, 11) - 5
    narrow = pooling.conv1(x)
    expected = [narrow, *(functional.max_pool2d(narrow, k, stride=1, padding=k // 2) for k in (5, 9, 13))]
    assert torch.equal(pooling(x), torch.cat(expected, dim=1))


def test_attention_weights_channels_by_their_means() -> None:
    torch.manual_seed(0)
    attention = ChannelAttention(6)
    x = torch.randn(3, 6, 5, 4)
    linear = functional.linear(x.flatten(2).mean(-1), attention.fc.weight[:, :, 0, 0], attention.fc.bias)
    weights = ((linear + 3) / 6).clamp(0, 1)
    torch.testing.assert_close(attention(x), x * weights[:, :, None, None])


@pytest.mark.parametrize("freeze", [True, "statistics"])
def test_frozen_batch_norms_stay_as_they_are(freeze: bool | str) -> None:
    torch.manual_seed(0)
    spec, network = make(freeze_bn=freeze)
    assert network.train() is network
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    check_forward_and_backward(spec, network, torch.randn(2, 3, 64, 64))
    for norm, mean in zip(norms, before, strict=True):
        assert not norm.training
        assert torch.equal(norm.running_mean, mean)
        assert norm.weight.requires_grad is (freeze == "statistics")
    assert network.stage1.training


def test_batch_norms_stay_frozen_when_they_are_synchronised() -> None:
    _, network = make(freeze_bn=True)
    names = list(network.state_dict())
    network = nn.SyncBatchNorm.convert_sync_batchnorm(network).train()
    assert list(network.state_dict()) == names
    norms = [m for m in network.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


def test_batch_norms_learn_otherwise() -> None:
    _, network = make()
    network.train()(torch.randn(2, 3, 64, 64))
    assert network.stem[0].norm.running_mean.any()


def test_evaluation_is_deterministic() -> None:
    torch.manual_seed(0)
    _, network = make()
    network.eval()
    images = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        (both,), (again,), (alone,) = network(images), network(images), network(images[1:])
    assert torch.equal(both, again)
    torch.testing.assert_close(both[1:], alone)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"deepen": 0}, "deepen"),
        ({"widen": 0.01}, "widen"),
        ({"out_features": []}, "stages from 1 to 4"),
        ({"out_features": [4, 3]}, "increasing order"),
        ({"out_features": [5]}, "stages from 1 to 4"),
        ({"freeze_bn": "stats"}, "freeze_bn"),
        ({"pretrained": True}, "pretrained"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python({"type": "cspnext", **config})


def test_graph_can_be_exported() -> None:
    _, network = make(deepen=0.1, widen=0.125)
    network.eval()
    images = torch.randn(1, 3, 32, 64)
    exported = torch.export.export(network, (images,))
    torch.testing.assert_close(exported.module()(images), network(images))
