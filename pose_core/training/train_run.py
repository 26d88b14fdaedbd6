"""A model and what it builds on (a detector, a model that finds rough poses) in one run folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from pose_core.errors import ConfigError, RunError
from pose_core.io.files import disk_errors
from pose_core.runs.run_folder import CONDITIONS, CONFIG, DETECTOR, WEIGHTS, DetectorRun, Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.training.fit import train_detector, train_model
from pose_core.training.prepare import Prepared, detector_of

S = TypeVar("S", RunSpec, DetectorRunSpec)


def train_run(
    prepared: Prepared[RunSpec],
    out: Path,
    *,
    detector: Path | None = None,
    conditions: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a model; where it has a detector, train that first, into ``detector/`` of the run folder.

    ``train.max_time`` is the time of both: each gets half of it, unless ``detector.train.max_time`` says otherwise.

    Args:
        prepared: see :func:`pose_core.training.prepare.prepare`.
        out: the run folder.
        detector: folder of a trained detector, which is copied instead of training one.
        conditions: for a model that refines poses, folder of the trained model that finds them; it is copied to
            ``conditions/`` of the run folder.
        resume: go on where both stopped.
        console: where progress is shown; standard error by default.

    Raises:
        ConfigError: several devices are asked for and the detector is not trained yet.
        PoseError: see :func:`pose_core.training.fit.train_model`.
    """
    console = console or Console(stderr=True, markup=False, emoji=False)
    spec = prepared.spec
    if spec.detector is None and conditions is None:
        return train_model(prepared, out, resume=resume, console=console)
    if (out / CONFIG).is_file() and not resume:
        raise RunError(f"{out}: already holds a run; add --resume to go on with it, or choose another --out")
    if conditions is not None:
        _copy(_finder(conditions, spec), out / CONDITIONS, resume)
        return train_model(prepared, out, resume=resume, console=console)
    if detector is not None and detector.is_dir():
        _copy(DetectorRun.open(detector), out / DETECTOR, resume)
        return train_model(prepared, out, resume=resume, console=console)
    if spec.train.devices > 1:
        raise ConfigError(
            "train.devices: detector and pose network train together on one device only; train the detector first "
            "(pose train DATA --detector NAME --out FOLDER), then give --detector FOLDER"
        )
    mine = detector_of(prepared)
    prepared, mine = _share_time(prepared, mine)
    if not (resume and (out / DETECTOR / CONFIG).is_file() and DetectorRun.open(out / DETECTOR).finished):
        passes = f"{mine.spec.train.epochs} epoch{'' if mine.spec.train.epochs == 1 else 's'}"
        console.print(f"first the detector {mine.spec.network.type}, {passes}", highlight=False)
        train_detector(mine, out / DETECTOR, resume=resume, console=console)
        console.print(f"now the pose network {spec.model.name}", highlight=False)
    return train_model(prepared, out, resume=resume, console=console)


def _share_time(
    prepared: Prepared[RunSpec], mine: Prepared[DetectorRunSpec]
) -> tuple[Prepared[RunSpec], Prepared[DetectorRunSpec]]:
    total = prepared.spec.train.max_time
    if total is None or not mine.spec.network.trainable():
        return prepared, mine
    own = mine.spec.train.max_time
    first = own if own is not None else total / 2
    if first >= total:
        raise ConfigError(f"detector.train.max_time: {first:g} s leave nothing of the {total:g} s of train.max_time")
    return _with_time(prepared, total - first), _with_time(mine, first)


def _with_time(prepared: Prepared[S], seconds: float) -> Prepared[S]:
    train = prepared.spec.train.model_copy(update={"max_time": seconds})
    return replace(prepared, spec=prepared.spec.model_copy(update={"train": train}))


def _finder(folder: Path, spec: RunSpec) -> Run:
    """The run whose poses a model refines.

    Raises:
        ConfigError: the model refines none, or not those.
        RunError: no such run.
    """
    if not spec.model.inputs:
        raise ConfigError(f"--conditions: {spec.model.name} refines no poses of another model; leave it out")
    run = Run.open(folder)
    if run.spec.skeleton.keypoints != spec.skeleton.keypoints:
        raise ConfigError(
            f"--conditions {folder}: finds {', '.join(run.spec.skeleton.keypoints)}; the project has "
            f"{', '.join(spec.skeleton.keypoints)}"
        )
    if run.spec.model.preprocess.view != "frame":
        raise ConfigError(f"--conditions {folder}: {run.name} does not look at whole frames; name a bottom-up model")
    return run


def _copy(run: Run | DetectorRun, target: Path, resume: bool) -> None:
    """The files of a trained network, without what only its training needs."""
    if not run.trained:
        raise RunError(f"{run.path / WEIGHTS}: missing; it is not trained yet")
    if target.is_dir():
        if not resume:
            raise RunError(f"{target}: exists; choose another --out")
        return
    with disk_errors(target):
        shutil.copytree(run.path, target, ignore=shutil.ignore_patterns("checkpoints", "evaluation"))
