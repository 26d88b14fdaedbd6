"""``pose demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo; made if needed.")] = Path("demo"),
    model: Annotated[
        str | None, typer.Option(help="Name of a model for one animal; needed if several are installed.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the scenes and of the training.")] = 0,
    images: Annotated[int, typer.Option(min=10, help="Labelled images.")] = 144,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of the video.")] = 10.0,
    max_time: Annotated[str, typer.Option(help="Longest time of the training: 90s, 3m.")] = "150s",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo in the folder.")] = False,
) -> None:
    """Render a synthetic animal, train on it, predict a video, and write a report: everything in four minutes."""
    import os

    # Threads that spin while they wait for one another make training several times slower as soon as another program
    # wants the processor. Must be set before torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")

    from rich.console import Console

    from pose_core.cli.demo_run import DemoOptions, run_demo

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    options = DemoOptions(out, model, seed, images, seconds, max_time, epochs, device)
    for line in run_demo(options, console, overwrite=overwrite):
        print(line)
