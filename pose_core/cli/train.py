"""``pose train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The labelled project: its folder or its file.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run; made if needed.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of a model; 'pose models' lists them. Needed unless --config, --weights or --detector says what "
            "is trained.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|RUN",
            help="Detector of a top-down model: a name ('pose detectors' lists them) trains it first, a folder of a "
            "trained one is taken as it is. Without --model, only the detector is trained.",
        ),
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Models that refine poses (ctd_...): the trained bottom-up model that finds them; it becomes part of "
            "the run.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML file with settings, as few as you like; 'pose schema' describes it."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting, such as train.optimizer.lr=0.001; may be repeated."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|RUN|none",
            help="Weights to start from: a name ('pose weights' lists them), a file, a run folder (its model is taken "
            "where --model is left out), or none: random ones, nothing is downloaded.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="Stop after this time: 90s, 10m, 2h.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Images in a step, on each device.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(metavar="N", help="Number of devices; above 1 trains in as many processes (DDP).")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="PRECISION", help="Arithmetic: 32, 16-mixed or bf16-mixed.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of initial weights, split, order and augmentation.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
) -> None:
    """Train a model on a labelled project.

    A run is a folder with all that is needed to evaluate it, to predict with it, and to train on.

    \b
    pose train PROJECT --model unet --out runs/first
    pose train PROJECT --model top_down_unet --detector ssdlite --out runs/several
    """
    import os

    # torch's C++ warnings about DDP speak to programmers; it reads this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from rich.console import Console

    from pose_core.specs.resolve import option_layer
    from pose_core.training.prepare import names_a_model, prepare, prepare_detector

    console = Console(stderr=True, markup=False, emoji=False, quiet=int(os.environ.get("LOCAL_RANK", "0")) > 0)
    layers: Any = {
        "config": config,
        "assignments": assignments or [],
        "options": option_layer(
            [
                ("--weights", "train.weights", weights),
                ("--epochs", "train.epochs", epochs),
                ("--max-time", "train.max_time", max_time),
                ("--batch-size", "train.batch_size", batch_size),
                ("--device", "train.device", device),
                ("--devices", "train.devices", devices),
                ("--precision", "train.precision", precision),
                ("--seed", "train.seed", seed),
            ]
        ),
    }
    if detector is not None and model is None and not names_a_model(config, assignments or []):
        _check_is_a_name(detector)
        _train_detector_alone(prepare_detector(data, detector, **layers), out, resume, console)
        return
    prepared = prepare(data, model, detector=detector, **layers)
    from pose_core.training.train_run import train_run

    _tell(prepared, console)
    spec, split = prepared.spec, prepared.split
    try:
        run = train_run(
            prepared,
            out,
            detector=Path(detector) if detector else None,
            conditions=conditions,
            resume=resume,
            console=console,
        )
    except KeyboardInterrupt:
        console.print(f"the same command with --resume goes on from the last checkpoint in {out}", highlight=False)
        raise
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        best = run.metrics().get("best", {})
        if "validation_error_px" in best:
            console.print(
                f"best validation error {best['validation_error_px']:.2f} px at epoch {best['epoch']}", highlight=False
            )
        following = f"pose evaluate {out}" if split.test else f"pose predict {out} VIDEO --out FOLDER"
        if spec.model.inputs:
            if conditions is None:
                following += ", with --conditions RUN, a trained bottom-up model"
        elif spec.model.preprocess.view == "animal" and spec.detector is None and spec.skeleton.num_individuals > 1:
            following += "; to predict videos it needs a detector (--detector) or boxes (--boxes)"
        print(f"{out}: trained; next: {following}")


def _tell(prepared: Any, console: Any) -> None:
    """What is about to be trained."""
    from pose_core.errors import readable

    for note in prepared.notes:
        console.print(f"note: {readable(note)}", highlight=False, soft_wrap=True)
    spec, split = prepared.spec, prepared.split
    name = spec.network.type if hasattr(spec, "network") else spec.model.name
    console.print(
        f"{name} on {prepared.dataset.name}: {len(split.train)} training, {len(split.validation)} validation and "
        f"{len(split.test)} test images, {spec.train.epochs} epoch{'' if spec.train.epochs == 1 else 's'}",
        highlight=False,
        soft_wrap=True,
    )


def _check_is_a_name(detector: str) -> None:
    """A folder is a trained detector, which a pose network can use; by itself there is nothing to train with it."""
    from pose_core.catalog import get_catalog
    from pose_core.errors import ConfigError

    known = get_catalog().components("detector")
    if Path(detector).is_dir() and not any(detector in (c.name, c.full_name) for c in known):
        raise ConfigError(
            f"--detector {detector}: is a folder; add --model NAME to train a pose network with that detector, or name "
            f"a detector to train and start it with --weights {detector}"
        )


def _train_detector_alone(prepared: Any, out: Path, resume: bool, console: Any) -> None:
    import os

    from pose_core.training.fit import train_detector

    _tell(prepared, console)
    try:
        run = train_detector(prepared, out, resume=resume, console=console)
    except KeyboardInterrupt:
        console.print(f"the same command with --resume goes on from the last checkpoint in {out}", highlight=False)
        raise
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        best = run.metrics().get("best", {})
        if "validation_box_error" in best:
            console.print(
                f"best validation box error (1 - IoU) {best['validation_box_error']:.3f} at epoch {best['epoch']}",
                highlight=False,
            )
        print(f"{out}: trained; next: pose evaluate {out}, or pose train DATA --model NAME --detector {out} --out RUN")
