"""``pose adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.sources import with_sources
from pose_core.cli.training_options import Assignments, BatchSize, Device, MaxTime, Seed


@with_sources("run")
def adapt(
    *,
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of the trained model.", show_default=False)
    ],
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", help="Videos that nobody labelled.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(metavar="RUN", help="Folder of the new run; made if needed.", show_default=False)
    ],
    frames: Annotated[
        int, typer.Option(metavar="N", help="Frames that are predicted, of all videos together.")
    ] = 200,
    threshold: Annotated[
        float, typer.Option(metavar="SCORE", help="Smallest score of a keypoint that becomes a label.")
    ] = 0.5,
    sources: dict[str, Path | None],
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2",
            help="Look at this part of frames only, in whole pixels (X2 and Y2 are not in it); none: whole frames. By "
            "default the crop of the project that the run was trained on.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", help="Passes over the frames.")] = 10,
    max_time: MaxTime = None,
    batch_size: BatchSize = None,
    device: Device = None,
    seed: Seed = None,
    assignments: Assignments = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint in --out; where there is none, start."),
    ] = False,
) -> None:
    """Train a model further on videos by its own confident predictions.

    For videos that look a little different from what the model was trained on (another camera, other light). The
    labels are predictions, kept in the new run as a project; evaluate with labels of your own.

    \b
    pose adapt runs/first new.mp4 --out runs/adapted
    pose adapt runs/first new.mp4 newer.mp4 --frames 400 --threshold 0.7 --out runs/adapted
    pose evaluate runs/adapted --split all --data PROJECT
    """
    import os

    # torch's C++ warnings about DDP speak to programmers; it reads this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from pose_core.adaptation.adapt import adapt_run
    from pose_core.cli.terminal import TerminalReporter
    from pose_core.escapes import escape_line
    from pose_core.processes import is_first
    from pose_core.training.options import TrainOptions

    reporter = TerminalReporter(lines="training")
    try:
        adapt_run(
            run,
            videos,
            out,
            frames,
            threshold,
            TrainOptions(
                weights=str(run),
                epochs=epochs,
                max_time=max_time,
                batch_size=batch_size,
                device=device,
                seed=seed,
            ),
            region=region,
            assignments=assignments or [],
            resume=resume,
            sources=sources,
            reporter=reporter,
        )
    finally:
        reporter.close()
    # With several devices each process comes to this line.
    if is_first():
        print(
            f"{escape_line(out)}: adapted; next: pose evaluate {escape_line(out)} --split all --data PROJECT, "
            f"or pose predict {escape_line(out)} VIDEO --out FOLDER"
        )
