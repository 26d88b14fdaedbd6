"""The ResNet backbone, its presets and its pretrained weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pose_resnet.config import ResNetConfig
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.errors import DownloadError, WeightsError
from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone, Feature
from pose_core.structures import Skeleton

PRESETS = {
    preset.name: preset.backbone
    for record in get_catalog().plugins
    if record.name == "resnet"
    for preset in record.definitions["pose_backbones"]
}


def make(with_weights: bool = False, **config: Any) -> tuple[ResNetConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "resnet/resnet", **config})
    assert isinstance(spec, ResNetConfig)
    context = BuildContext(skeleton=Skeleton(("a",)), pretrained=with_weights)
    network: Backbone = context.build("backbone", spec)
    return spec, network


def count(network: nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


def check_forward_and_backward(spec: ResNetConfig, network: Backbone, images: torch.Tensor) -> None:
    features = network(images)
    assert [(f.shape[1], images.shape[2] / f.shape[2], images.shape[3] / f.shape[3]) for f in features] == [
        (f.channels, f.stride, f.stride) for f in spec.features()
    ]
    sum(f.square().mean() for f in features).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet_18", 11.18),
        ("resnet_34", 21.28),
        ("resnet_50", 23.51),
        ("resnet_101", 42.50),
        ("resnet_152", 58.14),
    ],
)
def test_presets_on_the_meta_device(name: str, millions: float) -> None:
    with torch.device("meta"):
        spec, network = make(**PRESETS[name])
        (feature,) = network(torch.empty(1, 3, 96, 48))
    assert round(count(network), 2) == millions
    assert spec.features() == (Feature(512 if millions < 22 else 2048, 16),)
    assert feature.shape == (1, spec.features()[0].channels, 6, 3)


def test_resnet_50_has_group_norm() -> None:
    with torch.device("meta"):
        _, network = make(**PRESETS["resnet_50"])
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert any(isinstance(m, nn.GroupNorm) for m in network.modules())
    # The names of the reference: 159 entries under backbone.model.
    assert len(network.state_dict()) == 159
    assert all(key.startswith("model.") for key in network.state_dict())


def test_smallest_preset_forward_and_backward() -> None:
    spec, network = make(**PRESETS["resnet_18"])
    check_forward_and_backward(spec, network, torch.randn(2, 3, 48, 32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet_34", "resnet_50", "resnet_101", "resnet_152"])
def test_large_presets_forward_and_backward(name: str) -> None:
    spec, network = make(**PRESETS[name])
    check_forward_and_backward(spec, network, torch.randn(2, 3, 48, 32))


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_every_depth_has_every_output_stride(depth: int, output_stride: int) -> None:
    with torch.device("meta"):
        spec, network = make(depth=depth, output_stride=output_stride, out_features=(1, 2, 3, 4))
        features = network(torch.empty(1, 3, 64, 96))
    assert [f.stride for f in spec.features()] == [min(s, output_stride) for s in (4, 8, 16, 32)]
    assert [(f.shape[1], 64 // f.shape[2], 96 // f.shape[3]) for f in features] == [
        (f.channels, f.stride, f.stride) for f in spec.features()
    ]


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilation_keeps_what_pretrained_weights_compute(output_stride: int) -> None:
    # Dilated, a network computes the same values as strided, only at more places. Where it is not dilated
    # right (basic blocks were not always), ImageNet weights would be worth nothing.
    torch.manual_seed(0)
    _, strided = make(depth=18, output_stride=32)
    _, dilated = make(depth=18, output_stride=output_stride)
    dilated.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 64, 96)
    step = 32 // output_stride
    with torch.no_grad():
        (coarse,), (fine,) = strided.eval()(images), dilated.eval()(images)
    torch.testing.assert_close(fine[..., ::step, ::step], coarse, atol=1e-4, rtol=1e-4)


def test_features_do_not_change_after_they_are_put_out() -> None:
    torch.manual_seed(0)
    _, network = make(depth=18, out_features=(1, 2, 3, 4))
    network.eval()
    images = torch.randn(1, 3, 32, 32)
    together = network(images)
    for stage in (1, 2, 3, 4):
        _, alone = make(depth=18, out_features=(stage,))
        alone.load_state_dict({k: v for k, v in network.state_dict().items() if k in alone.state_dict()})
        torch.testing.assert_close(alone.eval()(images)[0], together[stage - 1])


def test_unused_stages_are_not_built() -> None:
    with torch.device("meta"):
        spec, network = make(depth=50, out_features=(2, 3), output_stride=32)
    assert spec.size_multiple() == 16
    assert not any(key.startswith("model.layer4") for key in network.state_dict())


def test_frozen_batch_norms_stay_as_they_are() -> None:
    _, network = make(depth=18, freeze_bn=True)
    assert network.train() is network
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    check_forward_and_backward(
        ResNetConfig(type="resnet/resnet", depth=18), network, torch.randn(2, 3, 32, 32)
    )
    for norm, mean in zip(norms, before, strict=True):
        assert not norm.training
        assert torch.equal(norm.running_mean, mean)
        assert norm.weight.grad is None
    assert network.model.layer1[0].training


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"depth": 18, "norm": "group"}, "norm: group exists for depth 50 only"),
        ({"depth": 50, "norm": "group", "freeze_bn": True}, "freeze_bn"),
        ({"output_stride": 4}, "output_stride"),
        ({"out_features": []}, "stages from 1 to 4"),
        ({"out_features": [4, 3]}, "increasing order"),
        ({"out_features": [5]}, "stages from 1 to 4"),
        ({"pretrained": "yes"}, "pretrained"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python({"type": "resnet", **config})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, nothing in any cache; the folder where weights can be put by hand."""
    for variable in ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("POSE_CACHE", str(tmp_path))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


