"""Writing predictions, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, PredictionsStream, Writer
from pose_core.structures import Frame, Instances

from {{ cookiecutter.__package }}.config import WriterSettings
from {{ cookiecutter.__package }}.lines import (
    PREDICTIONS,
    looks_like,
    read_lines,
    skeleton_from_json,
    to_array,
    to_json,
)


class LinesWriter(Writer):
    """Writes a line for each frame, after one that says what the file is. Coordinates are pixels, missing ones null."""

    extension = ".jsonl"
    config: WriterSettings

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write the frames as they come; memory holds one."""
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"format": PREDICTIONS, **asdict(header)}) + "\n")
            for frame in frames:
                file.write(json.dumps(self._line(frame), allow_nan=False) + "\n")

    def _line(self, frame: Frame) -> dict[str, Any]:
        animals, decimals = frame.instances, self.config.decimals
        return {
            "frame": frame.index,
            "missing": frame.missing,
            "image": frame.image,
            "keypoints": to_json(animals.keypoints, decimals),
            "keypoint_scores": to_json(animals.keypoint_scores, decimals),
            "scores": to_json(animals.scores, decimals),
            "boxes": to_json(animals.boxes, decimals),
            "identity": animals.identity.tolist(),
            "track": animals.track.tolist(),
            "unique_keypoints": to_json(frame.unique_keypoints, decimals),
            "unique_scores": to_json(frame.unique_scores, decimals),
        }

    @classmethod
    def reads(cls, path: Path) -> bool:
        """A .jsonl file whose first line names the format."""
        return looks_like(path, PREDICTIONS)

    def read(self, path: Path) -> PredictionsStream:
        """Open the file.

        Raises:
            DataError: it is not of this format or is damaged.
        """
        return LinesPredictions(path)


class LinesPredictions(PredictionsStream):
    """Predictions, frame by frame as they are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _, content = next(read_lines(path), (1, {}))
        try:
            if content.pop("format", None) != PREDICTIONS:
                raise ValueError(f'its first line must hold "format": "{PREDICTIONS}"')
            skeleton = skeleton_from_json(content.pop("skeleton", {}))
            self.header = PredictionsHeader(skeleton=skeleton, **content)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: line 1: {error}; predict again") from None

    def __iter__(self) -> Iterator[Frame]:
        lines = read_lines(self.path)
        next(lines)
        for number, content in lines:
            try:
                frame = self._frame(content)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{self.path}: line {number}: damaged ({error}); predict again") from None
            yield frame

    def _frame(self, content: dict[str, Any]) -> Frame:
        k, u = self.header.skeleton.num_keypoints, len(self.header.skeleton.unique_keypoints)
        return Frame(
            index=int(content["frame"]),
            instances=Instances.from_keypoints(
                to_array(content["keypoints"], -1, k, 2),
                keypoint_scores=to_array(content["keypoint_scores"], -1, k),
                scores=to_array(content["scores"], -1),
                boxes=to_array(content["boxes"], -1, 4),
                identity=np.array(content["identity"], np.int64),
                track=np.array(content["track"], np.int64),
            ),
            unique_keypoints=to_array(content["unique_keypoints"], *((u, 2) if u else (-1, 2))),
            unique_scores=to_array(content["unique_scores"], u or -1),
            missing=content["missing"],
            image=content["image"],
        )
