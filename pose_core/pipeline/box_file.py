"""Read boxes from a file, for one video or sequence of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from pose_core.errors import DataError, argument
from pose_core.interfaces import FrameGroup, Stage, StageContext, StageResult, View
from pose_core.interfaces.prediction_files import core_writer
from pose_core.io.names import NameIndex
from pose_core.io.text import TextTable
from pose_core.pipeline.stage_configs import BoxesConfig
from pose_core.structures import FloatArray, Region

CORNERS = ["x1", "y1", "x2", "y2"]


@dataclass(frozen=True, eq=False)
class BoxTable:
    """Boxes and their scores by frame.

    Attributes:
        by_frame: for a frame number or the name of an image: boxes (N, 4) and scores (N,), float32.
    """

    by_frame: dict[int | str, tuple[FloatArray, FloatArray]]

    def padded(self, indices: Sequence[int], images: Sequence[str | None]) -> tuple[FloatArray, FloatArray]:
        """Pad the boxes of some frames to equal number, highest scores first.

        Args:
            indices: frame numbers.
            images: paths of the frames that are image files.

        Returns:
            boxes (B, N, 4), NaN beyond the last, and scores (B, N), 0 beyond the last.
        """
        rows = [self._of(index, image) for index, image in zip(indices, images, strict=True)]
        most = max((len(scores) for _, scores in rows), default=0)
        boxes, scores = (
            np.full((len(rows), most, 4), np.nan, np.float32),
            np.zeros((len(rows), most), np.float32),
        )
        for i, (found, score) in enumerate(rows):
            # Stable: boxes of equal score, as in a file without scores, keep the order of the file.
            order = np.argsort(-score, kind="stable")
            boxes[i, : len(score)], scores[i, : len(score)] = found[order], score[order]
        return boxes, scores

    def _of(self, index: int, image: str | None) -> tuple[FloatArray, FloatArray]:
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        # By file name, so that a table fits wherever the folder of the images lies.
        if image is not None:
            near = self._names.match(Path(image).name)
            if len(near) > 1:
                raise DataError(
                    f"{image}: its boxes may be those of {' or '.join(near)}; name it as on the disk"
                )
            if near:
                return self.by_frame[near[0]]
        return self.by_frame.get(index, nothing)

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(key for key in self.by_frame if isinstance(key, str))


class BoxFileStage(Stage):
    """Supply boxes that are known already.

    A frame that the file does not name has none.
    """

    def __init__(self, config: BoxesConfig, context: StageContext) -> None:
        assert context.file is not None
        self._table = read_boxes(context.file)
        self._max_animals = context.max_animals

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Give the boxes of the frames of this group, highest scores first."""
        boxes, scores = self._table.padded(group.indices, group.images)
        if group.region is not None:
            boxes, scores = _keep_seen(boxes, scores, group.region)
        return replace(
            found,
            boxes=torch.from_numpy(boxes[:, : self._max_animals]).to(group.device),
            box_scores=torch.from_numpy(scores[:, : self._max_animals]).to(group.device),
        )


def _keep_seen(boxes: FloatArray, scores: FloatArray, region: Region) -> tuple[FloatArray, FloatArray]:
    """Move boxes into the pixels of a part of the frame; those beside it become padding."""
    boxes = boxes - np.array([region.x1, region.y1] * 2, np.float32)
    with np.errstate(invalid="ignore"):
        seen = (boxes[..., 2:] > -0.5).all(-1)
        seen &= (boxes[..., 0] < region.x2 - region.x1) & (boxes[..., 1] < region.y2 - region.y1)
    boxes, scores = (
        np.where(seen[..., None], boxes, np.float32(np.nan)),
        np.where(seen, scores, np.float32(0)),
    )
    # Padding comes last.
    order = np.argsort(~seen, axis=1, kind="stable")
    return np.take_along_axis(boxes, order[..., None], axis=1), np.take_along_axis(scores, order, axis=1)


def read_boxes(path: Path) -> BoxTable:
    """Read boxes from a Parquet file of predictions or a CSV file.

    The CSV file has the columns ``x1, y1, x2, y2`` in pixels (the centre of the top-left pixel is (0, 0)),
    ``frame`` (number from 0) or ``image`` (file name), and perhaps ``score``; a row for each box.

    Raises:
        DataError: the file is missing or no such table; the message names the row.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; {argument('boxes')} takes a .csv or .parquet file")
    if path.suffix == ".parquet":
        found: dict[int | str, tuple[FloatArray, FloatArray]] = {}
        for frame in core_writer().read(path):
            known = np.isfinite(frame.instances.boxes).all(axis=1)
            found[frame.index] = frame.instances.boxes[known], frame.instances.scores[known]
        return BoxTable(found)
    if path.suffix != ".csv":
        raise DataError(f"{path}: {argument('boxes')} takes a .csv or .parquet file")
    return BoxTable(_read_csv(path))


def _read_csv(path: Path) -> dict[int | str, tuple[FloatArray, FloatArray]]:
    table = TextTable(path, lambda cells: CORNERS[0] in cells)
    rows = list(table)
    if not rows:
        raise DataError(f"{path}: not a readable table (it is empty)")
    columns = [cell.strip() for cell in rows.pop(0)[1]]
    key = next((name for name in ("frame", "image") if name in columns), None)
    if key is None or any(name not in columns for name in CORNERS):
        raise DataError(
            f"{path}: needs the columns frame (or image), {', '.join(CORNERS)}; score is optional"
        )
    known = (key, *CORNERS, "score")
    for column in columns:
        if column not in known:
            raise DataError(
                f"{path}: unknown column {column!r}; columns are {key}, {', '.join(CORNERS)}, score"
            )
        if columns.count(column) > 1:
            raise DataError(f"{path}: column {column!r} is there twice; leave one out")
    found: dict[int | str, list[list[float]]] = {}
    for line, row in rows:
        frame, box = (
            _parse_row(dict(zip(columns, row, strict=True)), key, table.parse_number)
            if len(row) == len(columns)
            else ("", None)
        )
        if box is None:
            raise DataError(
                f"{path} line {line}: needs numbers with x1 <= x2, y1 <= y2, and a score from 0 to 1; "
                "correct it"
            )
        found.setdefault(frame, []).append(box)
    arrays = {frame: np.array(boxes, np.float32) for frame, boxes in found.items()}
    return {frame: (array[:, :4], array[:, 4]) for frame, array in arrays.items()}


def _parse_row(
    row: dict[str, str], key: str, parse: Callable[[str], float]
) -> tuple[int | str, list[float] | None]:
    """Parse the frame, box and score of a row; None where they are no numbers."""
    try:
        x1, y1, x2, y2 = (parse(row[name]) for name in CORNERS)
        score = parse(row.get("score", "1"))
        # As a float first: tools that write all columns as floats give frame 12 as "12.0".
        frame = parse(row[key]) if key == "frame" else 0.0
    except (KeyError, ValueError):
        return "", None
    right = all(map(math.isfinite, (x1, y1, x2, y2, frame))) and x1 <= x2 and y1 <= y2 and 0 <= score <= 1
    right = right and frame >= 0 and frame % 1 == 0
    name: int | str = int(frame) if key == "frame" and right else Path(row[key]).name
    return name, [x1, y1, x2, y2, score] if right else None
