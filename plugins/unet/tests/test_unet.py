"""The U-Net backbone and its presets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_unet.config import UNetConfig
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone, Feature
from pose_core.structures import Skeleton

PRESETS = {
    preset.name: preset.backbone
    for record in get_catalog().plugins
    if record.name == "unet"
    for preset in record.definitions["pose_backbones"]
}


def make(**config: Any) -> tuple[UNetConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "unet/unet", **config})
    assert isinstance(spec, UNetConfig)
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return spec, network


def check_forward_and_backward(spec: UNetConfig, network: Backbone, images: torch.Tensor) -> None:
    features = network(images)
    assert [(f.shape[1], images.shape[2] / f.shape[2], images.shape[3] / f.shape[3]) for f in features] == [
        (f.channels, f.stride, f.stride) for f in spec.features()
    ]
    sum(f.square().mean() for f in features).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_presets_are_there() -> None:
    assert set(PRESETS) == {"unet", "unet_medium_rf", "unet_large_rf"}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        spec, network = make(**PRESETS[name])
        side = 3 * spec.size_multiple()
        (feature,) = network(torch.empty(1, 3, side, side))
    (declared,) = spec.features()
    assert feature.shape == (1, declared.channels, side // declared.stride, side // declared.stride)


def test_default_preset_is_small() -> None:
    _, network = make(**PRESETS["unet"])
    assert sum(p.numel() for p in network.parameters()) < 1_000_000


@pytest.mark.parametrize(
    "name", ["unet", pytest.param("unet_medium_rf", marks=pytest.mark.slow), "unet_large_rf"]
)
def test_presets_forward_and_backward(name: str) -> None:
    spec, network = make(**PRESETS[name])
    side = spec.size_multiple()
    check_forward_and_backward(spec, network, torch.randn(2, 3, side, 3 * side))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"stem_stride": 4, "output_stride": 4},
        {"stem_stride": 2, "output_stride": 8, "max_stride": 32, "rate": 1.5},
        {"output_stride": 1, "max_stride": 8, "convs_per_block": 1},
        {"up": "transposed", "norm": "group"},
        {"norm": "none", "kernel": 5},
        {"middle_block": False},
        {"middle_block": False, "output_stride": 16},
        {"output_stride": 16},
        {"max_stride": 1, "output_stride": 1},
        {"max_stride": 1, "output_stride": 1, "middle_block": False},
        {"max_stride": 4, "stem_stride": 4, "output_stride": 4},
    ],
)
def test_declared_features_are_the_real_ones(config: dict[str, Any]) -> None:
    spec, network = make(filters=4, **config)
    assert spec.size_multiple() == spec.max_stride
    images = torch.randn(2, 3, 3 * spec.max_stride, 5 * spec.max_stride)
    check_forward_and_backward(spec, network, images.contiguous(memory_format=torch.channels_last))


def test_channels_grow_with_the_stride() -> None:
    spec, _ = make(filters=24, rate=1.5, max_stride=32, output_stride=2)
    assert spec.levels() == tuple(Feature(c, 2**i) for i, c in enumerate((24, 36, 54, 81, 121, 182)))
    assert spec.features() == (Feature(36, 2),)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"output_stride": 3}, "output_stride must be a power of 2"),
        ({"max_stride": 0}, "max_stride must be a power of 2"),
        (
            {"output_stride": 32, "max_stride": 16},
            "output_stride 32 must lie between stem_stride 1 and max_stride 16",
        ),
        ({"stem_stride": 4, "output_stride": 2}, "output_stride 2 must lie between stem_stride 4"),
        ({"filter": 3}, "filter"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python({"type": "unet", **config})


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("up", ["bilinear", "transposed"])
def test_cells_tile_the_image(stem_stride: int, up: str) -> None:
    # A network of symmetric kernels mirrors with its input only if its cells lie symmetric in the image.
    _, network = make(filters=4, stem_stride=stem_stride, output_stride=4, up=up)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data = (
                module.weight.data.mean((2, 3), keepdim=True).expand_as(module.weight).clone()
            )
    network.eval()
    images = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images.flip(3))[0], network(images)[0].flip(3))
        torch.testing.assert_close(network(images.flip(2))[0], network(images)[0].flip(2))


def test_image_and_batch_do_not_change_each_other() -> None:
    _, network = make(filters=4)
    network.eval()
    images = torch.randn(3, 3, 32, 48)
    before = images.clone()
    with torch.no_grad():
        (together,) = network(images)
        (alone,) = network(images[1:2])
    assert torch.equal(images, before)
    torch.testing.assert_close(together[1:2], alone)


def test_graph_can_be_exported() -> None:
    _, network = make(filters=4)
    network.eval()
    images = torch.randn(1, 3, 32, 48)
    exported = torch.export.export(network, (images,))
    torch.testing.assert_close(exported.module()(images), network(images))
