"""``pose evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pose_core.cli.shared_options import AcceptDrift, Bits, ComputeDevice, MovedProject, RunFolder, Runtime
from pose_core.cli.sources import with_sources
from pose_core.cli.training_options import split_names
from pose_core.errors import readable
from pose_core.escapes import escape_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pose_core.evaluation.boxes import DetectorResult
    from pose_core.evaluation.drawn_images import Drawn
    from pose_core.evaluation.results import ErrorMetrics, Estimate, EvaluationResult
    from pose_core.runs.run_folder import Run
    from pose_core.specs import AnyRunSpec, EvaluationSpec


@with_sources("run", "file", "labels")
def evaluate(
    *,
    run: RunFolder,
    split: Annotated[
        str, typer.Option(metavar="test|validation|train|all", help="Part of the labelled images to measure on.")
    ] = "test",
    json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    data: MovedProject = None,
    sigma: Annotated[
        list[str] | None,
        typer.Option(
            "--sigma", metavar="NUMBER|KEYPOINT=NUMBER", help="OKS sigma of all or of one keypoint; may be "
                                                              "repeated.",
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
    draw: Annotated[
        str | None,
        typer.Option(
            metavar="N|all", help="Draw so many images, the largest errors first, with labels and predictions.",
            show_default=False,
        ),
    ] = None,
    keypoints: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Measure these keypoints only.", show_default=False),
    ] = None,
    runtime: Runtime = None,
    precision: Bits = None,
    accept_drift: AcceptDrift = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            metavar="N|best|last|all",
            help="Weights of epoch N, or of the last epoch, of which the run kept a snapshot (train.keep); by default "
            "the best. all: a table of the best ones and every snapshot.",
            show_default=False,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting of the run, for this evaluation, such as evaluation.pck=[0.1]; may be repeated.",
        ),
    ] = None,
    sources: dict[str, Path | bool | None],
    device: ComputeDevice = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images in a batch; by default as the run says.", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Measure a trained model on labelled images.

    Pixel errors, PCK and average precision with 95 % intervals; plots and tables go into RUN/evaluation. For
    the run of
    a detector: the average precision of its boxes.
    """
    from rich.console import Console
    from rich.markup import escape

    from pose_core.cli.tables import print_json
    from pose_core.evaluation.boxes import DetectorResult

    # Command and function have one name, as 'pose NAME' and pose_core.NAME have it.
    from pose_core.evaluation.run import evaluate as measure
    from pose_core.runs.run_folder import Run
    from pose_core.runs.snapshots import ALL, choose_snapshots
    from pose_core.specs.resolve import parse_assignments

    changes = parse_assignments(assignments or [])
    chosen = choose_snapshots([Run.open(run)], snapshot)
    spec = _override_spec(chosen[0].with_changes([changes]), sigma or [], threshold, split_names(keypoints))
    # No reporter of its own: that of the process was set in main.
    results = [
        measure(
            each.with_changes([changes]),
            split,
            data,
            device,
            batch_size,
            spec=spec,
            settings=None,
            snapshot=None,
            runtime=runtime,
            precision=precision,
            accept_drift=accept_drift,
            draw=_read_number(draw),
            reporter=None,
            **sources,
        )
        for each in chosen
    ]
    if snapshot == ALL:
        _show_snapshots(chosen, results, json=json)
        return
    (result,) = results
    if json:
        print_json(result.to_json())
        return
    if isinstance(result, DetectorResult):
        _show_boxes(result)
        return
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    # What is read by a program or from a file is not cut to the width of a terminal that is not there.
    console = (
        console if console.is_terminal else Console(highlight=False, soft_wrap=True, emoji=False, width=1000)
    )
    if result.besides:
        console.print("[bold]as in prediction[/bold]")
    _show(result, console)
    for name, beside in result.besides.items():
        console.print(f"\n[bold]with the {name.replace('_', ' ')}[/bold]: the pose network by itself")
        console.print(make_overall_table(beside))
        console.print(f"plots and tables: {escape(escape_line(beside.folder))}")


