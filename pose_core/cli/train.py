"""``pose train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_core.cli.sources import with_networks
from pose_core.cli.training_options import (
    Assignments,
    BatchSize,
    ConfigFile,
    Device,
    Devices,
    Epochs,
    Keypoints,
    MaxTime,
    ModelName,
    Precision,
    Project,
    Seed,
    StartWeights,
    split_names,
)

if TYPE_CHECKING:
    from pose_core.runs.run_folder import Run
    from pose_core.specs import AnyRunSpec


@with_networks
def train(
    *,
    data: Project,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run; made if needed.")],
    model: ModelName = None,
    sources: dict[str, str | None],
    config: ConfigFile = None,
    assignments: Assignments = None,
    weights: StartWeights = None,
    epochs: Epochs = None,
    max_time: MaxTime = None,
    batch_size: BatchSize = None,
    device: Device = None,
    devices: Devices = None,
    precision: Precision = None,
    seed: Seed = None,
    keypoints: Keypoints = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint in --out; where there is none, start."),
    ] = False,
) -> None:
    """Train a model on a labelled project.

    The result is a run: a folder with all that is needed to evaluate the model, to predict with it and to
    train it further. A setting of one network (--set stages.detector.train.epochs=3) wins over an option.

    \b
    pose train PROJECT --out runs/first
    pose train PROJECT --model top_down_unet --detector ssdlite --out runs/several
    """
    import os

    # torch's C++ warnings about DDP speak to programmers; it reads this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from pose_core.cli.terminal import TerminalReporter
    from pose_core.escapes import escape_line
    from pose_core.processes import is_first
    from pose_core.training.options import TrainOptions
    from pose_core.training.train_project import train_project

    reporter = TerminalReporter(lines="training")
    try:
        run = train_project(
            data,
            model,
            out=out,
            networks={name: given for name, given in sources.items() if given is not None},
            config=config,
            assignments=assignments or [],
            options=TrainOptions(
                weights,
                epochs,
                max_time,
                batch_size,
                device,
                devices,
                precision,
                seed,
                split_names(keypoints),
            ),
            resume=resume,
            reporter=reporter,
        )
    finally:
        reporter.close()
    # With several devices each process comes to this line.
    if is_first():
        print(f"{escape_line(out)}: trained; next: {_advise_next(run)}")


def _advise_next(run: Run[AnyRunSpec]) -> str:
    from pose_core.catalog import get_catalog
    from pose_core.specs import RunSpec
    from pose_core.specs.run import list_answers

    evaluate = f"pose evaluate {run.path}"
    spec = run.spec
    if not isinstance(spec, RunSpec):
        return f"{evaluate}, or pose train DATA --model NAME --detector {run.path} --out RUN"
    # Without test images an evaluation would have nothing to measure.
    following = evaluate if run.provenance["split"]["test"] else f"pose predict {run.path} VIDEO --out FOLDER"
    needs = [need for stage in spec.inference.stages.values() for need in stage.needs()]
    if needs and not spec.stages and spec.skeleton.num_individuals > 1:
        answers = list_answers(needs[0], spec)
        suppliers = [
            s for gives in answers for s in get_catalog().suppliers(gives) if "labels" not in s.takes
        ]
        sources = [f"--{s.name} {s.metavar}" for s in suppliers]
        return f"{following}; to predict videos it needs {needs[0]}: {' or '.join(sources)}"
    return following
