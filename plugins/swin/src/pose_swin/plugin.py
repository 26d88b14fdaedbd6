"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, WeightSpec, hookimpl
from pose_swin.weights import FILES

_SOURCE = "ImageNet-1k classification, by torchvision (IMAGENET1K_V1)"


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="swin",
        summary="Swin Transformer backbones on torchvision",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("liu2021swin", "torchvision2016"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "swin",
        config="pose_swin.config:SwinConfig",
        factory="pose_swin.network:Swin",
        summary="Swin-tiny, small and base, ImageNet weights through torchvision",
        tags=("imagenet",),
        weights_license="BSD-3-Clause",
        weights_source=_SOURCE,
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for size in FILES:
        yield BackbonePreset(
            f"swin_{size}",
            family="swin",
            backbone={"type": "swin/swin", "size": size, "out_features": [1, 2, 3, 4]},
            summary=f"Swin-{size} and a light decoder",
            # A rate at which networks with layer norms keep what they learned before.
            spec={"model": {"neck": {"type": "unet/decoder"}}, "train": {"optimizer": {"base_lr": 2e-4}}},
        )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for size, file in FILES.items():
        yield WeightSpec(
            f"swin_{size}_imagenet",
            model=f"swin/swin_{size}",
            url=f"https://download.pytorch.org/models/{file}",
            sha256=file.rpartition("-")[2].removesuffix(".pth"),
            license="BSD-3-Clause",
            source=_SOURCE,
            converter="pose_swin.weights:from_imagenet",
        )
