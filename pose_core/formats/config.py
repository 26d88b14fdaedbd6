"""Configs of the core's own formats. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import WriterConfig


class ParquetConfig(WriterConfig):
    """Predictions as a Parquet table."""

    compression: Literal["zstd", "snappy", "none"] = Field("zstd", description="Of the columns.")
    row_group: int = Field(
        8192, ge=1, description="Largest number of rows kept in memory before they are written."
    )