def test_offline_auto_warns_in_one_line_and_goes_on(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="pose_core"):
        make(with_weights=True, depth=18)
    (record,) = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    assert "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in line
    assert "POSE_OFFLINE is set" in line
    assert "random weights" in line
    assert str(offline / "resnet18.a1_in1k.safetensors") in line


def test_offline_required_is_an_error_that_says_what_to_do(offline: Path) -> None:
    with pytest.raises(
        DownloadError, match=r"resnet50_gn\.a1h_in1k\.safetensors, or use .*pretrained.*False"
    ):
        make(with_weights=True, depth=50, norm="group", pretrained=True)


def test_nothing_is_asked_for_without_need(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(with_weights=True, depth=18, pretrained=False)
    make(with_weights=False, depth=18, pretrained=True)
    assert not caplog.records


def check_loaded(network: Backbone, source: nn.Module) -> None:
    for key, value in network.state_dict().items():
        assert torch.equal(value, source.state_dict()[key.removeprefix("model.")])


def test_weights_put_by_hand_are_used(offline: Path) -> None:
    torch.manual_seed(1)
    source = timm.create_model("resnet18", pretrained=False)
    save_file(source.state_dict(), offline / "resnet18.a1_in1k.safetensors")
    _, network = make(with_weights=True, depth=18, pretrained=True, out_features=(3,))
    check_loaded(network, source)


def test_weights_in_the_cache_of_the_hub_are_used(offline: Path) -> None:
    torch.manual_seed(2)
    source = timm.create_model("resnet18", pretrained=False)
    kept = offline.parent / "huggingface" / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "491b427"
    kept.mkdir(parents=True)
    save_file(source.state_dict(), kept / "model.safetensors")
    _, network = make(with_weights=True, depth=18, pretrained=True)
    check_loaded(network, source)


def test_files_that_do_not_fit_are_named(offline: Path) -> None:
    path = offline / "resnet18.a1_in1k.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(
        WeightsError, match=r"resnet18\.a1_in1k\.safetensors: holds the weights of another network"
    ):
        make(with_weights=True, depth=18)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(
        WeightsError, match=r"resnet18\.a1_in1k\.safetensors: not a readable safetensors file"
    ):
        make(with_weights=True, depth=18)


def test_graph_can_be_exported() -> None:
    _, network = make(depth=18)
    network.eval()
    images = torch.randn(1, 3, 32, 48)
    exported = torch.export.export(network, (images,))
    torch.testing.assert_close(exported.module()(images), network(images))
