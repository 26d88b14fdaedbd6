"""``pose evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pose_core.evaluation.results import ErrorMetrics, Estimate, EvaluationResult
    from pose_core.runs.run_folder import Run
    from pose_core.specs import EvaluationSpec


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'pose train --out' made.")],
    split: Annotated[
        str, typer.Option(metavar="test|validation|train|all", help="Which part of the labelled images.")
    ] = "test",
    json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PROJECT", help="Where the labelled project is now, if it was moved.", show_default=False
        ),
    ] = None,
    sigma: Annotated[
        list[str] | None,
        typer.Option(
            "--sigma", metavar="NUMBER|KEYPOINT=NUMBER", help="OKS sigma of all or of one keypoint; may be repeated.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SCORE", help="Smallest score in the metrics of confident keypoints only.",
            show_default=False,
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="detector|labelled|both",
            help="Top-down: whose boxes the crops are cut around; by default both where the run has a detector.",
            show_default=False,
        ),
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Models that refine poses: the model that finds them, in the place of the run's own.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images in a batch; by default as the run says.", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Measure a trained model on labelled images.

    Pixel errors, PCK and average precision with 95 % intervals; plots and tables go into RUN/evaluation. For the run of
    a detector: the average precision of its boxes.
    """
    from rich.console import Console
    from rich.markup import escape

    from pose_core.cli.tables import print_json
    from pose_core.evaluation.oks import override_sigmas
    from pose_core.runs.run_folder import Run
    from pose_core.specs import DetectorRunSpec, RunSpec

    if isinstance(Run.open(run).spec, DetectorRunSpec):
        _evaluate_detector(run, split, json, data, device, batch_size, given=[sigma, threshold, boxes, conditions])
        return
    opened = Run.open(run, RunSpec)
    whose = _whose_boxes(opened, boxes, conditions)
    spec = opened.spec.evaluation
    if sigma:
        spec = spec.model_copy(update={"sigmas": override_sigmas(spec.sigmas, sigma, opened.spec.skeleton)})
    if threshold is not None:
        spec = spec.model_copy(update={"threshold": threshold})
    results = [_measure(opened, way, conditions, split, data, device, batch_size, spec) for way in whose]
    if json:
        second = {"labelled_boxes": results[1].to_json()} if len(results) > 1 else {}
        print_json({**results[0].to_json(), **second})
        return
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    # What is read by a program or from a file is not cut to the width of a terminal that is not there.
    console = console if console.is_terminal else Console(highlight=False, soft_wrap=True, emoji=False, width=1000)
    if whose[0] == "detector":
        console.print("[bold]with the detector's boxes[/bold]: as in prediction")
    _show(results[0], console)
    if len(results) > 1:
        console.print("\n[bold]with the labelled boxes[/bold]: the pose network by itself")
        console.print(overall_table(results[1]))
        console.print(f"plots and tables: {escape(results[1].folder)}")


def _whose_boxes(run: Run, asked: str | None, conditions: Path | None) -> list[str]:
    from pose_core.errors import ConfigError

    if run.spec.model.inputs:
        if asked is not None:
            raise ConfigError(f"--boxes: {run.name} refines poses, not boxes; leave it out")
        return ["conditions"]
    if conditions is not None:
        raise ConfigError(f"--conditions: {run.name} refines no poses of another model; leave it out")
    if asked not in (None, "detector", "labelled", "both"):
        raise ConfigError(f"--boxes {asked}: write detector, labelled or both")
    if asked is not None and run.spec.model.view != "animal":
        raise ConfigError(f"--boxes: {run.name} looks at whole frames and uses no boxes; leave it out")
    if asked in ("detector", "both") and "detector" not in run.spec.stages:
        raise ConfigError(f"--boxes {asked}: {run.path} has no detector; write labelled or leave it out")
    if asked == "labelled" or "detector" not in run.spec.stages:
        return ["labelled"]
    return ["detector"] if asked == "detector" else ["detector", "labelled"]


