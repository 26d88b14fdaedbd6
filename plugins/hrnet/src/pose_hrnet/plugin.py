"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, WeightSpec, hookimpl

_RELEASE = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-hrnet/"
_DIGESTS = {18: "8cb57bb9", 32: "90d8c5fb", 48: "abd2e6ab"}


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="hrnet",
        summary="HRNet backbones on timm",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("sun2019hrnet", "wang2020hrnet", "wightman2019timm"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "hrnet",
        config="pose_hrnet.config:HRNetConfig",
        factory="pose_hrnet.network:HRNet",
        summary="HRNet-W18, W32 and W48, ImageNet weights through timm",
        tags=("imagenet",),
        weights_license="MIT",
        weights_source="ImageNet-1k classification, Wang et al. 2020, as released with timm",
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for width in _DIGESTS:
        yield BackbonePreset(
            f"hrnet_w{width}",
            family="hrnet",
            backbone={"type": "hrnet/hrnet", "width": width},
            summary=f"HRNet-W{width}, its finest branch",
            spec={"train": {"optimizer": {"base_lr": 5e-4}}},
        )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for width, digest in _DIGESTS.items():
        yield WeightSpec(
            f"hrnet_w{width}_imagenet",
            model=f"hrnet/hrnet_w{width}",
            url=f"{_RELEASE}hrnetv2_w{width}-{digest}.pth",
            sha256=digest,
            license="MIT",
            source="ImageNet-1k classification, Wang et al. 2020, as released with timm",
            converter="pose_hrnet.weights:from_imagenet",
        )
