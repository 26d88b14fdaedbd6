"""``pose predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.sources import with_sources


@with_sources("run", "file")
def predict(
    *,
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that 'pose train --out' made.", show_default=False)
    ],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO|IMAGES|FOLDER...",
            help="Videos; image files (one sequence); folders of images (one sequence each) or of videos.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the results; made if needed.", show_default=False)
    ],
    format: Annotated[
        str,
        typer.Option(
            metavar="FORMAT", help="What is written: parquet, or a writer of a plugin ('pose writers' lists them)."
        ),
    ] = "parquet",
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Frames in a batch; by default as the run says.", show_default=False)
    ] = None,
    sources: dict[str, Path | None],
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="Start from the poses of the last frame. One animal: look at a crop around it, and at the whole frame "
            "when it is lost. Methods of plugins may follow several animals so. By default as the run says.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")] = False,
) -> None:
    """Predict videos and images with a trained model.

    An interrupted command goes on where it stopped when it is given again. Frames that cannot be decoded are in the
    result, marked as missing; the exit code is 2 then.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from pose_core.errors import DataError, VideoError, readable
    from pose_core.io.frame_ranges import count_ranges, describe_ranges
    from pose_core.prediction.job import Outcome
    from pose_core.prediction.predict_paths import Observer, predict_paths

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    )

    class Screen(Observer):
        """Progress and notes on standard error, the results' names on standard output."""

        task: TaskID | None = None
        began_at = 0

        def begin(self, name: str, frames: int) -> None:
            self.task = bar.add_task(Path(name).name, total=frames, rate="")
            self.began_at = -1

        def progress(self, done: int) -> None:
            assert self.task is not None
            if self.began_at < 0:
                self.began_at = done
            elapsed = bar.tasks[-1].elapsed or 0.0
            rate = f"{(done - self.began_at) / elapsed:.1f} frames/s" if elapsed and done > self.began_at else ""
            bar.update(self.task, completed=done, rate=rate)

        def note(self, line: str) -> None:
            console.print(line)

        def done(self, name: str, outcome: Outcome) -> None:
            self._end()
            if outcome.timing is not None:
                console.print(f"{name}: {outcome.timing}")
            if outcome.missing:
                why = f" ({outcome.reason})" if outcome.reason else ""
                after = f" Frames {describe_ranges(outcome.doubtful)} refer to these and may be wrong."
                console.print(
                    f"warning: {name}: {count_ranges(outcome.missing)} of {outcome.frames} frames could not be decoded "
                    f"and are marked as missing: {describe_ranges(outcome.missing)}{why}."
                    f"{after if outcome.doubtful else ''} Predict an undamaged copy of the file, or go on without them."
                )
            print(outcome.result, flush=True)

        def failed(self, name: str, error: VideoError | DataError) -> None:
            self._end()
            console.print(f"error: {readable(str(error))}")

        def _end(self) -> None:
            if self.task is not None:
                bar.remove_task(self.task)
                self.task = None

    try:
        with bar:
            outcomes = predict_paths(
                run,
                inputs,
                out,
                format=format,
                device=device,
                batch_size=batch_size,
                overwrite=overwrite,
                follow=follow,
                observer=Screen(),
                **sources,
            )
    except KeyboardInterrupt:
        console.print("stopped; what is done is kept: the same command goes on from there")
        raise
    if any(outcome is None or outcome.missing for outcome in outcomes):
        raise typer.Exit(2)
