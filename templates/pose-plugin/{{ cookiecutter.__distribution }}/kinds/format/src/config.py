"""What a user can set. Nothing heavy."""

from __future__ import annotations

from pose_core.specs import ReaderConfig, WriterConfig
from pydantic import Field


class ReaderSettings(ReaderConfig):
    """How labels are read."""

    images: str | None = Field(
        None, min_length=1, description="Folder that image names are relative to; that of the file by default."
    )


class WriterSettings(WriterConfig):
    """How predictions are written."""

    decimals: int = Field(3, ge=0, le=9, description="Decimals of the coordinates and scores.")
