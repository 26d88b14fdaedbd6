"""``pose compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_core.cli.shared_options import ComputeDevice

if TYPE_CHECKING:
    from pose_core.evaluation.comparison import Comparison
    from pose_core.evaluation.results import Estimate

_PIXELS = ("mean_error", "median_error", "p95_error")


def compare(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of runs.")],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PROJECT",
            help="Labelled project; the test images of the first run by default. Images that a run was trained "
            "on are left out.",
            show_default=False,
        ),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            metavar="N|best|last|all",
            help="Weights of each run: of epoch N or the last epoch of which it kept a snapshot (train.keep), the best "
            "(by default), or all of them.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for a table, a plot and JSON.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    device: ComputeDevice = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images in a batch; by default as each run says.", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Compare trained models on images that none of them was trained on.

    Errors, PCK and, of several animals, average precision, with 95 % intervals, and the differences to the
    first run, whose intervals draw the same images for both.

    \b
    pose compare runs/unet runs/resnet_50
    pose compare runs/old runs/new --data new-animals --out comparison
    pose compare runs/unet --snapshot all
    """
    from pose_core.cli.tables import print_json, print_table
    from pose_core.errors import readable
    from pose_core.escapes import escape_line
    from pose_core.evaluation.compare import compare as measure

    result = measure(runs, data, out, device, batch_size, snapshot=snapshot)
    if json:
        print_json(result.to_json())
        return
    print(
        f"{len(result.images)} images, {result.labelled} labelled keypoints; errors in pixels of the images, 95 % "
        "intervals in brackets"
    )
    first, *others = result.runs
    metrics = list(result.runs[first].metrics)
    print_table(_make_rows(result), ["run", *metrics, "missing"])
    if others:
        print(f"\ndifference to {escape_line(first)}; an interval that holds 0 decides nothing")
        rows = [
            {"run": escape_line(name)}
            | {m: _write(m, result.runs[name].differences[m], signed=True) for m in metrics}
            for name in others
        ]
        print_table(rows, ["run", *metrics])
    for note in result.notes:
        print(f"note: {readable(note)}")
    if out is not None:
        print(f"table, plot and JSON: {escape_line(out)}")


def _make_rows(result: Comparison) -> list[dict[str, object]]:
    from pose_core.escapes import escape_line

    return [
        {"run": escape_line(name), "missing": run.missing}
        | {metric: _write(metric, value) for metric, value in run.metrics.items()}
        for name, run in result.runs.items()
    ]


def _write(metric: str, estimate: Estimate, *, signed: bool = False) -> str:
    if estimate.value is None:
        return "-"
    digits, sign = (2 if metric in _PIXELS else 3), "+" if signed else ""
    value = f"{estimate.value:{sign}.{digits}f}"
    if estimate.interval is None:
        return value
    low, high = (f"{bound:{sign}.{digits}f}" for bound in estimate.interval)
    return f"{value} [{low}, {high}]"
