"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="onnxruntime",
        summary="ONNX Runtime computes networks, faster on a CPU; ONNX files",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "runtime",
        "onnxruntime",
        config="pose_onnxruntime.config:OnnxRuntimeConfig",
        factory="pose_onnxruntime.runtime:OnnxRuntime",
        summary="ONNX Runtime: faster on a CPU; a model is exported once, in 5 to 30 seconds",
    )
    yield ComponentSpec(
        "exporter",
        "onnx",
        config="pose_onnxruntime.config:OnnxExporterConfig",
        factory="pose_onnxruntime.exporter:OnnxExporter",
        summary="An ONNX file, for ONNX Runtime and other programs in any language",
    )
