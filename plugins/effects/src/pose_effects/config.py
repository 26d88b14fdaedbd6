"""What a user can write about these transforms. No torch."""

from __future__ import annotations

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import Covered, TransformConfig

FOLDING = 4.0
"""Displacements that are smooth over so many times their size fold nothing."""


class EqualizeConfig(TransformConfig):
    """Histogram equalisation of the whole image."""

    by_channel: bool = Field(
        False,
        description="Equalise red, green and blue each by itself, which changes colours; false: brightness only.",
    )


class ClaheConfig(TransformConfig):
    """Histogram equalisation of parts of the image (CLAHE)."""

    clip: tuple[float, float] = Field(
        (1.0, 4.0), description="Least and largest limit of contrast, drawn; higher is stronger."
    )
    tiles: int = Field(8, ge=1, le=64, description="Parts along each side of the image.")

    @model_validator(mode="after")
    def _check_range(self) -> ClaheConfig:
        _check_order("clip", self.clip, 0)
        return self


class GrayConfig(TransformConfig):
    """Less colour, down to gray."""

    strength: tuple[float, float] = Field(
        (1.0, 1.0), description="Least and largest share of gray, drawn; 1 leaves no colour."
    )

    @model_validator(mode="after")
    def _check_range(self) -> GrayConfig:
        _check_order("strength", self.strength, 0)
        if self.strength[1] > 1:
            raise PydanticCustomError("strength", "strength must be at most 1")
        return self


class HueSaturationConfig(TransformConfig):
    """Hue and saturation."""

    hue: float = Field(15.0, ge=0, le=180, description="Largest turn of the hue either way, degrees.")
    saturation: float = Field(0.3, ge=0, le=1, description="Largest relative change of saturation.")


class GammaConfig(TransformConfig):
    """Gamma: darker or brighter middle tones."""

    gamma: tuple[float, float] = Field(
        (0.7, 1.5), description="Least and largest exponent, drawn; below 1 is brighter."
    )

    @model_validator(mode="after")
    def _check_range(self) -> GammaConfig:
        _check_order("gamma", self.gamma, 0)
        if self.gamma[0] == 0:
            raise PydanticCustomError("gamma", "gamma must be above 0")
        return self


class JpegConfig(TransformConfig):
    """Traces of JPEG compression."""

    quality: tuple[int, int] = Field((30, 90), description="Least and largest quality, 1 to 100, drawn.")

    @model_validator(mode="after")
    def _check_range(self) -> JpegConfig:
        _check_order("quality", self.quality, 1)
        if self.quality[1] > 100:
            raise PydanticCustomError("quality", "quality must be at most 100")
        return self


class ElasticConfig(TransformConfig):
    """Elastic deformation."""

    shift: float = Field(
        1.5, gt=0, description="Standard deviation of displacements, pixels of the network's input."
    )
    smoothness: float = Field(
        12.0,
        gt=0,
        le=200,
        description="Standard deviation of the Gaussian over which displacements are alike, pixels; at least "
        "four times the shift.",
    )

    @model_validator(mode="after")
    def _folds_nothing(self) -> ElasticConfig:
        if FOLDING * self.shift > self.smoothness:
            raise PydanticCustomError(
                "elastic",
                "smoothness must be at least {least}, four times the shift, or the image would be folded",
                {"least": FOLDING * self.shift},
            )
        return self


class IsolateConfig(TransformConfig):
    """Animals without what is around them."""

    margin: float = Field(
        0.1, ge=0, le=2, description="What is left around a box, fraction of its longer side."
    )


class CopyPasteConfig(TransformConfig):
    """Animals of other training images, put into this one."""

    most: int = Field(1, ge=1, le=20, description="Animals that are put in at most; their number is drawn.")
    margin: float = Field(
        0.1,
        ge=0,
        le=1,
        description="What comes with an animal around its box, fraction of the longer side; it fades out there.",
    )
    overlap: float = Field(
        0.3, ge=0, le=1, description="Largest part of the box of an animal in the image that is covered."
    )
    covered: Covered = Field(
        "occlude",
        description="Keypoints behind an animal that was put in: keep, as they were; occlude, labelled as hidden; "
        "remove, unlabelled.",
    )


def _check_order(name: str, ends: tuple[float, float], least: float) -> None:
    if not least <= ends[0] <= ends[1]:
        raise PydanticCustomError(
            "range",
            "{name} must be [least, largest] with {least} <= least <= largest",
            {"name": name, "least": least},
        )
