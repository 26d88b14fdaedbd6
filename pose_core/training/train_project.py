"""A labelled project -> a trained run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from pose_core.errors import readable
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyRunSpec
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.prepared import Prepared
from pose_core.training.task import TASKS
from pose_core.training.train_run import train_run


def train_project(
    project: Path,
    model: str | None = None,
    *,
    out: Path,
    networks: Mapping[str, str] | None = None,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    options: TrainOptions | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Run[AnyRunSpec]:
    """Train a model, and the networks that it builds on, on a labelled project.

    Args:
        project, model, networks, config, assignments, options: see :func:`pose_core.training.prepare.prepare`.
        out: the run folder; made if needed.
        resume: go on from the last checkpoints in ``out``.
        console: where notes and progress are shown; standard error by default.

    Raises:
        PoseError: the project, a name, a setting or the run folder cannot be used, or training cannot go on.
    """
    console = console or Console(stderr=True, markup=False, emoji=False, quiet=_rank() > 0)
    prepared = prepare(project, model, networks=networks, config=config, assignments=assignments, options=options)
    _announce(prepared, console)
    try:
        run = train_run(prepared, out, resume=resume, console=console)
    except KeyboardInterrupt:
        console.print(f"the same command with --resume goes on from the last checkpoint in {out}", highlight=False)
        raise
    if _rank() == 0:
        metric, best = TASKS[run.spec.trains].metric, run.metrics().get("best", {})
        if metric.key in best:
            value = f"{best[metric.key]:.{metric.digits}f}{metric.unit}"
            console.print(f"best {metric.label} {value} at epoch {best['epoch']}", highlight=False)
    return run


def _announce(prepared: Prepared[AnyRunSpec], console: Console) -> None:
    for note in prepared.notes:
        console.print(f"note: {readable(note)}", highlight=False, soft_wrap=True)
    spec, split = prepared.spec, prepared.split
    console.print(
        f"{spec.name} on {prepared.dataset.name}: {len(split.train)} training, {len(split.validation)} validation and "
        f"{len(split.test)} test images, {spec.train.epochs} epoch{'' if spec.train.epochs == 1 else 's'}",
        highlight=False,
        soft_wrap=True,
    )


def _rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))
