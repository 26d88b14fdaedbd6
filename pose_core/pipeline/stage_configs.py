"""Configure the core's own stages. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pose_core.specs import StageConfig


class WholeFrameConfig(StageConfig):
    """One network that sees the whole frame."""


class CropsConfig(StageConfig):
    """A network that sees a crop around each box."""

    duplicate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] | None = Field(
        "auto",
        description="Of two poses of a frame more similar than this (OKS with sigma 0.1) that with the higher "
        "score is kept; auto: 0.7 where the boxes are points, of which nothing else tells that two are of one "
        "animal, as overlapping boxes do; null: all are kept.",
    )

    scales: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (1.0,),
        min_length=1,
        description="Sizes of the box around each animal that are tried, as factors of its sides; of its poses that "
        "with the highest mean score of its keypoints is kept. Several, such as [0.8, 1, 1.25], take as many times "
        "as long, and help a network that sees animals at other sizes than in its training.",
    )

    def needs(self) -> tuple[str, ...]:
        """Boxes."""
        return ("boxes",)

    def can_do_without(self, follow: bool) -> tuple[str, ...]:
        """Boxes, where it follows an animal."""
        # It then starts from the pose of the frame before, and looks for a lost animal in the whole frame.
        return ("boxes",) if follow else ()


class BoxesConfig(StageConfig):
    """A source of boxes."""

    def gives(self) -> tuple[str, ...]:
        """Boxes."""
        return ("boxes",)
