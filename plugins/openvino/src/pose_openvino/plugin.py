"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="openvino",
        summary="OpenVINO computes networks on a CPU, with 8 bits too; its files",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "runtime",
        "openvino",
        config="pose_openvino.config:OpenVinoConfig",
        factory="pose_openvino.runtime:OpenVinoRuntime",
        summary="OpenVINO: faster on a CPU, much faster with 8 bits; converts a model once, in 1 to 10 seconds",
    )
    yield ComponentSpec(
        "exporter",
        "openvino",
        config="pose_openvino.config:OpenVinoExporterConfig",
        factory="pose_openvino.exporter:OpenVinoExporter",
        summary="A model of OpenVINO (.xml and .bin), for its runtime in Python, C++ and C",
    )