def _show_snapshots(
    runs: Sequence[Run[AnyRunSpec]], results: Sequence[EvaluationResult | DetectorResult], *, json: bool
) -> None:
    """Print a row for each: of poses and of boxes, in the metrics of their kind."""
    from pose_core.cli.tables import print_json, print_table
    from pose_core.evaluation.boxes import DetectorResult
    from pose_core.runs.snapshots import list_snapshots

    names = ["best" if run.snapshot is None else str(run.snapshot) for run in runs]
    if json:
        print_json({name: result.to_json() for name, result in zip(names, results, strict=True)})
        return
    kept = list_snapshots(runs[0])
    rows: list[dict[str, object]] = []
    for name, run, result in zip(names, runs, results, strict=True):
        row: dict[str, object] = {"snapshot": name}
        if isinstance(result, DetectorResult):
            found = {f"box {m.upper()}": getattr(result, m) for m in ("ap", "ap50", "ap75", "ar")}
            row |= {title: "–" if value is None else f"{value:.3f}" for title, value in found.items()}
        else:
            row |= {
                title: _format_value(metric, title.endswith("error"))
                for title, metric in _name_metrics(result)
            }
        # What it had at training, on other images; of the best weights the metrics of the run say it.
        trained = runs[0].metrics().get("best", {}) if run.snapshot is None else kept[run.snapshot]
        measured = [value for key, value in trained.items() if key.startswith("validation_")]
        rows.append({**row, "validation": f"{measured[0]:.4g}" if measured else "–"})
    print(f"{results[0].split} images; validation: the metric at training")
    print_table(rows, list(rows[0]))


def _read_number(draw: str | None) -> Drawn:
    """The number of images to draw; what is no number is refused where it is used."""
    return int(draw) if draw is not None and draw.isdecimal() else cast("Drawn", draw)


def _override_spec(
    run: Run[AnyRunSpec], sigmas: list[str], threshold: float | None, keypoints: list[str] | None
) -> EvaluationSpec | None:
    """The run's settings with those of the options; None where there are none."""
    from pose_core.data.sigmas import override_sigmas

    spec = run.spec.evaluation
    if sigmas:
        spec = spec.model_copy(update={"sigmas": override_sigmas(spec.sigmas, sigmas, run.spec.finds)})
    if threshold is not None:
        spec = spec.model_copy(update={"threshold": threshold})
    if keypoints is not None:
        spec = spec.model_copy(update={"keypoints": tuple(keypoints)})
    return None if spec is run.spec.evaluation else spec


def _show_boxes(result: DetectorResult) -> None:
    print(f"{result.images} {result.split} images, {result.animals} labelled boxes, {result.boxes} found")
    for name in ("ap", "ap50", "ap75", "ar"):
        value = getattr(result, name)
        print(f"box {name.upper():5} {'–' if value is None else format(value, '.3f')}")
    if result.reason is not None:
        print(f"undefined: {result.reason}")
    for note in result.notes:
        print(f"note: {readable(note)}")


def _show(result: EvaluationResult, console: Console) -> None:
    from rich.markup import escape

    counts = result.counts
    heading = f"[bold]{counts.images} {result.split} images[/bold], {_count_animals(result)}"
    console.print(f"{heading}; errors in pixels of the images, 95 % intervals in brackets")
    console.print(make_overall_table(result))
    console.print(make_keypoint_table(result))
    # Several metrics share a reason, which is printed once, in the order of the table.
    undefined = dict.fromkeys(f.reason for f in _list_metrics(result) if f.value is None and f.reason)
    without_interval = dict.fromkeys(
        f.reason for f in _list_metrics(result) if f.value is not None and f.reason
    )
    for reason in undefined:
        names = [name for name, metric in _name_metrics(result) if metric.reason == reason]
        console.print(f"undefined: {', '.join(names)}: {escape(reason)}")
    for reason in without_interval:
        console.print(escape(reason))
    if result.oks.why is not None:
        console.print(f"why AP is low: {escape(result.oks.why)}")
    for note in (*result.notes, *result.oks.notes):
        console.print(f"note: {escape(readable(note))}")
    console.print(f"plots and tables: {escape(escape_line(result.folder))}")


