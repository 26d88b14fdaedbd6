"""``pose track``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.shared_options import ReplaceResults, ResultFormat, ResultsFolder


def track(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS",
            help="Files that 'pose predict' or another tool wrote, or folders of them.",
            show_default=False,
        ),
    ],
    out: ResultsFolder,
    tracker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A tracker ('pose trackers' lists them), or {type: NAME, setting: value}; by default the "
            "recommended one.",
            show_default=False,
        ),
    ] = None,
    animals: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many animals there are: pieces of the whole video are joined to so many tracks, never more. "
            "By default animals may come and go.",
            show_default=False,
        ),
    ] = None,
    format: ResultFormat = "parquet",
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Predictions of the same frames with the right tracks or identities; metrics are printed "
            "and a timeline of who was found as whom is drawn then.",
            show_default=False,
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Corrections: a CSV file with the columns frame, track, should_be; from that frame on, what is track "
            "T without this file is animal S.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Write a page beside each result: who was where when, and pictures of the moments in which a swap "
            "is likely.",
        ),
    ] = False,
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The video or folder of images that was predicted, where it is no longer at its place: for trackers "
            "that need images; with others for a report, which is written then.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print results, counts and metrics as JSON.")] = False,
    overwrite: ReplaceResults = False,
) -> None:
    """Say who is who in stored predictions, without the network.

    \b
    pose track predictions/clip.parquet --animals 3 --out tracks
    """
    from dataclasses import asdict

    from pose_core.cli.tables import print_json, print_table
    from pose_core.cli.terminal import TerminalReporter
    from pose_core.errors import DataError, readable
    from pose_core.escapes import escape_line
    from pose_core.tracking.doubts_file import describe_doubts, name_doubts
    from pose_core.tracking.track import TrackOutcome
    from pose_core.tracking.track import track as track_predictions

    reporter = TerminalReporter()

    def show(name: str, outcome: TrackOutcome | DataError) -> None:
        """Names of results to standard output, everything else to standard error."""
        reporter.close()
        if not isinstance(outcome, TrackOutcome):
            reporter.note(f"error: {readable(str(outcome))}")
            return
        counts = outcome.counts
        many = "1 track" if counts.tracks == 1 else f"{counts.tracks} tracks"
        line = f"{name}: {many} in {counts.frames} frames"
        if counts.without:
            line += f"; {counts.without} of {counts.animals} animals found have none"
        reporter.note(f"{line}; {describe_doubts(outcome.result, outcome.doubts)}")
        if outcome.report is not None:
            reporter.note(f"report: {escape_line(outcome.report)}")
        if not json:
            print(escape_line(outcome.result), flush=True)

    try:
        outcomes = track_predictions(
            predictions,
            out,
            tracker=tracker,
            animals=animals,
            format=format,
            truth=truth,
            fix=fix,
            report=report,
            video=video,
            overwrite=overwrite,
            reporter=reporter,
            finished=show,
        )
    finally:
        reporter.close()
    done = [outcome for outcome in outcomes if outcome is not None]
    if json:
        print_json(
            [
                {
                    "result": str(outcome.result),
                    "counts": asdict(outcome.counts),
                    "doubts": {
                        "file": str(name_doubts(outcome.result)),
                        "listed": len(outcome.doubts.found),
                        "left_out": outcome.doubts.left_out,
                    },
                    "report": outcome.report and str(outcome.report),
                    "metrics": outcome.metrics and asdict(outcome.metrics),
                    "timeline": outcome.timeline and str(outcome.timeline),
                }
                for outcome in done
            ]
        )
    elif done and (measured := done[0].metrics) is not None:
        rows = [
            {
                "similarity": name,
                "HOTA": f"{scores.hota:.4f}",
                "DetA": f"{scores.deta:.4f}",
                "AssA": f"{scores.assa:.4f}",
                "IDF1": f"{scores.idf1:.4f}",
                "MOTA": f"{scores.mota:.4f}",
                "switches": scores.switches,
                "per 1,000": f"{scores.switches_per_1000:.2f}",
                "fragments": scores.fragments,
            }
            for name, scores in (("keypoints", measured.keypoints), ("boxes", measured.boxes))
        ]
        print_table(rows, tuple(rows[0]))
    if len(done) < len(outcomes):
        raise typer.Exit(2)
