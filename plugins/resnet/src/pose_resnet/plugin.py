"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, WeightSpec, hookimpl

_RELEASE = "releases/download/v0.1-rsb-weights/"
_FILES = {
    18: ("https://github.com/huggingface/pytorch-image-models", "resnet18_a1_0", "d63eafa0"),
    34: ("https://github.com/huggingface/pytorch-image-models", "resnet34_a1_0", "46f8f793"),
    50: ("https://github.com/rwightman/pytorch-image-models", "resnet50_gn_a1h2", "8fe6c4d0"),
    101: ("https://github.com/rwightman/pytorch-image-models", "resnet101_a1h", "36d3f2aa"),
    152: ("https://github.com/rwightman/pytorch-image-models", "resnet152_a1h", "dc400468"),
}


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="resnet",
        summary="ResNet backbones on timm",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("he2016resnet", "wightman2019timm", "wightman2021resnet"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "resnet",
        config="pose_resnet.config:ResNetConfig",
        factory="pose_resnet.network:ResNet",
        summary="ResNet-18 to 152, ImageNet weights through timm",
        tags=("imagenet",),
        citations=("wu2018groupnorm",),
        weights_license="Apache-2.0",
        weights_source="ImageNet-1k classification, Wightman et al. 2021, as released with timm",
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for depth in (18, 34, 50, 101, 152):
        backbone: dict[str, object] = {"type": "resnet/resnet", "depth": depth, "output_stride": 16}
        if depth == 50:
            backbone["norm"] = "group"
        yield BackbonePreset(
            f"resnet_{depth}",
            family="resnet",
            backbone=backbone,
            summary=f"ResNet-{depth}" + (" with group normalisation" if depth == 50 else ""),
            spec={"train": {"optimizer": {"base_lr": 5e-4}}},
            # The one that most published results of animals in the laboratory were made with.
            recommended=("gpu",) if depth == 50 else (),
        )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for depth, (repository, name, digest) in _FILES.items():
        yield WeightSpec(
            f"resnet_{depth}_imagenet",
            model=f"resnet/resnet_{depth}",
            url=f"{repository}/{_RELEASE}{name}-{digest}.pth",
            sha256=digest,
            license="Apache-2.0",
            source="ImageNet-1k classification, Wightman et al. 2021, as released with timm",
            converter="pose_resnet.weights:from_imagenet",
        )
