"""Configs of the COCO reader and writer. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import ReaderConfig, WriterConfig


class CocoReaderConfig(ReaderConfig):
    """Settings for reading COCO annotations."""

    category: str | int | None = Field(
        None,
        description="Name or id of the category whose keypoints are read; needed where several have "
        "keypoints. "
        "'all': all of them, where they have the same keypoints.",
    )
    images: str | None = Field(
        None,
        min_length=1,
        description="Folder that the file names of images are relative to; looked for around the JSON file "
        "by default.",
    )
    fields: tuple[str, ...] | Literal["all"] = Field(
        "all",
        description="Fields of annotations whose keypoints are read: keypoints, and those of parts, such as "
        "foot_kpts or face_kpts. all: every one that there is.",
    )
    skeleton: Literal["auto", "from_0", "from_1", "none"] = Field(
        "auto",
        description="From what number limbs count keypoints; auto: the file tells; none: limbs are left out.",
    )


class CocoWriterConfig(WriterConfig):
    """Settings for writing COCO results."""

    annotations: str | None = Field(
        None,
        min_length=1,
        description="COCO JSON file that gives image files their image_id; without it image_id is the frame "
        "number.",
    )
    category_id: int | None = Field(
        None, description="category_id of the animals; by default that of the training data, else 1."
    )
    unique_category_id: int = Field(
        2, description="category_id of the keypoints that exist once an image (unique keypoints)."
    )
