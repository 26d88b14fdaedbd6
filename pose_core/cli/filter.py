"""``pose filter``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.shared_options import ReplaceResults, ResultFormat, ResultsFolder


def filter_(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS",
            help="Files with tracks, of 'pose track' or another tool, or folders of them.",
            show_default=False,
        ),
    ],
    filter: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="A filter ('pose filters' lists them), or {type: NAME, setting: value}; several are applied one after "
            "another.",
            show_default=False,
        ),
    ],
    out: ResultsFolder,
    format: ResultFormat = "parquet",
    json: Annotated[bool, typer.Option("--json", help="Print results and counts as JSON.")] = False,
    overwrite: ReplaceResults = False,
) -> None:
    """Smooth tracks and fill their gaps in; the originals stay.

    \b
    pose filter tracks/clip.parquet --filter interpolate --filter median --out filtered
    """
    from dataclasses import asdict

    from pose_core.cli.tables import print_json
    from pose_core.cli.terminal import TerminalReporter
    from pose_core.errors import DataError, readable
    from pose_core.escapes import escape_line
    from pose_core.tracking.filter import FilterOutcome, filter_predictions

    reporter = TerminalReporter()

    def show(name: str, outcome: FilterOutcome | DataError) -> None:
        """Names of results to standard output, everything else to standard error."""
        reporter.close()
        if not isinstance(outcome, FilterOutcome):
            reporter.note(f"error: {readable(str(outcome))}")
            return
        counts = outcome.counts
        line = f"{name}: of {counts.keypoints} keypoints {counts.moved} moved, {counts.removed} removed; "
        reporter.note(f"{line}{counts.filled} filled in")
        if not json:
            print(escape_line(outcome.result), flush=True)

    try:
        outcomes = filter_predictions(
            predictions,
            out,
            filter=filter,
            format=format,
            overwrite=overwrite,
            reporter=reporter,
            finished=show,
        )
    finally:
        reporter.close()
    done = [outcome for outcome in outcomes if outcome is not None]
    if json:
        print_json([{"result": str(one.result), "counts": asdict(one.counts)} for one in done])
    if len(done) < len(outcomes):
        raise typer.Exit(2)
