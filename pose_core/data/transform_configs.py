"""What a user can write about the core's transforms. No torch."""

from __future__ import annotations

from pydantic import Field

from pose_core.specs import Covered, TransformConfig


class BrightnessContrastConfig(TransformConfig):
    """Brightness and contrast."""

    brightness: float = Field(
        0.2, ge=0, le=1, description="Largest change of brightness, fraction of full scale."
    )
    contrast: float = Field(0.2, ge=0, le=1, description="Largest relative change of contrast.")


class MotionBlurConfig(TransformConfig):
    """Motion blur."""

    length: int = Field(7, ge=2, description="Longest motion blur, pixels.")


class NoiseConfig(TransformConfig):
    """Noise of a camera."""

    strength: float = Field(
        0.03, ge=0, le=1, description="Largest standard deviation of Gaussian noise, fraction of full scale."
    )


class EraseConfig(TransformConfig):
    """Coverings: rectangles that hide what is behind them."""

    size: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Longest side of a rectangle, fraction of that side of the image; sides are drawn from a quarter "
        "of it on.",
    )
    most: int = Field(1, ge=1, description="Rectangles at most; their number is drawn.")
    covered: Covered = Field(
        "keep",
        description="Keypoints behind a rectangle: keep, as they were, so that the network learns to find them; "
        "occlude, labelled as hidden; remove, unlabelled.",
    )
