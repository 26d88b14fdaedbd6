"""What a user can write about the backbone. No torch."""

from __future__ import annotations

from pose_core.specs import BackboneConfig, Feature
from pydantic import Field


class NetworkConfig(BackboneConfig):
    """Stages of convolutions, each at half the resolution of the one before."""

    channels: int = Field(16, ge=1, description="Channels of the first stage; each further one has twice as many.")
    stages: int = Field(3, ge=1, le=5, description="Number of stages; n of them give a stride of 2 to the nth.")

    def features(self) -> tuple[Feature, ...]:
        """One: the output of the last stage."""
        return (Feature(channels=self.channels * 2 ** (self.stages - 1), stride=2**self.stages),)
