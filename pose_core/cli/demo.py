"""``pose demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the demo; made if needed.")] = Path(
        "demo"
    ),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of a model for one animal; needed where several are installed."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the scenes and of the training.")
    ] = 0,
    images: Annotated[int, typer.Option(min=10, metavar="N", help="Number of labelled images.")] = 144,
    seconds: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="Length of the video.")] = 10.0,
    max_time: Annotated[
        str, typer.Option(metavar="TIME", help="Longest time of the training: 90s, 3m.")
    ] = "150s",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Passes over the training images.", show_default=False),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = "cpu",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier demo in the folder.")
    ] = False,
) -> None:
    """Train on a synthetic animal, and write a report.

    It renders labelled images and a video, trains on the images, measures the result, predicts the video and
    draws the predictions into it: about four minutes on a CPU.
    """
    import os

    # Threads that spin while they wait for one another make training several times slower as soon as another
    # program wants the processor. Must be set before torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")

    from pose_core.cli.terminal import TerminalReporter
    from pose_core.demo.run import DemoOptions, run_demo

    # Lines where there is no terminal: a log without a sign of life for minutes looks like a hang.
    reporter = TerminalReporter(lines="training")
    options = DemoOptions(out, model, seed, images, seconds, max_time, epochs, device)
    try:
        lines = run_demo(options, reporter, overwrite=overwrite)
    finally:
        reporter.close()
    print("\n".join(lines))
