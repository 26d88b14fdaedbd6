"""What a user can write about these filters. No torch."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pose_core.specs import FilterConfig


class InterpolateConfig(FilterConfig):
    """Straight lines through gaps."""

    max_gap: int = Field(
        5, ge=1, description="Frames in which a keypoint is missing, up to which the gap is filled in."
    )


class MedianConfig(FilterConfig):
    """Median of the frames around each."""

    window: int = Field(5, ge=3, description="Frames of which the median is taken; odd.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_odd(self.window)
        return self


class SavgolConfig(FilterConfig):
    """Polynomial through the frames around each."""

    window: int = Field(7, ge=3, description="Frames that a polynomial is fitted to; odd.")
    order: int = Field(
        2,
        ge=0,
        le=5,
        description="Order of the polynomial; 1: a line, 2: a parabola, which keeps peaks better.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_odd(self.window)
        if self.order >= self.window:
            raise ValueError(f"order must be below the window of {self.window} frames, not {self.order}")
        return self


class KalmanConfig(FilterConfig):
    """Constant velocity that changes at random, seen through noise."""

    acceleration_noise: float = Field(
        0.5,
        ge=0.001,
        le=10,
        description="Standard deviation that a frame adds to the velocity, relative to the noise of a keypoint of "
        "score 1: smaller is smoother.",
    )
    min_score: float = Field(
        0.05,
        gt=0,
        le=1,
        description="The noise of a keypoint is that of score 1 divided by its score; scores below this count as this.",
    )


def _check_odd(window: int) -> None:
    if window % 2 == 0:
        raise ValueError(f"window must be odd, so that a frame has as many before as after it, not {window}")
