"""Options of commands that make the configuration of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[
    Path, typer.Argument(metavar="DATA", help="The labelled project: its folder or its file.")
]
TestData = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|PROJECT",
        help="Another labelled project, whose images are the test images; it has the same keypoints.",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name of a model; 'pose models' lists them. Left out, and without --config, --weights or "
        "--detector, one is chosen that suits the labels and this machine.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="YAML file with the settings you want to change; 'pose schema' describes it."
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, such as train.optimizer.lr=0.001; may be repeated.",
    ),
]
StartWeights = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE|RUN|none",
        help="Weights to start from: a name ('pose weights' lists them), a file, a run folder (which also "
        "says the model, where --model is left out), or none for random weights without a download.",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(metavar="N", help="Passes over the training images; for each network that is trained."),
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Stop training after this time: 90s, 10m, 2h. Several networks share it evenly.",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Images in a training step, shared by all devices; for each network that is trained.",
    ),
]
Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
]
Devices = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Number of devices of a machine to train on, each in a process of its own."
    ),
]
Nodes = Annotated[
    int | None,
    typer.Option(
        metavar="M",
        help="Number of machines that train together; srun or torchrun starts the command on each of them.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(metavar="PRECISION", help="Precision of the arithmetic: 32, 16-mixed or bf16-mixed."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Seed of everything random: initial weights, split, order and augmentation."
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...",
        help="Train once for each of these seeds, into folders of their own in --out; a table at the end says how "
        "much the result depends on the seed.",
    ),
]
Keypoints = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="Learn and measure these keypoints of the project only.",
        show_default=False,
    ),
]
Replay = Annotated[
    bool,
    typer.Option(
        "--replay",
        help="Memory replay: keep all keypoints of the run that --weights names, and learn those that the project "
        "does not label from that run's own predictions.",
    ),
]


def split_names(names: str | None) -> list[str] | None:
    """Split names with commas between them."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]
