"""Base of the configs of engines."""

from __future__ import annotations

from pydantic import Field, model_validator

from pose_core.specs.component_config import ComponentConfig


class EngineConfig(ComponentConfig):
    """Base of the configs of engines: what all workers of a plan keep to, whoever started them."""

    part_frames: int | None = Field(
        None,
        ge=1,
        description="Frames that a worker claims at once, rounded to whole batches; by default 4096, or less where "
        "that would leave workers without work.",
    )
    keep_every: float = Field(
        60.0,
        gt=0,
        description="Seconds after which a worker writes what it has of a claimed range; a worker that is killed "
        "loses no more.",
    )
    heartbeat: float = Field(30.0, gt=0, description="Seconds between two signs of life of a worker.")
    stale: float = Field(
        150.0,
        gt=0,
        description="Seconds without a sign of life after which others take over; network file systems may show a "
        "sign a minute late.",
    )
    hang: float = Field(
        600.0,
        gt=0,
        description="Seconds without a new batch after which a worker gives up a range; never less than 20 times "
        "the slowest batch so far.",
    )

    @model_validator(mode="after")
    def _stale_after_heartbeats(self) -> EngineConfig:
        if self.stale < 2 * self.heartbeat:
            raise ValueError(
                f"stale: {self.stale:g} s is less than two heartbeats ({self.heartbeat:g} s each), so that living "
                "workers would lose their work"
            )
        return self
