"""The HRNet backbone and its presets."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from pose_hrnet.config import HRNetConfig
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone, Feature
from pose_core.structures import Skeleton

PRESETS = {
    preset.name: preset.backbone
    for record in get_catalog().plugins
    if record.name == "hrnet"
    for preset in record.definitions["pose_backbones"]
}
BRANCHES = ("first", "concatenated", "incremental", "all")


def make(**config: Any) -> tuple[HRNetConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "hrnet/hrnet", **config})
    assert isinstance(spec, HRNetConfig)
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return spec, network


def shapes(spec: HRNetConfig, images: torch.Tensor) -> list[tuple[int, ...]]:
    height, width = images.shape[-2:]
    return [(len(images), f.channels, height // f.stride, width // f.stride) for f in spec.features()]


def check_forward_and_backward(spec: HRNetConfig, network: Backbone, images: torch.Tensor) -> None:
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
    ("name", "count"), [("hrnet_w18", 9_562_260), ("hrnet_w32", 29_305_536), ("hrnet_w48", 65_325_120)]
)
def test_presets_on_the_meta_device(name: str, count: int) -> None:
    with torch.device("meta"):
        spec, network = make(**PRESETS[name])
        images = torch.empty(1, 3, 96, 32)
        features = network(images)
    assert sum(p.numel() for p in network.parameters()) == count
    # The names of the reference: 1830 entries under backbone.model.
    assert len(network.state_dict()) == 1830
    assert all(key.startswith("model.") for key in network.state_dict())
    assert spec.features() == (Feature(int(name.removeprefix("hrnet_w")), 4),)
    assert [tuple(f.shape) for f in features] == shapes(spec, images)


@pytest.mark.parametrize("branches", BRANCHES)
def test_forward_and_backward(branches: str) -> None:
    torch.manual_seed(0)
    spec, network = make(width=18, branches=branches)
    check_forward_and_backward(spec, network, torch.randn(2, 3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hrnet_w32", "hrnet_w48"])
def test_large_presets_forward_and_backward(name: str) -> None:
    spec, network = make(**PRESETS[name])
    check_forward_and_backward(spec, network, torch.randn(2, 3, 64, 64))


def test_every_declared_feature() -> None:
    def features(branches: str) -> tuple[Feature, ...]:
        return HRNetConfig(type="hrnet/hrnet", width=32, branches=branches).features()

    assert features("first") == (Feature(32, 4),)
    assert features("concatenated") == (Feature(480, 4),)
    assert features("incremental") == (Feature(128, 4),)
    assert features("all") == (Feature(32, 4), Feature(64, 8), Feature(128, 16), Feature(256, 32))


def test_images_must_be_multiples_of_the_coarsest_stride() -> None:
    assert {HRNetConfig(type="hrnet/hrnet", branches=b).size_multiple() for b in BRANCHES} == {32}
    spec, network = make(width=18)
    for height, width in ((32, 96), (160, 64)):
        images = torch.randn(2, 3, height, width)
        assert [tuple(f.shape) for f in network(images)] == shapes(spec, images)
    with pytest.raises(RuntimeError):
        network(torch.randn(2, 3, 72, 64))


def test_branches_are_those_of_timm() -> None:
    torch.manual_seed(0)
    reference = timm.create_model(
        "hrnet_w18", pretrained=False, features_only=True, feature_location="incre", out_indices=(1, 2, 3, 4)
    ).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 5, 15)
    state = {f"model.{key}": value for key, value in reference.state_dict().items()}
    images = torch.randn(2, 3, 96, 64)
    put_out = {}
    for branches in BRANCHES:
        _, network = make(width=18, branches=branches)
        network.load_state_dict({key: state[key] for key in network.state_dict()})
        with torch.no_grad():
            put_out[branches] = network.eval()(images)
    with torch.no_grad():
        expected = reference(images)
        reference.incre_modules = None
        maps = reference(images)
    torch.testing.assert_close(put_out["incremental"], [expected[0]], rtol=0, atol=0)
    torch.testing.assert_close(put_out["all"], maps, rtol=0, atol=0)
    torch.testing.assert_close(put_out["first"], [maps[0]], rtol=0, atol=0)
    (joined,) = put_out["concatenated"]
    first_channel = 0
    for x in maps:
        # OpenCV's bilinear interpolation has the house's convention: pixel centres at whole numbers.
        resized = [cv2.resize(plane.numpy(), (16, 24), interpolation=cv2.INTER_LINEAR) for plane in x[0]]
        part = joined[0, first_channel : first_channel + len(resized)]
        torch.testing.assert_close(part, torch.from_numpy(np.stack(resized)), rtol=1e-4, atol=1e-4)
        first_channel += len(resized)
    assert first_channel == joined.shape[1]


def test_only_what_cannot_influence_the_finest_branch_is_not_trained() -> None:
    torch.manual_seed(0)
    _, everything = make(width=18, branches="all")
    everything(torch.randn(2, 3, 64, 64))[0].square().sum().backward()
    without_influence = {
        name for name, p in everything.named_parameters() if p.grad is None or not p.grad.any()
    }
    with torch.device("meta"):
        _, first = make(width=18, branches="first")
        _, incremental = make(width=18, branches="incremental")
    assert {name for name, p in first.named_parameters() if not p.requires_grad} == without_influence
    assert all(name.startswith("model.stage4.2.fuse_layers.") for name in without_influence)
    others = {n for n, p in incremental.named_parameters() if not p.requires_grad} - without_influence
    assert {name.split(".0.")[0] for name in others} == {f"model.incre_modules.{i}" for i in (1, 2, 3)}


@pytest.mark.parametrize("freeze", [True, "statistics"])
def test_frozen_batch_norms_stay_as_they_are(freeze: bool | str) -> None:
    torch.manual_seed(0)
    spec, network = make(width=18, freeze_bn=freeze)
    assert network.train() is network
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    # Without batch statistics random weights make the activations grow from layer to layer.
    for norm in norms:
        norm.running_var.fill_(10.0)
    check_forward_and_backward(spec, network, torch.randn(2, 3, 64, 64))
    for norm, mean in zip(norms, before, strict=True):
        assert not norm.training
        assert torch.equal(norm.running_mean, mean)
    assert network.model.bn1.weight.requires_grad is (freeze == "statistics")
    assert network.model.layer1[0].training


def test_batch_norms_stay_frozen_when_they_are_synchronised() -> None:
    _, network = make(width=18, freeze_bn=True)
    network = nn.SyncBatchNorm.convert_sync_batchnorm(network).train()
    norms = [m for m in network.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


def test_batch_norms_learn_otherwise() -> None:
    _, network = make(width=18)
    network.train()(torch.randn(2, 3, 64, 64))
    assert network.model.bn1.running_mean.any()


def test_evaluation_is_deterministic() -> None:
    torch.manual_seed(0)
    _, network = make(width=18)
    network.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        (both,), (again,), (alone,) = network(images), network(images), network(images[1:])
    assert torch.equal(both, again)
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-4 * float(both.abs().max()))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": 30}, "width"),
        ({"branches": "second"}, "branches"),
        ({"freeze_bn": "stats"}, "freeze_bn"),
        ({"pretrained": "yes"}, "pretrained"),
        ({"depth": 18}, "depth"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python({"type": "hrnet", **config})


@pytest.mark.slow
def test_graph_can_be_exported() -> None:
    _, network = make(width=18)
    network.eval()
    images = torch.randn(1, 3, 32, 64)
    exported = torch.export.export(network, (images,))
    torch.testing.assert_close(exported.module()(images), network(images))
