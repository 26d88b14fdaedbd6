"""A labelled project -> a trained run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pose_core.errors import argument, readable
from pose_core.processes import is_first
from pose_core.reporting import Reporter, current_reporter
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
    reporter: Reporter | None = None,
) -> Run[AnyRunSpec]:
    """Train a model, and the networks that it builds on, on a labelled project.

    Args:
        project, model, networks, config, assignments, options: see :func:`pose_core.training.prepare.prepare`.
        out: the run folder; made if needed.
        resume: go on from the last checkpoints in ``out``.
        reporter: is told how it goes.

    Raises:
        PoseError: the project, a name, a setting or the run folder cannot be used, or training cannot go on.
    """
    reporter = reporter or current_reporter()
    prepared = prepare(project, model, networks=networks, config=config, assignments=assignments, options=options)
    _announce(prepared, reporter)
    try:
        run = train_run(prepared, out, resume=resume, reporter=reporter)
    except KeyboardInterrupt:
        reporter.note(
            f"the same command with {argument('resume', True)} goes on from the last checkpoint in {out}",
        )
        raise
    if is_first():
        metric, best = TASKS[run.spec.trains].metric, run.metrics().get("best", {})
        if metric.key in best:
            value = f"{best[metric.key]:.{metric.digits}f}{metric.unit}"
            reporter.note(f"best {metric.label} {value} at epoch {best['epoch']}")
    return run


def _announce(prepared: Prepared[AnyRunSpec], reporter: Reporter) -> None:
    for note in prepared.notes:
        reporter.note(f"note: {readable(note)}")
    spec, split = prepared.spec, prepared.split
    reporter.note(
        f"{spec.name} on {prepared.dataset.name}: {len(split.train)} training, {len(split.validation)} validation and "
        f"{len(split.test)} test images, {spec.train.epochs} epoch{'' if spec.train.epochs == 1 else 's'}",
    )
