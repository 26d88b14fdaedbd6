"""Train a model and the networks that it builds on into one run folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pose_core.catalog.merge import merge
from pose_core.errors import ConfigError, RunError, argument, command
from pose_core.io.files import disk_errors
from pose_core.model.weights import file_hash
from pose_core.processes import is_first
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.new_run import check_new_run
from pose_core.runs.run_folder import CONFIG, STAGES, WEIGHTS, Run
from pose_core.specs import AnyRunSpec, RunBase, TrainSpec
from pose_core.specs.run import stage_of_run
from pose_core.specs.yaml_file import validate_as
from pose_core.training.cluster import check_processes
from pose_core.training.fit import check_resumable, train_network
from pose_core.training.prepared import Prepared

S = TypeVar("S", bound=RunBase)


def train_run(
    prepared: Prepared[S], out: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> Run[S]:
    """Train a network, and before it those that it builds on, into ``stages/`` of the run folder.

    Args:
        prepared: see :func:`pose_core.training.prepare.prepare`.
        out: the run folder.
        resume: go on where each of them stopped.
        reporter: is told how it goes.

    Raises:
        ConfigError: several devices are asked for, and more than one network is to be trained.
        PoseError: see :func:`pose_core.training.fit.train_network`.
    """
    reporter = reporter or current_reporter()
    first = is_first()
    if first:
        check_new_run(out, resume)
    trained = list(_iterate_trained(prepared, ()))
    _check_devices(trained)
    for _, train in trained:
        check_processes(train)
    if first:
        for name, run in prepared.trained.items():
            _copy(run, out / STAGES / name, resume)
    return _train(prepared, out, (), resume, reporter)


Names = tuple[str, ...]


def _train(prepared: Prepared[S], out: Path, names: Names, resume: bool, reporter: Reporter) -> Run[S]:
    """Train a network after those that it builds on; ``names`` are those under ``stages`` that lead to it."""
    sections = {}
    for name, stage in prepared.stages().items():
        run = _train(stage, out / STAGES / name, (*names, name), resume, reporter)
        # With what its parts decided by the data at the end of their training.
        sections[name] = stage_of_run(run.spec)
    spec = prepared.spec
    if sections:
        content = merge(spec.model_dump(mode="json"), {"stages": sections})
        prepared = replace(prepared, spec=validate_as(content, {}, "", type(spec)))
    if names and resume and (done := _open_finished(prepared, out)) is not None:
        return done
    if names or sections:
        which = f"{'.'.join(names)}: " if names else ""
        reporter.note(f"training {which}{_describe_training(prepared)}")
    return train_network(prepared, out, resume=resume, reporter=reporter)


def _iterate_trained(prepared: Prepared[RunBase], names: Names) -> Iterator[tuple[Names, TrainSpec]]:
    """Iterate over all trained networks, those that others build on first."""
    for name, stage in prepared.stages().items():
        yield from _iterate_trained(stage, (*names, name))
    if prepared.spec.trainable():
        yield names, prepared.spec.train


def _check_devices(trained: Sequence[tuple[Names, TrainSpec]]) -> None:
    if len(trained) > 1 and any(train.devices * train.nodes > 1 for _, train in trained):
        names = trained[0][0]
        raise ConfigError(
            "train.devices: several networks train in one command on one device only; train "
            f"{'.'.join(names)} first ({_suggest_command(*names)}), then give {argument(names[0], 'FOLDER')}"
        )


def _suggest_command(*names: str) -> str:
    option = "detector" if names[-1] == "detector" else "model"
    return command("train", "DATA", argument(option, "NAME"), argument("out", "FOLDER"))


def _describe_training(prepared: Prepared[RunBase]) -> str:
    """Describe what is about to be trained, and for how long."""
    train: TrainSpec = prepared.spec.train
    if not prepared.spec.trainable():
        return f"{prepared.spec.name} is used as it is"
    limit = f", at most {train.max_time:g} s" if train.max_time is not None else ""
    epochs = f"{train.epochs} epoch{'' if train.epochs == 1 else 's'}"
    step = "step" if train.accumulate == 1 else f"batch, {train.accumulate} batches a step"
    return f"{prepared.spec.name}, {epochs}{limit}, {train.batch_size} images a {step}"


def _open_finished(prepared: Prepared[S], folder: Path) -> Run[S] | None:
    """Open the run, if it is trained as asked for."""
    # With more epochs or time than before it is not, and its training goes on.
    if not (folder / CONFIG).is_file():
        return None
    check_resumable(prepared.spec, folder)
    run: Run[S] = Run.open(folder, type(prepared.spec))
    asked, stored = prepared.spec.train, run.spec.train
    same = (asked.epochs, asked.max_time) == (stored.epochs, stored.max_time)
    return run if run.finished and same else None


def _copy(run: Run[AnyRunSpec], target: Path, resume: bool) -> None:
    """Copy a trained network, without what only its training needs."""
    if not run.trained:
        raise RunError(f"{run.path / WEIGHTS}: missing; it is not trained yet")
    if target.is_dir():
        if not resume:
            raise RunError(f"{target}: exists; choose another {argument('out')}")
        if file_hash(target / WEIGHTS) != file_hash(run.path / WEIGHTS):
            raise RunError(
                f"{target}: holds other weights than {run.path}; give the same run, or another "
                f"{argument('out')}"
            )
        return
    with disk_errors(target):
        # A copy that was interrupted must not be taken for a run.
        unfinished = target.with_name(f".{target.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(run.path, unfinished, ignore=shutil.ignore_patterns("checkpoints", "evaluation"))
        unfinished.rename(target)
