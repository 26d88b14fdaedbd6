"""Boxes from a file: for frames of one video, or for the images of one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pose_core.errors import DataError
from pose_core.infer.journal import core_writer
from pose_core.model.weights import file_hash
from pose_core.structures import FloatArray

CORNERS = ["x1", "y1", "x2", "y2"]


@dataclass(frozen=True, eq=False)
class BoxTable:
    """Boxes and their scores by frame.

    Attributes:
        by_frame: for a frame number or the name of an image: boxes (N, 4) and scores (N,), float32.
        sha256: of the file.
    """

    by_frame: dict[int | str, tuple[FloatArray, FloatArray]]
    sha256: str

    def padded(self, indices: Sequence[int], images: Sequence[str | None]) -> tuple[FloatArray, FloatArray]:
        """Boxes (B, N, 4), NaN beyond the last, and scores (B, N), 0 beyond the last, best first.

        Args:
            indices: frame numbers.
            images: paths of the frames that are image files.
        """
        rows = [self._of(index, image) for index, image in zip(indices, images, strict=True)]
        most = max((len(scores) for _, scores in rows), default=0)
        boxes, scores = np.full((len(rows), most, 4), np.nan, np.float32), np.zeros((len(rows), most), np.float32)
        for i, (found, score) in enumerate(rows):
            order = np.argsort(-score, kind="stable")
            boxes[i, : len(score)], scores[i, : len(score)] = found[order], score[order]
        return boxes, scores

    def _of(self, index: int, image: str | None) -> tuple[FloatArray, FloatArray]:
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        if image is not None and Path(image).name in self.by_frame:
            return self.by_frame[Path(image).name]
        return self.by_frame.get(index, nothing)


def read_boxes(path: Path) -> BoxTable:
    """Boxes from a Parquet file of predictions (``pose predict``), or from a CSV file.

    The CSV file has the columns ``x1, y1, x2, y2`` in pixels (the centre of the top-left pixel is (0, 0)), ``frame``
    (number from 0) or ``image`` (file name), and perhaps ``score``; a row for each box.

    Raises:
        DataError: the file is missing or no such table; the message names the row.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; --boxes takes a .csv or .parquet file")
    if path.suffix == ".parquet":
        found: dict[int | str, tuple[FloatArray, FloatArray]] = {}
        for frame in core_writer().read(path):
            known = np.isfinite(frame.instances.boxes).all(axis=1)
            found[frame.index] = frame.instances.boxes[known], frame.instances.scores[known]
        return BoxTable(found, file_hash(path))
    if path.suffix != ".csv":
        raise DataError(f"{path}: --boxes takes a .csv or .parquet file")
    return BoxTable(_from_csv(path), file_hash(path))


def _from_csv(path: Path) -> dict[int | str, tuple[FloatArray, FloatArray]]:
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a readable table ({' '.join(str(error).split())})") from None
    key = next((name for name in ("frame", "image") if name in table), None)
    missing = [name for name in CORNERS if name not in table]
    if key is None or missing:
        raise DataError(f"{path}: needs the columns frame (or image), {', '.join(CORNERS)}; score is optional")
    if unknown := [str(c) for c in table if c not in (key, *CORNERS, "score")]:
        raise DataError(f"{path}: unknown column {unknown[0]!r}; columns are {key}, {', '.join(CORNERS)}, score")
    if "score" not in table:
        table["score"] = 1.0
    numbers = table[[*CORNERS, "score", *([key] if key == "frame" else [])]]
    values = numbers.apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(values.to_numpy(np.float64)).all(axis=1)
    bad |= (values["x2"] < values["x1"]) | (values["y2"] < values["y1"]) | ~values["score"].between(0, 1)
    if key == "frame":
        bad |= (values["frame"] < 0) | (values["frame"] % 1 != 0)
    if bad.any():
        line = int(np.flatnonzero(bad)[0]) + 2
        raise DataError(
            f"{path} line {line}: needs numbers with x1 <= x2, y1 <= y2, and a score from 0 to 1; correct it"
        )
    result: dict[int | str, tuple[FloatArray, FloatArray]] = {}
    for name, rows in values.groupby(values["frame"].astype(int) if key == "frame" else table["image"].astype(str)):
        boxes = rows[CORNERS].to_numpy(np.float32)
        result[int(name) if key == "frame" else Path(str(name)).name] = boxes, rows["score"].to_numpy(np.float32)
    return result