def _count_animals(result: EvaluationResult) -> str:
    counts = result.counts
    said = [f"{counts.animals} labelled animals"]
    if counts.missed or counts.false_positives:
        said.append(f"{counts.missed} missed")
        said.append(f"{counts.false_positives} false positives")
    said.append(f"{counts.keypoints} labelled keypoints")
    if counts.missing:
        said.append(f"{counts.missing} of them without a prediction")
    return ", ".join(said)


def make_overall_table(result: EvaluationResult) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, metric in _name_metrics(result):
        pixels = name.endswith("error")
        table.add_row(name, _format_value(metric, pixels), _format_interval(metric, pixels))
        # Directly below the errors, which leave missed animals out and look better for it.
        if name == "RMS error":
            _add_missed(table, result)
    confident = result.confident
    if confident.kept.value is not None and confident.error.mean.value is not None:
        table.add_row(
            f"mean error, score ≥ {confident.threshold:g}",
            _format_value(confident.error.mean, True),
            f"{_format_interval(confident.error.mean, True)}  {confident.kept.value:.0%} of keypoints",
        )
    _add_identity(table, result)
    _add_tracks(table, result)
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
            "identity",
            _format_value(metrics.accuracy, False),
            f"{_format_interval(metrics.accuracy, False)}  {of}".strip(),
        )
        table.add_row("swapped pairs", str(metrics.swaps), "of animals in one image")
    for what, switches in metrics.switches.items():
        if switches.seen_again:
            again = f"of {switches.seen_again} times that an individual was seen again"
            table.add_row(f"{what} changes", str(switches.changes), again)


def _add_tracks(table: Table, result: EvaluationResult) -> None:
    """Metrics over all videos; those of each are in tracks.csv."""
    if not result.tracks:
        return
    metrics = list(result.tracks.values())[-1]
    videos = max(len(result.tracks) - 1, 1)
    many = "1 video" if videos == 1 else f"{videos} videos"
    for what, scores in (("", metrics.keypoints), (" of boxes", metrics.boxes)):
        parts = (
            f"DetA {scores.deta:.3f}, AssA {scores.assa:.3f}; IDF1 {scores.idf1:.3f}, MOTA {scores.mota:.3f}"
        )
        table.add_row(f"HOTA{what}", f"{scores.hota:.3f}", f"{parts}; {many}")
        table.add_row(
            f"switches{what}",
            str(scores.switches),
            f"{scores.switches_per_1000:.2f} per 1,000 frames and animal; {scores.fragments} fragments",
        )


def make_keypoint_table(result: EvaluationResult) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    thresholds = list(result.pck)
    table.add_column("keypoint", no_wrap=True)
    # A column only where the project names its individuals.
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
            _format_number(error.mean, 2),
            _format_number(error.median, 2),
            _format_number(error.rms, 2),
            *(_format_number(keypoint.pck[t], 3) for t in thresholds),
            *([_format_share(names.get(keypoint.name))] if names else []),
        )
    return table


def _name_metrics(result: EvaluationResult) -> list[tuple[str, Estimate]]:
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


def _list_metrics(result: EvaluationResult) -> list[Estimate]:
    return [metric for _, metric in _name_metrics(result)]


def _format_share(counted: tuple[int, int] | None) -> str:
    """Right ones of those compared."""
    # A dash, since 0.000 would read as a bad result.
    return "–" if counted is None else f"{counted[0] / counted[1]:.3f}"


def _format_value(metric: Estimate, pixels: bool) -> str:
    return (
        f"{_format_number(metric, 2)} px"
        if pixels and metric.value is not None
        else _format_number(metric, 3)
    )


def _format_number(metric: Estimate, digits: int) -> str:
    return "–" if metric.value is None else f"{metric.value:.{digits}f}"


def _format_interval(metric: Estimate, pixels: bool) -> str:
    if metric.interval is None:
        return ""
    digits = 2 if pixels else 3
    low, high = metric.interval
    # Round brackets: rich takes square ones for markup.
    return f"({low:.{digits}f} to {high:.{digits}f})"