def _measure(
    run: Run,
    boxes: str,
    conditions: Path | None,
    split: str,
    data: Path | None,
    device: str,
    batch_size: int | None,
    spec: EvaluationSpec,
) -> EvaluationResult:
    """Metrics of a split, seen through the labelled boxes, through the detector of the run, or as refined poses."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from pose_core.evaluation.run import evaluate_run, report, split_images

    console = Console(stderr=True)
    columns = (TextColumn("predicting {task.fields[split]} images"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, split=split)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if boxes == "labelled":
            return evaluate_run(run, split, data, device, batch_size, spec=spec, progress=progress)
        from pose_core.pipeline.sources import ImageSource
        from pose_core.prediction.estimator import load

        images = split_images(run, split, data)
        estimator = load(run.path, device, batch_size, conditions=conditions, follow=False)
        source = ImageSource(split, [images.dataset.images[row].image for row in images.rows])
        frames = []
        for result in estimator.pipeline.run(source):
            frames += result.frames
            progress(len(frames), len(images.rows))
        return report(run, split, images, frames, spec=spec, labelled_boxes=False)


def _evaluate_detector(
    run: Path,
    split: str,
    json: bool,
    data: Path | None,
    device: str,
    batch_size: int | None,
    given: list[object],
) -> None:
    from pose_core.cli.tables import print_json
    from pose_core.errors import ConfigError
    from pose_core.evaluation.detector import evaluate_detector
    from pose_core.runs.run_folder import Run
    from pose_core.specs import DetectorRunSpec

    if any(value not in (None, []) for value in given):
        raise ConfigError(
            f"{run}: holds a detector, for which --sigma, --threshold, --boxes and --conditions mean nothing; leave out"
        )
    result = evaluate_detector(Run.open(run, DetectorRunSpec), split, data, device, batch_size)
    if json:
        print_json(result.to_json())
        return
    print(f"{result.images} {split} images, {result.animals} labelled boxes, {result.boxes} found")
    for name in ("ap", "ap50", "ap75", "ar"):
        value = getattr(result, name)
        print(f"box {name.upper():5} {'–' if value is None else format(value, '.3f')}")
    if result.reason is not None:
        print(f"undefined: {result.reason}")
    for note in result.notes:
        print(f"note: {note}")


def _show(result: EvaluationResult, console: Console) -> None:
    from rich.markup import escape

    counts = result.counts
    heading = f"[bold]{counts.images} {result.split} images[/bold], {_animals(result)}"
    console.print(f"{heading}; errors in pixels of the images, 95 % intervals in brackets")
    console.print(overall_table(result))
    console.print(keypoint_table(result))
    undefined = dict.fromkeys(f.reason for f in _metrics(result) if f.value is None and f.reason)
    without_interval = dict.fromkeys(f.reason for f in _metrics(result) if f.value is not None and f.reason)
    for reason in undefined:
        names = [name for name, metric in _named(result) if metric.reason == reason]
        console.print(f"undefined: {', '.join(names)}: {escape(reason)}")
    for reason in without_interval:
        console.print(escape(reason))
    if result.oks.why is not None:
        console.print(f"why AP is low: {escape(result.oks.why)}")
    for note in (*result.notes, *result.oks.notes):
        console.print(f"note: {escape(note)}")
    console.print(f"plots and tables: {escape(result.folder)}")


def _animals(result: EvaluationResult) -> str:
    counts = result.counts
    said = [f"{counts.animals} labelled animals"]
    if counts.missed or counts.false_positives:
        said.append(f"{counts.missed} missed")
        said.append(f"{counts.false_positives} false positives")
    said.append(f"{counts.keypoints} labelled keypoints")
    if counts.missing:
        said.append(f"{counts.missing} of them without a prediction")
    return ", ".join(said)


def overall_table(result: EvaluationResult) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, metric in _named(result):
        pixels = name.endswith("error")
        table.add_row(name, _value(metric, pixels), _interval(metric, pixels))
        if name == "RMS error":
            _add_missed(table, result)
    confident = result.confident
    if confident.kept.value is not None and confident.error.mean.value is not None:
        table.add_row(
            f"mean error, score ≥ {confident.threshold:g}",
            _value(confident.error.mean, True),
            f"{_interval(confident.error.mean, True)}  {confident.kept.value:.0%} of keypoints",
        )
    _add_identity(table, result)
    return table


def _add_missed(table: Table, result: EvaluationResult) -> None:
    """Errors are those of the animals that were found: how many were not belongs beside them."""
    counts = result.counts
    if counts.missed or counts.false_positives or counts.animals > counts.images:
        table.add_row("missed animals", str(counts.missed), f"of {counts.animals} labelled")
        table.add_row("false positives", str(counts.false_positives), f"of {counts.predicted} predicted")


def _add_identity(table: Table, result: EvaluationResult) -> None:
    metrics = result.identity
    if metrics is None:
        return
    if metrics.accuracy.value is not None:
        unnamed = f", {metrics.unnamed} without an identity" if metrics.unnamed else ""
        of = f"{metrics.right} of {metrics.compared} animals{unnamed}"
        table.add_row(
            "identity", _value(metrics.accuracy, False), f"{_interval(metrics.accuracy, False)}  {of}".strip()
        )
        table.add_row("swapped pairs", str(metrics.swaps), "of animals in one image")
    for what, switches in metrics.switches.items():
        if switches.seen_again:
            again = f"of {switches.seen_again} times that an individual was seen again"
            table.add_row(f"{what} changes", str(switches.changes), again)


def keypoint_table(result: EvaluationResult) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    thresholds = list(result.pck)
    table.add_column("keypoint", no_wrap=True)
    names = result.identity.keypoints if result.identity is not None else {}
    titles = ("labelled", "missing", "mean", "median", "RMS", *(f"PCK@{t:g}" for t in thresholds))
    for title in (*titles, *(["identity"] if names else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for keypoint in result.keypoints:
        error: ErrorMetrics = keypoint.error
        table.add_row(
            escape(keypoint.name),
            str(keypoint.labelled),
            str(keypoint.missing),
            _number(error.mean, 2),
            _number(error.median, 2),
            _number(error.rms, 2),
            *(_number(keypoint.pck[t], 3) for t in thresholds),
            *([_share(names.get(keypoint.name))] if names else []),
        )
    return table


def _named(result: EvaluationResult) -> list[tuple[str, Estimate]]:
    return [
        ("mean error", result.error.mean),
        ("median error", result.error.median),
        ("RMS error", result.error.rms),
        *((f"PCK@{threshold:g}", metric) for threshold, metric in result.pck.items()),
        ("AP", result.oks.ap),
        ("AP50", result.oks.ap50),
        ("AP75", result.oks.ap75),
        ("AR", result.oks.ar),
    ]


def _metrics(result: EvaluationResult) -> list[Estimate]:
    return [metric for _, metric in _named(result)]


def _share(counted: tuple[int, int] | None) -> str:
    """Right ones of those compared."""
    return "–" if counted is None else f"{counted[0] / counted[1]:.3f}"


def _value(metric: Estimate, pixels: bool) -> str:
    return f"{_number(metric, 2)} px" if pixels and metric.value is not None else _number(metric, 3)


def _number(metric: Estimate, digits: int) -> str:
    return "–" if metric.value is None else f"{metric.value:.{digits}f}"


def _interval(metric: Estimate, pixels: bool) -> str:
    if metric.interval is None:
        return ""
    digits = 2 if pixels else 3
    low, high = metric.interval
    # Round brackets: rich takes square ones for markup.
    return f"({low:.{digits}f} to {high:.{digits}f})"
