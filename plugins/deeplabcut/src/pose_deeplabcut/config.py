"""Configs of the reader, writers and importer. No torch, no pandas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import ImporterConfig, ReaderConfig, WriterConfig


class ProjectReaderConfig(ReaderConfig):
    """Settings for reading a DeepLabCut project."""

    scorer: str | None = Field(
        None,
        min_length=1,
        description="Scorer of the labels to read (CollectedData_<scorer>); by default that of config.yaml.",
    )
    labels: Literal["auto", "h5", "csv"] = Field(
        "auto",
        description="Label files to read. auto: the HDF5 file if there is one (as in DeepLabCut's training), "
        "else the "
        "CSV file; if both exist and differ, a note says so.",
    )


class _PredictionsConfig(WriterConfig):
    scorer: str | None = Field(
        None,
        min_length=1,
        description="Name in the table's first level and in the file name; by default model, task and date, "
        "as in "
        "DeepLabCut.",
    )


class H5WriterConfig(_PredictionsConfig):
    """Settings for writing DeepLabCut's HDF5 table."""


class CsvWriterConfig(_PredictionsConfig):
    """Settings for writing DeepLabCut's CSV table."""


class ModelImporterConfig(ImporterConfig):
    """Settings for importing a trained DeepLabCut model."""

    as_trained: bool = Field(
        False,
        description="Also reproduce mistakes of the original that a plugin would correct, to get exactly its "
        "numbers.",
    )
