"""Summarise a finished demo: its report and the command's last lines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pose_core import __version__
from pose_core.catalog import get_catalog
from pose_core.catalog.composition import CORE
from pose_core.demo import folder as names
from pose_core.demo.report import Clip, DemoReport, KeypointRow, Step
from pose_core.evaluation.results import Estimate, EvaluationResult
from pose_core.pictures.page import Picture, Tile
from pose_core.runs.run_folder import CONFIG, Run


@dataclass(frozen=True)
class DemoResults:
    """The results of a demo.

    Attributes:
        out: folder of the demo.
        model: name of the model.
        images: number of labelled images.
        run: the trained run.
        result: its evaluation on the test images.
        video_error: mean error on the video in pixels.
        frames: number of frames of the video.
        frames_per_second: of the prediction, decoding and writing included; None if it was not measured.
        settings: those that differ from the defaults.
        seconds: duration of the whole demo.
    """

    out: Path
    model: str
    images: int
    run: Run
    result: EvaluationResult
    video_error: float
    frames: int
    frames_per_second: float | None
    settings: Sequence[str]
    seconds: float


def make_report(demo: DemoResults) -> DemoReport:
    """Collect the report's content from the run folder and the demo's files."""
    run, result, out = demo.run, demo.result, demo.out
    training = run.metrics()["training"]
    parts = run.provenance["split"]
    return DemoReport(
        title="A synthetic animal, from labels to a labelled video",
        lead=(
            f"{demo.images} images of a rodent that never lived were rendered with exact keypoints. The "
            "model "
            f"{demo.model} was trained on {len(parts['train'])} of them for "
            f"{_format_duration(training['seconds'])} "
            f"({training['steps']} steps on {_describe_device(run)}), measured on {len(parts['test'])} "
            "others, and then "
            f"found the keypoints in a video of {demo.frames} frames against a background it had not seen."
        ),
        tiles=_make_tiles(demo),
        keypoints=[
            KeypointRow(k.name, k.error.mean.value, k.error.mean.interval, k.labelled, k.missing)
            for k in result.keypoints
        ],
        training=Picture(
            (out / names.CURVES).read_bytes(),
            "Loss and validation error over the epochs",
            "Loss, validation error and learning rate over the epochs; the dot is the epoch whose weights "
            "were kept.",
        ),
        pictures=[
            Picture(
                (out / names.SHEET).read_bytes(),
                "Test images with predicted and labelled keypoints",
                "Test images: the best, the median and the worst. Rings are the true keypoints, filled dots "
                "the "
                "predicted ones; a line joins each pair.",
            )
        ],
        clip=Clip(
            (out / names.LABELLED).read_bytes(),
            names.LABELLED,
            "Every frame is predicted by itself, without tracking or smoothing.",
        ),
        made=[(f"{out.name}/{file}", what) for file, what in _list_files(demo)],
        steps=[Step(text, command) for text, command in _list_steps(demo.model, "pose")],
        configuration=(run.path / CONFIG).read_text(encoding="utf-8"),
        notes=[*result.notes, f"Set for the short training of the demo: {', '.join(demo.settings)}."],
        footer=(
            f"pose_core {__version__}, torch {torch.__version__}, Python {sys.version.split()[0]}, seed "
            f"{run.spec.train.seed}. Made in {_format_duration(demo.seconds)}."
        ),
    )


def compose_closing_lines(demo: DemoResults) -> list[str]:
    """Compose the last lines that the command prints."""
    error = demo.result.error.mean
    made = [(f"{demo.out}/{file}", what) for file, what in _list_files(demo)]
    width = max(len(path) for path, _ in made)
    errors = f"mean test error {_format_pixels(error)}, {demo.video_error:.2f} px in a video it has not seen"
    return [
        f"made in {_format_duration(demo.seconds)}: {errors}",
        "",
        *(f"  {path:<{width}}  {what}" for path, what in made),
        "",
        f"your own project ({_list_formats()}, or a folder like the demo's project):",
        *(
            f"  {line}"
            for _, command in _list_steps(demo.model, _find_command())
            for line in command.splitlines()
        ),
        "",
        f"open {demo.out / names.REPORT} in a browser",
    ]


def _make_tiles(demo: DemoResults) -> list[Tile]:
    result = demo.result
    tiles = [Tile("mean test error", *_format_metric(result.error.mean, "px"))]
    tiles.append(Tile("median test error", *_format_metric(result.error.median, "px")))
    if result.pck:
        # PCK@0.1 is the usual one; it need not be among the thresholds that the run was evaluated at.
        threshold = min(result.pck, key=lambda t: abs(t - 0.1))
        tiles.append(
            Tile(f"within {100 * threshold:g} % of the animal", *_format_metric(result.pck[threshold], "%"))
        )
    tiles.append(Tile("average precision (OKS)", *_format_metric(result.oks.ap, "")))
    tiles.append(
        Tile("mean error in the video", f"{demo.video_error:.2f}", "px", f"{demo.frames} unseen frames")
    )
    if demo.frames_per_second is not None:
        tiles.append(
            Tile("prediction", f"{demo.frames_per_second:.0f}", "frames/s", "decoding and writing included")
        )
    return tiles


def _format_metric(metric: Estimate, unit: str) -> tuple[str, str, str]:
    """Format value, unit and interval of a metric as text."""
    if metric.value is None:
        return "–", "", metric.reason or ""
    factor, digits = (100.0, 1) if unit == "%" else (1.0, 2)
    interval = ""
    if metric.interval is not None:
        low, high = (factor * v for v in metric.interval)
        interval = f"95 % interval {low:.{digits}f} to {high:.{digits}f}"
    return f"{factor * metric.value:.{digits}f}", unit, interval


def _format_pixels(metric: Estimate) -> str:
    if metric.value is None:
        return f"undefined ({metric.reason})"
    interval = (
        f" (95 %: {metric.interval[0]:.2f} to {metric.interval[1]:.2f})"
        if metric.interval is not None
        else ""
    )
    return f"{metric.value:.2f} px{interval}"


def _list_files(demo: DemoResults) -> list[tuple[str, str]]:
    return [
        (names.REPORT, "everything on one page"),
        (names.LABELLED, "the video with the predicted keypoints"),
        (names.SHEET, "predicted and true keypoints on test images"),
        (names.CURVES, "loss and validation error over the training"),
        (f"{names.PROJECT}/", f"the labelled project: project.yaml, labels.csv and {demo.images} images"),
        (names.VIDEO, f"the video, {demo.frames} frames"),
        (f"{names.RUN}/", "the trained model, its configuration, history and evaluation"),
        (f"{names.PREDICTIONS}/", "the predicted keypoints of the video as a Parquet table"),
    ]


def _list_steps(model: str, pose: str) -> list[tuple[str, str]]:
    # VIDEO.mp4 gives VIDEO.parquet: predictions are named after their videos.
    own = f"Train on your labelled project: {_list_formats()}, or a folder like the demo's project."
    predict = f"{pose} predict my-run VIDEO.mp4 --out predictions"
    draw = f"{pose} render predictions/VIDEO.parquet VIDEO.mp4 --out labelled.mp4"
    return [
        (own, f"{pose} train PROJECT --model {model} --out my-run"),
        ("Measure it on the images that were kept for the test.", f"{pose} evaluate my-run"),
        ("Predict a video, and draw the result into it.", f"{predict}\n{draw}"),
    ]


def _list_formats() -> str:
    """List the formats that plugins read, by the names of their readers."""
    readers = get_catalog().components("reader")
    return ", ".join(r.name for r in readers if r.plugin.name != CORE) or "any format that a plugin reads"


def _find_command() -> str:
    """Find how to type ``pose`` here: by name, or by path if it is not on PATH."""
    # Another installation's pose may be on PATH: it must be the one beside this Python.
    beside = Path(sys.executable).parent / "pose"
    found = shutil.which("pose")
    if not beside.exists() or (found is not None and Path(found).samefile(beside)):
        return "pose"
    return os.path.relpath(beside)


def _describe_device(run: Run) -> str:
    device = run.spec.train.device
    return f"{torch.get_num_threads()} CPU cores" if device == "cpu" else device


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
