"""What this plugin offers."""

from collections.abc import Iterable

from pose_convnext.weights import FILES
from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, WeightSpec, hookimpl

_SOURCE = "ImageNet-1k classification, by torchvision (IMAGENET1K_V1)"


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="convnext",
        summary="ConvNeXt backbones on torchvision",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("liu2022convnext", "torchvision2016"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "convnext",
        config="pose_convnext.config:ConvNeXtConfig",
        factory="pose_convnext.network:ConvNeXt",
        summary="ConvNeXt-tiny to large, ImageNet weights through torchvision",
        tags=("imagenet",),
        weights_license="BSD-3-Clause",
        weights_source=_SOURCE,
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for size in FILES:
        yield BackbonePreset(
            f"convnext_{size}",
            family="convnext",
            backbone={"type": "convnext/convnext", "size": size, "out_features": [1, 2, 3, 4]},
            summary=f"ConvNeXt-{size} and a light decoder",
            # A rate at which networks with layer norms keep what they learned before.
            spec={"model": {"neck": {"type": "unet/decoder"}}, "train": {"optimizer": {"base_lr": 2e-4}}},
        )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for size, file in FILES.items():
        yield WeightSpec(
            f"convnext_{size}_imagenet",
            model=f"convnext/convnext_{size}",
            url=f"https://download.pytorch.org/models/{file}",
            sha256=file.rpartition("-")[2].removesuffix(".pth"),
            license="BSD-3-Clause",
            source=_SOURCE,
            converter="pose_convnext.weights:from_imagenet",
        )
