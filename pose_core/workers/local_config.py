"""Settings of the engine ``local``."""

from __future__ import annotations

from pydantic import Field

from pose_core.specs.engine import EngineConfig


class LocalEngineConfig(EngineConfig):
    """Processes on this machine."""

    threads: int | None = Field(
        None,
        ge=1,
        description="Threads that each worker computes with; by default the cores divided by the workers.",
    )
    gpus: tuple[int, ...] | None = Field(
        None,
        description="Numbers of the GPUs to use, one for each worker in turn; by default all. [] for none.",
    )
