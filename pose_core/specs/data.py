"""What a configuration says of the labelled project: where it is, how it is divided, what of it is used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs.base import Spec
from pose_core.specs.components import AnyReader
from pose_core.structures import Region


class SplitSpec(Spec):
    """The split of the images: training, choice of the best weights, final test."""

    test: float = Field(
        0.2, ge=0, lt=1, description="Fraction of the images for the test, touched by evaluation only."
    )
    validation: float = Field(
        0.1, ge=0, lt=1, description="Fraction of the images that choose the best weights."
    )
    seed: int | None = Field(None, ge=0, description="Seed of the split; the training seed by default.")
    file: str | None = Field(
        None,
        description="YAML file with lists 'train', 'validation' and 'test' of image names, instead of "
        "fractions.",
    )
    name: str | None = Field(
        "auto",
        min_length=1,
        description="Split that the project brings with it, by its name or the end of it; auto: the newest of "
        "the project, where it has one and neither 'test' nor 'file' says otherwise; null: by fractions.",
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> SplitSpec:
        if self.test + self.validation >= 1:
            raise PydanticCustomError("split", "test and validation leave nothing to train on")
        if self.file is not None and self.name not in (None, "auto"):
            raise PydanticCustomError("split", "file and name are two splits; set one of them to null")
        return self


class DataSpec(Spec):
    """The labelled project and its reader."""

    source: str = Field(description="The labelled project: a folder or a file.")
    reader: AnyReader | None = Field(
        None, description="What reads it; found by looking at the source by default."
    )
    keypoints: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the keypoints that are learned and measured, unique ones included; null: all of the "
        "project.",
    )
    split: SplitSpec = Field(default_factory=SplitSpec)
    test_source: str | None = Field(
        None,
        description="Another labelled project, whose images are the test images; null: they are among those "
        "of the source.",
    )
    bit_depth: Annotated[int, Field(ge=9, le=16)] | Literal["auto"] | None = Field(
        "auto",
        description="Bits that samples of 16-bit images and videos use where the files do not say: 12 for "
        "values up to 4095; auto: decided by the largest value of all labelled images; null: all 16.",
    )

    crop: Region | None = Field(
        None,
        description="x1, x2, y1, y2 in whole pixels: the part of each video's frames that the project looks "
        "at, which prediction then looks at; null: whole frames.",
    )
    video_crops: dict[str, Region] = Field(
        default_factory=dict, description="The same for single videos, by the names of their files."
    )

    @field_validator("crop", "video_crops")
    @classmethod
    def _crops_hold_pixels(cls, value: Any) -> Any:
        for crop in value.values() if isinstance(value, dict) else [value]:
            if crop is not None and not (0 <= crop.x1 < crop.x2 and 0 <= crop.y1 < crop.y2):
                raise PydanticCustomError("crop", "must be x1, x2, y1, y2 from 0, with x1 < x2 and y1 < y2")
        return value

    def decided_bit_depth(self) -> int | None:
        """The depth that images are read with; None: all 16 bits."""
        # A run that was not trained on images here (an imported one) never decided.
        return None if self.bit_depth == "auto" else self.bit_depth
