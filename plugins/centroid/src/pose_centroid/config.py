"""What a user can write about centroid models. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from pose_core.specs import HeatmapPredictorConfig, StageConfig

HEATMAP = "heatmap"
"""The output of a head that centres are found in."""


class CentresPredictorConfig(HeatmapPredictorConfig):
    """Every peak of the heatmap is an animal."""

    threshold: float = Field(0.2, ge=0, lt=1, description="Lower peaks are no animals.")
    nms: Literal[3, 5, 7, 9, 11] = Field(
        5, description="Cells a side of the square in which a peak must be the highest cell."
    )
    window: Literal[1, 3, 5, 7] = Field(
        5, description="Cells a side to which a Gaussian is fitted, which says where the peak is; 1: none."
    )
    distance: float = Field(
        0.0,
        ge=0,
        description="Of two centres nearer than this, pixels of the network's input, the higher one is kept; "
        "0: nms alone decides.",
    )
    max_animals: PositiveInt | Literal["project"] | None = Field(
        "project",
        description="Maximum number of animals an image, those with the highest peaks; project: as many as the "
        "project has individuals; null: any, up to 100.",
    )

    def predicts_several(self) -> bool:
        return True

    def limit(self, individuals: int) -> int:
        """Maximum number of animals of an image."""
        return individuals if self.max_animals == "project" else self.max_animals or 100


class CentresConfig(StageConfig):
    """Centres that a network finds in whole frames."""

    def gives(self) -> tuple[str, ...]:
        """Centres."""
        return ("centres",)
