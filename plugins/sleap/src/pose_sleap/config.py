"""Configs of the reader, writers and importer. No torch, no h5py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import ImporterConfig, ReaderConfig, WriterConfig


class SlpReaderConfig(ReaderConfig):
    """Settings for reading a SLEAP project."""

    labels: Literal["user", "all"] = Field(
        "user",
        description="Instances to read. user: those that somebody placed or corrected, as SLEAP's training "
        "does. all: predicted ones too, except those that a user instance corrects.",
    )
    identified: bool | Literal["auto"] = Field(
        "auto",
        description="Whether a track's name is an animal's, the same in every video. auto: where two or more "
        "videos have labels, every labelled instance has a track, and all videos name the same ones.",
    )
    skeleton: str | None = Field(
        None,
        min_length=1,
        description="Name of the skeleton whose instances are read; needed where instances have several.",
    )
    videos: str | None = Field(
        None,
        min_length=1,
        description="Folder of videos and images that are neither where the file says nor beside it.",
    )


class SlpWriterConfig(WriterConfig):
    """Settings for writing predictions as .slp."""


class AnalysisWriterConfig(WriterConfig):
    """Settings for writing SLEAP's analysis HDF5."""


class ModelImporterConfig(ImporterConfig):
    """Settings for importing a trained model of SLEAP."""

    as_trained: bool = Field(
        False,
        description="Also reproduce mistakes of the original, to get exactly its numbers: keypoints in crops are not "
        "moved to where the labels were, beside which the crops of its training lay.",
    )
