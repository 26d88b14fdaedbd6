"""What a user can set. Nothing heavy."""

from __future__ import annotations

from pose_core.specs import TrackerConfig
from pydantic import Field


class NearestConfig(TrackerConfig):
    """How far animals go."""

    reach: float = Field(0.5, gt=0, description="How far an animal moves in a frame, at most, in its sizes.")
    track_buffer: int = Field(10, ge=0, description="Frames after which a track that is not seen ends.")

    def needs(self) -> tuple[str, ...]:
        """Boxes; those around keypoints will do."""
        return ("boxes",)
