"""Configs of runtime and exporter."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from pose_core.specs import ExporterConfig, RuntimeConfig


class OnnxRuntimeConfig(RuntimeConfig):
    """ONNX Runtime."""

    threads: PositiveInt | None = Field(
        None, description="Threads that compute on the CPU; null: as many as torch has."
    )


class OnnxExporterConfig(ExporterConfig):
    """ONNX files."""

    opset: int | None = Field(
        None,
        ge=18,
        description="Version of ONNX's operators, for programs that know no newer one; null: the exporter's own.",
    )
