"""Options of commands that use a run, or read and write predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder that 'pose train --out' made, or the name of a published network ('pose weights').",
        show_default=False,
    ),
]
MovedProject = Annotated[
    Path | None,
    typer.Option(
        metavar="PROJECT", help="Where the labelled project is now, if it was moved.", show_default=False
    ),
]
Snapshot = Annotated[
    str | None,
    typer.Option(
        metavar="N|best|last",
        help="Weights of epoch N, or of the last epoch, of which the run kept a snapshot (train.keep); by default "
        "the best.",
        show_default=False,
    ),
]
ComputeDevice = Annotated[
    str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
]
Runtime = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What computes the networks; 'pose runtimes' lists what is installed. By default as the run says, "
        "mostly auto: what was measured to be fastest here.",
        show_default=False,
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        metavar="32|16|8",
        help="Bits that pose networks compute with. 16: on a GPU, or a CPU with bfloat16. 8: on a CPU; calibrated with "
        "training images of the run, and compared with 32 bits on its validation images. By default as the run "
        "says.",
        show_default=False,
    ),
]
AcceptDrift = Annotated[
    bool | None,
    typer.Option(
        "--accept-drift/--no-accept-drift",
        help="Use --precision 16 or 8 even where it moves keypoints by more than half a pixel.",
        show_default=False,
    ),
]
ResultsFolder = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="Folder of the results; made if needed.", show_default=False),
]
ResultFormat = Annotated[
    str, typer.Option(metavar="FORMAT", help="File format of the results; 'pose writers' lists them.")
]
ReplaceResults = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")]
PredictionFile = Annotated[
    Path,
    typer.Argument(metavar="PREDICTIONS", help="File that 'pose predict' wrote.", show_default=False),
]
SharedWork = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="Folder that 'pose predict --engine' makes.", show_default=False),
]
