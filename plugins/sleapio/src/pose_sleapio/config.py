"""Configs of the readers. No torch, no sleap-io."""

from __future__ import annotations

from pydantic import Field

from pose_core.specs import ReaderConfig


class SleapIOReaderConfig(ReaderConfig):
    """Settings for reading labels with sleap-io."""

    images: str | None = Field(
        None,
        min_length=1,
        description="Folder of images and videos that are neither where the labels say nor beside them.",
    )


class LabelStudioConfig(SleapIOReaderConfig):
    """Settings for reading Label Studio's tasks."""

    labeling_config: str | None = Field(
        None,
        min_length=1,
        description="File with the labelling interface (Settings > Labeling Interface > Code), which has the "
        "order of keypoints; null: labeling_config.xml beside the tasks, or by name.",
    )


class UltralyticsConfig(SleapIOReaderConfig):
    """Settings for reading an Ultralytics data set."""

    splits: tuple[str, ...] = Field(
        ("train", "val", "test"),
        min_length=1,
        description="Keys of data.yaml whose images are read, as far as it has them.",
    )
