"""Train on a labelled project: from what a user says to a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_core.errors import argument, readable
from pose_core.processes import is_first
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.run_folder import CONFIG, Run
from pose_core.specs import AnyRunSpec
from pose_core.specs.resolve import write_value
from pose_core.training.early_checks import check_early
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.prepared import Prepared
from pose_core.training.task import TASKS
from pose_core.training.train_run import train_run
from pose_core.training.written import Written


def train(
    project: Path | str,
    model: str | None = None,
    *,
    out: Path | str,
    config: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    weights: str | None = None,
    epochs: int | None = None,
    max_time: float | str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    devices: int | None = None,
    nodes: int | None = None,
    precision: str | None = None,
    seed: int | None = None,
    keypoints: Sequence[str] | None = None,
    test_data: Path | str | None = None,
    replay: bool = False,
    resume: bool = False,
    **networks: Path | str | None,
) -> Run[AnyRunSpec]:
    """Train a model on a labelled project; ``pose train`` in Python, with the same defaults.

    Args:
        project: the labelled project: its folder or its file.
        model: name of a model; where it is left out, and ``config``, ``weights`` or a detector does not say
            what is trained, one is chosen that suits the labels and this machine.
        out: folder of the run; made if needed.
        config: YAML file with settings.
        settings: by their keys, ``{"train.optimizer.lr": 1e-3}``; they win over ``config``.
        weights: to start from: a name, a file, a run folder, or ``none``: random ones.
        epochs: passes over the training images, for each network that is trained.
        max_time: seconds, or a text such as ``10m``; several networks share it evenly.
        batch_size: images a step, shared by all devices, for each network that is trained.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        devices: number of devices of each machine; more than one train in as many processes.
        nodes: number of machines, on each of which this is called, started by srun or torchrun.
        precision: ``32``, ``16-mixed`` or ``bf16-mixed``.
        seed: of initial weights, split, order and augmentation.
        keypoints: names of those of the project that are learned; all by default.
        test_data: another labelled project, whose images are the test images; it has the same keypoints.
        replay: memory replay: the model has all keypoints of the run that ``weights`` names, and learns those that
            the project does not label from predictions of that run.
        resume: go on from the last checkpoint in ``out``.
        networks: that the model builds on, by the name of what they supply: ``detector="ssdlite"`` trains one
            first, ``detector="runs/detector"`` takes a trained one. What is said of one of them in
            ``settings`` (``stages.detector.train.epochs``) wins over the arguments above.

    Returns:
        the trained run.

    Raises:
        PoseError: the project, a name, a setting or the run folder cannot be used, or training cannot go on.
    """
    return train_project(
        Path(project),
        model,
        out=Path(out),
        networks={name: str(given) for name, given in networks.items() if given is not None},
        config=None if config is None else Path(config),
        assignments=[f"{key}={write_value(value)}" for key, value in (settings or {}).items()],
        options=TrainOptions(
            weights=weights,
            epochs=epochs,
            max_time=max_time,
            batch_size=batch_size,
            device=device,
            devices=devices,
            nodes=nodes,
            precision=precision,
            seed=seed,
            keypoints=keypoints,
            test_data=test_data,
            replay=replay,
        ),
        resume=resume,
    )


def train_project(
    project: Path,
    model: str | None = None,
    *,
    out: Path,
    networks: Mapping[str, str] | None = None,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    options: TrainOptions | None = None,
    known: Sequence[str] = (),
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Run[AnyRunSpec]:
    """Train a model, and the networks that it builds on, on a labelled project.

    Args:
        project, model, networks, config, assignments, options, known: see
            :func:`pose_core.training.prepare.prepare`.
        out: the run folder; made if needed.
        resume: go on from the last checkpoints in ``out``.
        reporter: is told how it goes.

    Raises:
        PoseError: the project, a name, a setting or the run folder cannot be used, or training cannot go on.
    """
    reporter = reporter or current_reporter()
    # Of several processes one looks: the others would find the run that it makes meanwhile.
    if is_first():
        written = Written.read(config, assignments, options or TrainOptions())
        check_early(written, model, networks or {}, out, resume=resume)
        if resume and not (out / CONFIG).is_file():
            reporter.note(f"note: {out}: holds no run to go on with; training starts from the beginning")
    prepared = prepare(
        project,
        model,
        networks=networks,
        config=config,
        assignments=assignments,
        options=options,
        known=known,
    )
    _announce(prepared, reporter)
    try:
        run = train_run(prepared, out, resume=resume, reporter=reporter)
    except KeyboardInterrupt:
        reporter.note(
            f"the same command with {argument('resume', True)} goes on from the last checkpoint in {out}",
        )
        raise
    if is_first():
        metric = TASKS[run.spec.trains].METRICS[run.spec.train.select]
        best = run.metrics().get("best", {})
        if metric.key in best:
            value = metric.describe(best[metric.key])
            reporter.note(f"best {metric.label} {value} at epoch {best['epoch']}")
    return run


def _announce(prepared: Prepared[AnyRunSpec], reporter: Reporter) -> None:
    for note in prepared.notes:
        reporter.note(f"note: {readable(note)}")
    spec, split, test = prepared.spec, prepared.split, len(prepared.test_names)
    epochs = f"{spec.train.epochs} epoch{'' if spec.train.epochs == 1 else 's'}"
    reporter.note(
        f"{spec.name} on {prepared.dataset.name}: {len(split.train)} training, {len(split.validation)} "
        f"validation and {test} test images, {epochs}",
    )
