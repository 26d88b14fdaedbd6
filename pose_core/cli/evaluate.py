"""``pose evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pose_core.evaluate.report import ErrorFigures, EvaluationResult, Figure


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'pose train --out' made.")],
    split: Annotated[str, typer.Option(metavar="test|validation|train", help="Which part of the images.")] = "test",
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Where the labelled project is now, if it was moved.", show_default=False)
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
            min=0, max=1, metavar="SCORE", help="Smallest score in the figures of confident keypoints only.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images a batch.", show_default=False)] = None,
) -> None:  # fmt: skip
    """Measure a trained model on labelled images: pixel errors, PCK and average precision, with 95 % intervals."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from pose_core.cli.tables import print_json
    from pose_core.evaluate.oks import override_sigmas
    from pose_core.evaluate.run import evaluate_run
    from pose_core.model.run_folder import Run

    opened = Run.open(run)
    spec = opened.spec.evaluation
    if sigma:
        spec = spec.model_copy(update={"sigmas": override_sigmas(spec.sigmas, sigma, opened.spec.skeleton)})
    if threshold is not None:
        spec = spec.model_copy(update={"threshold": threshold})
    console = Console(stderr=True)
    columns = (TextColumn("predicting {task.fields[split]} images"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, split=split)
        result = evaluate_run(
            opened,
            split,
            data,
            device,
            batch_size,
            spec=spec,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        print_json(result.to_json())
    else:
        console = Console(highlight=False, soft_wrap=True)
        # What is read by a program or from a file is not cut to the width of a terminal that is not there.
        _show(result, console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=1000))


def _show(result: EvaluationResult, console: Console) -> None:
    from rich.markup import escape

    counts = result.counts
    heading = f"[bold]{counts.images} {result.split} images[/bold], {_animals(result)}"
    console.print(f"{heading}; errors in pixels of the images, 95 % intervals in brackets")
    console.print(_overall(result))
    console.print(_by_keypoint(result))
    undefined = dict.fromkeys(f.reason for f in _figures(result) if f.value is None and f.reason)
    without_interval = dict.fromkeys(f.reason for f in _figures(result) if f.value is not None and f.reason)
    for reason in undefined:
        names = [name for name, figure in _named(result) if figure.reason == reason]
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


def _overall(result: EvaluationResult) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, figure in _named(result):
        pixels = name.endswith("error")
        table.add_row(name, _value(figure, pixels), _interval(figure, pixels))
    confident = result.confident
    if confident.kept.value is not None and confident.error.mean.value is not None:
        table.add_row(
            f"mean error, score ≥ {confident.threshold:g}",
            _value(confident.error.mean, True),
            f"{_interval(confident.error.mean, True)}  {confident.kept.value:.0%} of keypoints",
        )
    return table


def _by_keypoint(result: EvaluationResult) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    thresholds = list(result.pck)
    table.add_column("keypoint", no_wrap=True)
    for title in ("labelled", "missing", "mean", "median", "RMS", *(f"PCK@{t:g}" for t in thresholds)):
        table.add_column(title, justify="right", no_wrap=True)
    for keypoint in result.keypoints:
        error: ErrorFigures = keypoint.error
        table.add_row(
            keypoint.name,
            str(keypoint.labelled),
            str(keypoint.missing),
            _number(error.mean, 2),
            _number(error.median, 2),
            _number(error.rms, 2),
            *(_number(keypoint.pck[t], 3) for t in thresholds),
        )
    return table


def _named(result: EvaluationResult) -> list[tuple[str, Figure]]:
    return [
        ("mean error", result.error.mean),
        ("median error", result.error.median),
        ("RMS error", result.error.rms),
        *((f"PCK@{threshold:g}", figure) for threshold, figure in result.pck.items()),
        ("AP", result.oks.ap),
        ("AP50", result.oks.ap50),
        ("AP75", result.oks.ap75),
        ("AR", result.oks.ar),
    ]


def _figures(result: EvaluationResult) -> list[Figure]:
    return [figure for _, figure in _named(result)]


def _value(figure: Figure, pixels: bool) -> str:
    return f"{_number(figure, 2)} px" if pixels and figure.value is not None else _number(figure, 3)


def _number(figure: Figure, digits: int) -> str:
    return "–" if figure.value is None else f"{figure.value:.{digits}f}"


def _interval(figure: Figure, pixels: bool) -> str:
    if figure.interval is None:
        return ""
    digits = 2 if pixels else 3
    low, high = figure.interval
    # Round brackets: rich takes square ones for markup.
    return f"({low:.{digits}f} to {high:.{digits}f})"
