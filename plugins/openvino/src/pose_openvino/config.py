"""Configs of runtime and exporter."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from pose_core.specs import ExporterConfig, RuntimeConfig


class OpenVinoConfig(RuntimeConfig):
    """OpenVINO."""

    threads: PositiveInt | None = Field(
        None, description="Threads that compute on the CPU; null: as many as torch has."
    )


class OpenVinoExporterConfig(ExporterConfig):
    """Models of OpenVINO."""

    compress_to_fp16: bool = Field(
        False,
        description="Keep weights with 16 bits: half the size; they are computed with as 32 bits. Where that moves a "
        "keypoint too far, the export is refused.",
    )
