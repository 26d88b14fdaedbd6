"""What a user can write about the detector. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_core.specs import DetectorConfig
from pydantic import Field

STRIDE = 8


class DetectorSettings(DetectorConfig):
    """A map of centres, and for each cell the way to the four sides of its box (Zhou et al. 2019)."""

    channels: int = Field(24, ge=1, description="Channels of the first layer.")
    most: int = Field(20, ge=1, description="Boxes that are reported in an image at most.")

    def size_multiple(self) -> int:
        """Images are padded so that cells tile them."""
        return STRIDE

    def defaults(self) -> Mapping[str, Any]:
        """Batch normalisation bears a high learning rate, and there are no pretrained weights to lose."""
        return {"train": {"optimizer": {"base_lr": 2e-3}}}
