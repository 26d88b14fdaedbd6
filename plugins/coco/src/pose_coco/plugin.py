"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="coco",
        summary="COCO keypoint files for pose_core",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("lin2014microsoft",),
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "reader",
        "coco",
        config="pose_coco.config:CocoReaderConfig",
        factory="pose_coco.reader:CocoReader",
        summary="COCO keypoint annotations: a JSON file, or a folder with annotations/train.json",
    )
    yield ComponentSpec(
        "writer",
        "coco",
        config="pose_coco.config:CocoWriterConfig",
        factory="pose_coco.writer:CocoWriter",
        summary="COCO keypoint results (JSON), for pycocotools",
    )
