"""Declare the detectors and weights of this plugin."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, WeightSpec, hookimpl
from pose_torchvision.coco import COCO_WEIGHTS


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="torchvision",
        summary="Detectors: SSDLite and Faster R-CNN",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("torchvision2016",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "detector",
        "ssdlite",
        config="pose_torchvision.config:SSDLiteConfig",
        factory="pose_torchvision.ssdlite:SSDLite",
        summary="SSDLite on MobileNetV3-Large: small and fast, also from scratch",
        tags=("coco",),
        citations=("liu2016ssd", "sandler2018mobilenetv2", "howard2019mobilenetv3"),
    )
    yield ComponentSpec(
        "detector",
        "fasterrcnn_mobilenet_v3_large_fpn",
        config="pose_torchvision.config:FasterRCNNMobileNetConfig",
        factory="pose_torchvision.fasterrcnn:FasterRCNNMobileNet",
        summary="Faster R-CNN on MobileNetV3-Large: between the two others",
        tags=("coco",),
        citations=("ren2015faster", "lin2017feature", "howard2019mobilenetv3"),
    )
    yield ComponentSpec(
        "detector",
        "fasterrcnn_resnet50_fpn_v2",
        config="pose_torchvision.config:FasterRCNNResNet50Config",
        factory="pose_torchvision.fasterrcnn:FasterRCNNResNet50",
        summary="Faster R-CNN on ResNet-50: slow and accurate, for a GPU",
        tags=("coco",),
        citations=("ren2015faster", "lin2017feature", "li2021benchmarking"),
    )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for name, file in COCO_WEIGHTS.items():
        yield WeightSpec(
            f"{name}_coco",
            model=f"torchvision/{name}",
            url=file.url,
            sha256=file.sha256,
            license="BSD-3-Clause",
            source="COCO 2017 (train), by torchvision; classes of animals merged into one",
            converter="pose_torchvision.transfer:convert_coco_detector",
        )
