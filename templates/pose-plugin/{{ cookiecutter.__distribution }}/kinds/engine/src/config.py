"""What a user can set. Nothing heavy."""

from __future__ import annotations

from pose_core.specs import EngineConfig
from pydantic import Field


class LaunchedConfig(EngineConfig):
    """How workers are started."""

    launcher: tuple[str, ...] = Field(
        (), description="Words before the command of a worker, such as [ssh, node1]; by default none."
    )
