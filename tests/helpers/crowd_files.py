"""Stored predictions of synthetic crowds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import make_writer
from pose_core.structures import Frame, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON


def store(
    path: Path,
    frames: Sequence[Frame],
    format: str = "parquet",
    skeleton: Skeleton = CROWD_SKELETON,
    source: str = "",
    size: tuple[int, int] = (800, 800),
) -> Path:
    source = source or f"{path.stem}.mp4"
    header = PredictionsHeader(skeleton, source, len(frames), *size, 30.0, "model", "run")
    make_writer(format).write(path, header, frames)
    return path
