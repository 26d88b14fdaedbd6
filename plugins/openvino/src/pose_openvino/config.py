"""Config of the runtime."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from pose_core.specs import RuntimeConfig


class OpenVinoConfig(RuntimeConfig):
    """OpenVINO."""

    threads: PositiveInt | None = Field(
        None, description="Threads that compute on the CPU; null: as many as torch has."
    )
