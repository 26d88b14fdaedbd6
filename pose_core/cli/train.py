"""``pose train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The labelled project: its folder or its file.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run; made if needed.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of a model; 'pose models' lists them.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file with settings; 'pose schema' describes it.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting, such as train.optimizer.lr=0.001; may be repeated."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="Stop after this time: 90s, 10m, 2h.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Images a step.")] = None,
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")] = None,
    devices: Annotated[
        int | None, typer.Option(metavar="N", help="Number of devices; above 1 trains with DDP.")
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="PRECISION", help="32, 16-mixed or bf16-mixed.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of weights, split, order and augmentation.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
) -> None:
    """Train a model on a labelled project."""
    import os

    # torch's C++ warnings about DDP speak to programmers; it reads this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from rich.console import Console

    from pose_core.specs.resolve import option_layer
    from pose_core.train.prepare import prepare

    console = Console(stderr=True, quiet=int(os.environ.get("LOCAL_RANK", "0")) > 0)
    prepared = prepare(
        data,
        model,
        config=config,
        assignments=assignments or [],
        options=option_layer(
            [
                ("--epochs", "train.epochs", epochs),
                ("--max-time", "train.max_time", max_time),
                ("--batch-size", "train.batch_size", batch_size),
                ("--device", "train.device", device),
                ("--devices", "train.devices", devices),
                ("--precision", "train.precision", precision),
                ("--seed", "train.seed", seed),
            ]
        ),
    )
    from pose_core.train.fit import train_model

    for note in prepared.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    spec, split = prepared.spec, prepared.split
    console.print(
        f"{spec.model.name} on {prepared.dataset.name}: {len(split.train)} training, "
        f"{len(split.validation)} validation and {len(split.test)} test images, {spec.train.epochs} epochs",
        highlight=False,
        soft_wrap=True,
    )
    try:
        run = train_model(prepared, out, resume=resume, console=console)
    except KeyboardInterrupt:
        console.print(f"the same command with --resume goes on from the last checkpoint in {out}", highlight=False)
        raise
    best = run.metrics()["best"]
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        if "validation_error_px" in best:
            console.print(
                f"best validation error {best['validation_error_px']:.2f} px at epoch {best['epoch']}", highlight=False
            )
        following = f"pose evaluate {out}" if split.test else f"pose predict {out} VIDEO --out FOLDER"
        print(f"{out}: trained; next: {following}")
