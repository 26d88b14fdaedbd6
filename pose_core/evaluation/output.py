"""Write ``evaluation/<split>`` of a run: predictions, tables and plots."""

from __future__ import annotations

import csv
import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pose_core.data.matching import Pair
from pose_core.errors import RunError
from pose_core.evaluation.contact_sheet import plot_predictions
from pose_core.evaluation.drawn_images import FOLDER, Drawn, draw_images
from pose_core.evaluation.metrics import Measured
from pose_core.evaluation.pixel import ONCE_AN_IMAGE
from pose_core.evaluation.plots import plot_error_by_keypoint, plot_error_curve
from pose_core.evaluation.results import Estimate
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import core_writer
from pose_core.structures import Skeleton

PREDICTIONS, ERRORS, KEYPOINTS = "predictions.parquet", "errors.csv", "keypoints.csv"
TRACKS = "tracks.csv"
ERROR_COLUMNS = ("image", "animal", "keypoint", "label_x", "label_y", "x", "y", "score", "error")
PLOTS = ("predictions.png", "error_by_keypoint.png", "error_curve.png")


def write_folder(
    folder: Path,
    pairs: Sequence[Pair],
    measured: Measured,
    skeleton: Skeleton,
    header: PredictionsHeader,
    draw: Drawn = None,
) -> tuple[str, ...]:
    """Write the folder anew; what it held before is replaced at the end.

    Args:
        folder: to make.
        pairs: labels and predictions.
        measured: their metrics.
        skeleton: of the project.
        header: for the predictions' file.
        draw: images to draw one by one, into the folder ``images``.

    Returns:
        names of the plots that could be drawn.

    Raises:
        OSError: the folder cannot be written (see :func:`writing`).
    """
    # Beside the folder, so that renaming stays on one disk; with the process, as two may evaluate at once.
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        core_writer().write(temporary / PREDICTIONS, header, [found for _, found in pairs])
        _write_csv(temporary / ERRORS, ERROR_COLUMNS, _make_error_rows(pairs, measured))
        keypoints = keypoint_rows(measured)
        _write_csv(temporary / KEYPOINTS, list(keypoints[0]), keypoints)
        if tracks := track_rows(measured):
            _write_csv(temporary / TRACKS, list(tracks[0]), tracks)
        drawing: dict[str, Callable[[Path], bool]] = {
            "predictions.png": lambda path: plot_predictions(
                pairs, measured.matches, measured.errors, measured.result, skeleton, path
            ),
            "error_by_keypoint.png": lambda path: plot_error_by_keypoint(
                measured.errors, measured.result, path
            ),
            "error_curve.png": lambda path: plot_error_curve(measured.errors, measured.result, path),
        }
        plots = tuple(name for name in PLOTS if drawing[name](temporary / name))
        if draw is not None:
            draw_images(pairs, measured, skeleton, draw, temporary / FOLDER)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return plots


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write into one line.

    Raises:
        RunError: something in ``folder`` cannot be written.
    """
    try:
        yield
    except OSError as error:
        # A full disk is left to the command line, which knows what to say.
        if error.errno == errno.ENOSPC:
            raise
        raise RunError(
            f"{folder}: cannot be written ({error.strerror}); metrics are written into the run folder"
        ) from None


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _make_error_rows(pairs: Sequence[Pair], measured: Measured) -> list[dict[str, object]]:
    """Make a row for each labelled keypoint, in pixels of the original image.

    Cells are empty where it was not predicted.
    """
    errors = measured.errors
    rows: list[dict[str, object]] = []
    partners = [dict(zip(m.labelled.tolist(), m.predicted.tolist(), strict=True)) for m in measured.matches]
    for row in range(len(errors)):
        image, animal, keypoint = (
            int(column[row]) for column in (errors.image, errors.animal, errors.keypoint)
        )
        labels, found = pairs[image]
        if animal == ONCE_AN_IMAGE:
            # Unique keypoints are numbered after those of the animals.
            at = keypoint - labels.instances.keypoints.shape[1]
            truth, predicted = labels.unique_keypoints[at], found.unique_keypoints[at : at + 1]
        else:
            partner = partners[image].get(animal)
            truth = labels.instances.keypoints[animal, keypoint]
            predicted = found.instances.keypoints[[] if partner is None else [partner], keypoint]
        x, y = predicted[0] if len(predicted) else (math.nan, math.nan)
        cells = (truth[0], truth[1], x, y, errors.score[row], errors.distance[row])
        place = (labels.name, "" if animal == ONCE_AN_IMAGE else animal, errors.names[keypoint])
        rows.append(dict(zip(ERROR_COLUMNS, (*place, *map(_format_cell, cells)), strict=True)))
    return rows


def keypoint_rows(measured: Measured) -> list[dict[str, object]]:
    rows = []
    for keypoint in measured.result.keypoints:
        error = keypoint.error
        metrics: list[tuple[str, Estimate]] = [
            ("mean_error", error.mean),
            ("median_error", error.median),
            ("rms_error", error.rms),
        ]
        metrics.extend((f"pck_{threshold:g}", metric) for threshold, metric in keypoint.pck.items())
        row: dict[str, object] = {
            "keypoint": keypoint.name,
            "labelled": keypoint.labelled,
            "missing": keypoint.missing,
        }
        for name, metric in metrics:
            low, high = metric.interval or (None, None)
            row |= {
                name: _format_cell(metric.value),
                f"{name}_low": _format_cell(low),
                f"{name}_high": _format_cell(high),
            }
        if (identity := measured.result.identity) is not None and identity.keypoints:
            right, compared = identity.keypoints.get(keypoint.name, ("", ""))
            row |= {"identity_right": right, "identity_compared": compared}
        rows.append(row)
    return rows


def track_rows(measured: Measured) -> list[dict[str, object]]:
    """Make a row for each video and similarity, and those over all."""
    return [
        {"video": name, "similarity": similarity, **vars(scores)}
        for name, metrics in measured.result.tracks.items()
        for similarity, scores in (("keypoints", metrics.keypoints), ("boxes", metrics.boxes))
    ]


def _format_cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
