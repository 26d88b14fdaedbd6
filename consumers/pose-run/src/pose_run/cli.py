"""``pose-run FOLDER VIDEO --out FILE.csv``."""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pose_run.errors import ExportError
from pose_run.geometry import Floats
from pose_run.model import Found, Model, load

_CORNERS = ("x1", "y1", "x2", "y2")


def run(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 2 an input cannot be used (one line says why)."""
    parser = argparse.ArgumentParser(
        "pose-run", description="Predict a video with a model that 'pose export' wrote."
    )
    parser.add_argument("folder", type=Path, help="folder of the exported model")
    parser.add_argument("video", type=Path, help="video to predict")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.csv", help="table of keypoints to write"
    )
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE.csv",
        help="boxes of the animals (frame, x1, y1, x2, y2, perhaps score), for a model that looks at crops; by default "
        "those that the detector in its folder finds",
    )
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="frames a batch (8)")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of the runtime; by default all cores"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    given = parser.parse_args(arguments)
    try:
        if given.out.exists() and not given.overwrite:
            raise ExportError(f"{given.out}: exists; add --overwrite to replace it, or choose another --out")
        model = load(given.folder, given.threads)
        boxes = None if given.boxes is None else _Boxes(given.boxes)
        each = None if boxes is None else boxes.each()
        results = model.predict_video(given.video, each, given.batch_size)
        frames = write_table(given.out, model, results if boxes is None else boxes.check_end(results))
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{given.out}: {frames} frames")


class _Boxes:
    """Boxes of a CSV file, frame by frame without an end; frames that it does not name have none."""

    def __init__(self, path: Path) -> None:
        self._by_frame: dict[int, list[list[float]]] = {}
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                table = csv.DictReader(file)
                if lost := [name for name in ("frame", *_CORNERS) if name not in (table.fieldnames or ())]:
                    raise ExportError(
                        f"{path}: has no column {lost[0]}; it needs frame, {', '.join(_CORNERS)}"
                    )
                for row in table:
                    number = int(row["frame"])
                    if number < 0:
                        raise ValueError(f"frame {number} is below 0")
                    score = float(row.get("score") or 1.0)
                    self._by_frame.setdefault(number, []).append([*(float(row[c]) for c in _CORNERS), score])
        except OSError as error:
            raise ExportError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
        except (ValueError, TypeError, csv.Error) as error:
            raise ExportError(f"{path}: is no table of boxes ({error})") from None
        self._path = path

    def each(self) -> Iterator[Floats]:
        number = 0
        while True:
            rows = sorted(self._by_frame.get(number, []), key=lambda box: -box[4])
            yield np.array(rows, np.float32).reshape(-1, 5)
            number += 1

    def check_end(self, results: Iterator[Found]) -> Iterator[Found]:
        """Hand results on, and refuse boxes of frames after the last one."""
        frames = 0
        for found in results:
            frames += 1
            yield found
        if (last := max(self._by_frame, default=-1)) >= frames:
            raise ExportError(f"{self._path}: has boxes of frame {last}, and the video has {frames} frames")


def write_table(path: Path, model: Model, results: Iterator[Found]) -> int:
    """Write results as CSV, whole or not at all; a frame without an animal has a row with its number alone.

    Args:
        path: of the file.
        model: that found them.
        results: frame by frame.

    Returns:
        the number of frames.

    Raises:
        ExportError: the file cannot be written.
    """
    names = [
        f"{name}_{what}"
        for name in (*model.keypoints, *model.unique_keypoints)
        for what in ("x", "y", "score")
    ]
    frames = 0
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from None
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["frame", "animal", "score", *names])
            for found in results:
                frames += 1
                once = _cells(found.unique_keypoints, found.unique_scores)
                for number in range(len(found.scores)):
                    own = _cells(found.keypoints[number], found.keypoint_scores[number])
                    table.writerow([found.index, number, f"{found.scores[number]:.4f}", *own, *once])
                if not len(found.scores):
                    empty = [""] * (2 + 3 * len(model.keypoints))
                    table.writerow([found.index, *empty, *once])
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    return frames


def _cells(points: Floats, scores: Floats) -> list[str]:
    """x, y and score of keypoints; empty where missing."""
    cells: list[str] = []
    for (x, y), score in zip(points, scores, strict=True):
        cells += ["", "", ""] if np.isnan(x) else [f"{x:.3f}", f"{y:.3f}", f"{score:.4f}"]
    return cells
