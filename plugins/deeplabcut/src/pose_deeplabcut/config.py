"""What a user can set. No torch, no pandas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import ImporterConfig, ReaderConfig, WriterConfig


class ProjectReaderConfig(ReaderConfig):
    """How a DeepLabCut project is read."""

    scorer: str | None = Field(
        None,
        min_length=1,
        description="Whose labels are read (CollectedData_<scorer>); by default the scorer of config.yaml.",
    )
    labels: Literal["auto", "h5", "csv"] = Field(
        "auto",
        description="Which label files are read. auto: the HDF5 file where there is one (as DeepLabCut's training "
        "does), else the CSV file; where both exist and differ, a note says so.",
    )


class _PredictionsConfig(WriterConfig):
    scorer: str | None = Field(
        None,
        min_length=1,
        description="Name in the table's first level and in the file name; by default made of model, task and date "
        "in DeepLabCut's manner.",
    )


class H5WriterConfig(_PredictionsConfig):
    """How DeepLabCut's HDF5 table is written."""


class CsvWriterConfig(_PredictionsConfig):
    """How DeepLabCut's CSV table is written."""


class ModelImporterConfig(ImporterConfig):
    """How a trained DeepLabCut model is taken over."""

    as_trained: bool = Field(
        False,
        description="Also take over what the original does wrong where a plugin would do it right, to get its very "
        "numbers.",
    )
