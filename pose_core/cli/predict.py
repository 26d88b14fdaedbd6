"""``pose predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import pose_core
from pose_core.cli.shared_options import (
    AcceptDrift,
    Bits,
    ComputeDevice,
    ReplaceResults,
    ResultFormat,
    ResultsFolder,
    RunFolder,
    Runtime,
    Snapshot,
)
from pose_core.cli.sources import with_sources


@with_sources("run", "file")
def predict(
    *,
    run: RunFolder,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO|IMAGES|FOLDER|PROJECT",
            help="Videos; image files (one sequence); folders of images (one sequence each) or of videos; files "
            "of labelled projects.",
            show_default=False,
        ),
    ],
    out: ResultsFolder,
    format: ResultFormat = "parquet",
    device: ComputeDevice = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Frames in a batch; by default as the run says.", show_default=False),
    ] = None,
    sources: dict[str, Path | None],
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="Look for an animal where it was in the frame before, and in the whole frame only when it is "
            "lost: faster, for one animal. Some methods follow several. By default as the run says.",
            show_default=False,
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]X1,Y1,X2,Y2",
            help="Predict this part of frames only, in whole pixels (X2 and Y2 are not in it); none: whole "
            "frames. Several with names (arenas of one video) give a result each. Results are in pixels of the "
            "whole frame. By default the crop of the project that the run was trained on, for videos.",
            show_default=False,
        ),
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE[:OVERLAP]|none",
            help="Look at large frames in overlapping tiles, each as at a frame of that size, in pixels of the "
            "frame; the overlap should be as long as an animal (by default a quarter of the size). none: whole "
            "frames. By default as the run says.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Keypoints with a lower score are reported as missing; by default as the run says.",
            show_default=False,
        ),
    ] = None,
    max_animals: Annotated[
        str | None,
        typer.Option(
            metavar="N|none",
            help="At most so many animals a frame, those with the highest scores; none: no limit. By default as "
            "many as the project has.",
            show_default=False,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting of the run, for this prediction, such as model.preprocess.scale=1; may be "
            "repeated. What training has fixed is refused.",
        ),
    ] = None,
    snapshot: Snapshot = None,
    runtime: Runtime = None,
    precision: Bits = None,
    accept_drift: AcceptDrift = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="RANGES|suggested|labelled",
            help="Ranges of frames, separated by commas: 100-200,250; 1000-2000:5 (each fifth); 500- (to the "
            "end); clip.mp4:100-200 (of one video). Frames keep their numbers. Or images of labelled "
            "projects: those suggested for labelling next (by default, for projects that are a file), or those "
            "that are labelled; every input is a project then.",
            show_default=False,
        ),
    ] = None,
    tracker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Say who is who when all frames are predicted, as 'pose track' does with this tracker; by default "
            "it is not said.",
            show_default=False,
        ),
    ] = None,
    animals: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --tracker: how many animals there are, as for 'pose track'.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Share the work among several processes that this engine starts, such as local; with settings: "
            "'{type: NAME, SETTING: VALUE}'. 'pose engines' lists what is installed. By default this process works "
            "alone.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --engine: how many processes; by default as many as it suggests.",
            show_default=False,
        ),
    ] = None,
    overwrite: ReplaceResults = False,
) -> None:
    """Predict videos and images with a trained model.

    Give an interrupted command again, and it goes on where it stopped. Frames that cannot be decoded are
    marked as missing in the result. Files of a folder that are not predicted are named before the work
    begins. The exit code is 0 if every input has a whole result, else 2; a line says which have not.
    """
    from pose_core.cli.terminal import TerminalReporter
    from pose_core.errors import DataError, VideoError, readable
    from pose_core.escapes import escape_line
    from pose_core.io.frame_ranges import count_ranges, describe_ranges
    from pose_core.io.names import describe_counts
    from pose_core.io.video_decoder import NO_KEY_FRAME
    from pose_core.prediction.result import Outcome
    from pose_core.specs.resolve import read_assignments

    reporter = TerminalReporter()
    failed: list[str] = []

    def show(name: str, outcome: Outcome | VideoError | DataError) -> None:
        """Names of results to standard output, everything else to standard error."""
        reporter.close()
        # One broken input does not stop the others; the exit code tells at the end.
        if not isinstance(outcome, Outcome):
            reporter.note(f"error: {readable(str(outcome))}")
            failed.append(name)
            return
        if outcome.timing is not None:
            reporter.note(f"{name}: {outcome.timing}")
        if outcome.missing:
            why = f" ({outcome.reason})" if outcome.reason else ""
            # Codecs predict frames from others, so damage spreads to frames that do decode.
            after = f" Frames {describe_ranges(outcome.doubtful)} refer to these and may be wrong."
            advice = "Predict an undamaged copy of the file"
            if outcome.reason == NO_KEY_FRAME:
                advice = "Cut the recording anew, from a key frame or with encoding"
            reporter.note(
                f"warning: {name}: {count_ranges(outcome.missing)} of {outcome.frames} frames could not be "
                "decoded "
                f"and are marked as missing: {describe_ranges(outcome.missing)}{why}."
                f"{after if outcome.doubtful else ''} {advice}, or go on without them."
            )
        # Flushed, so that a program behind a pipe can begin with the first result.
        print(escape_line(outcome.result), flush=True)

    try:
        outcomes = pose_core.predict(
            run,
            inputs,
            out,
            format=format,
            device=device,
            batch_size=batch_size,
            overwrite=overwrite,
            threshold=threshold,
            max_animals=max_animals,
            follow=follow,
            region=region,
            tiles=tiles,
            settings=read_assignments(assignments or []),
            snapshot=snapshot,
            runtime=runtime,
            precision=precision,
            accept_drift=accept_drift,
            frames=frames,
            tracker=tracker,
            animals=animals,
            engine=engine,
            workers=workers,
            reporter=reporter,
            finished=show,
            **sources,
        )
    except KeyboardInterrupt:
        reporter.close()
        reporter.note("stopped; what is done is kept: the same command goes on from there")
        raise
    finally:
        reporter.close()
    if failed and len(outcomes) > 1:
        reporter.note(
            f"{len(outcomes) - len(failed)} of {len(outcomes)} inputs were predicted, not: {describe_counts(failed)}"
        )
    if any(outcome is None or (isinstance(outcome, Outcome) and outcome.missing) for outcome in outcomes):
        raise typer.Exit(2)
