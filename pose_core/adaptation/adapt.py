"""Adapt a trained model to videos: from predictions to a new run, as ``pose adapt`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_core.adaptation.pseudo_labels import write_pseudo_labels
from pose_core.catalog.merge import ContentDict, merge
from pose_core.errors import ConfigError, RunError, argument
from pose_core.formats.project import PROJECT_FILE
from pose_core.model.device import choose_device
from pose_core.prediction.estimator import PoseEstimator, load
from pose_core.prediction.frame_region import GivenRegion
from pose_core.processes import is_first
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.new_run import check_new_run
from pose_core.runs.run_folder import STAGES, Run
from pose_core.specs import AnyRunSpec, RunSpec
from pose_core.specs.resolve import parse_assignments, write_value
from pose_core.specs.validation_errors import Loc
from pose_core.specs.yaml_file import validate_as
from pose_core.training.options import TrainOptions
from pose_core.training.train_project import train_project

PSEUDO_LABELS = "pseudo_labels"
"""Folder in the new run with the labelled project of predictions."""

FRAMES, THRESHOLD, EPOCHS = 200, 0.5, 10
"""Defaults of Python and of the command line."""

_LR_FACTOR = 0.1
"""Learning rate as a fraction of that of the run's own training: what it knows is to shift, not to be lost."""


def adapt(
    run: Path | str,
    videos: Path | str | Sequence[Path | str],
    *,
    out: Path | str,
    frames: int = FRAMES,
    threshold: float = THRESHOLD,
    epochs: int = EPOCHS,
    max_time: float | str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    seed: int | None = None,
    region: GivenRegion = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    **sources: Path | str | None,
) -> Run[AnyRunSpec]:
    """Train a model further on videos by its own confident predictions; ``pose adapt`` in Python.

    Frames that are spread evenly over the videos are predicted once, before the training. Keypoints with a score of
    ``threshold`` or more become labels, see :func:`pose_core.adaptation.pseudo_labels.write_pseudo_labels`; they lie as
    a labelled project in the folder ``pseudo_labels`` of the new run. All its images are trained on, with the batch
    norms as they are and a tenth of the run's learning rate. No image of it measures anything: evaluate with labels
    of your own.

    Args:
        run: folder of the trained model.
        videos: one or several.
        out: folder of the new run; made if needed.
        frames: how many are predicted, of all videos together.
        threshold: smallest score of a keypoint that becomes a label.
        epochs: passes over the frames.
        max_time: seconds, or a text such as ``10m``.
        batch_size: images a step; as the run was trained by default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        seed: of order and augmentation.
        region: the part of frames to look at, as of :func:`pose_core.load`.
        settings: of the training, by their keys, ``{"train.optimizer.lr": 1e-5}``.
        resume: go on from the last checkpoint in ``out``, with the labels that were predicted then.
        sources: networks that the prediction needs beside that of the run, as of :func:`pose_core.load`.

    Returns:
        the new run, with the same networks under ``stages``.

    Raises:
        PoseError: the run, a video, a setting or the folder cannot be used, or the model is sure of nothing.
    """
    paths = [videos] if isinstance(videos, (str, Path)) else list(videos)
    return adapt_run(
        Path(run),
        [Path(path) for path in paths],
        Path(out),
        frames,
        threshold,
        TrainOptions(
            weights=str(run),
            epochs=epochs,
            max_time=max_time,
            batch_size=batch_size,
            device=device,
            seed=seed,
        ),
        region=region,
        assignments=[f"{key}={write_value(value)}" for key, value in (settings or {}).items()],
        resume=resume,
        sources=sources,
    )


def adapt_run(
    folder: Path,
    videos: Sequence[Path],
    out: Path,
    frames: int,
    threshold: float,
    options: TrainOptions,
    *,
    region: GivenRegion = None,
    assignments: Sequence[str] = (),
    resume: bool = False,
    sources: Mapping[str, Path | str | None] | None = None,
    reporter: Reporter | None = None,
) -> Run[AnyRunSpec]:
    """Adapt a run; see :func:`adapt`. Settings as ``KEY=VALUE``."""
    reporter = reporter or current_reporter()
    if frames < 1:
        raise ConfigError(f"{argument('frames', str(frames))}: must be at least 1")
    if not 0 <= threshold <= 1:
        raise ConfigError(f"{argument('threshold', f'{threshold:g}')}: must be from 0 to 1")
    if not videos:
        raise ConfigError("name a video at least")
    if folder.resolve() == out.resolve():
        raise ConfigError(f"{argument('out', str(out))}: is the run itself; name another folder")
    if is_first():
        check_new_run(out, resume)
    run = Run.open(folder, RunSpec)
    if run.spec.model.learns_centres():
        raise ConfigError(f"{folder}: finds centres; adapt the pose network that uses it")
    settings = [*_list_settings(run.spec), *assignments]
    _check_settings(run.spec, settings, options)
    project = out / PSEUDO_LABELS
    # Of several processes of a training the first one has written them.
    if not ((resume or not is_first()) and (project / PROJECT_FILE).is_file()):
        _predict(run, videos, project, frames, threshold, options, region, sources or {}, reporter)
    return train_project(
        project,
        out=out,
        networks={name: str(folder / STAGES / name) for name in run.spec.builds_on()},
        assignments=settings,
        options=options,
        # A keypoint that the model is nowhere sure of in these videos is predicted as before.
        known=[name for name in _list_keypoints(run.spec) if name not in run.spec.untrained_keypoints],
        resume=resume,
        reporter=reporter,
    )


def _check_settings(spec: RunSpec, settings: Sequence[str], options: TrainOptions) -> None:
    """Refuse a wrong setting before anything is predicted."""
    content: ContentDict = spec.model_dump(mode="json")
    origin: dict[Loc, str] = {}
    for layer in (parse_assignments(settings), options.layer()):
        content = merge(content, layer.content)
        origin.update(layer.origin)
    validate_as(content, origin, "", RunSpec)
    choose_device(options.device or "auto")


def _list_keypoints(spec: RunSpec) -> tuple[str, ...]:
    return (*spec.skeleton.keypoints, *spec.skeleton.unique_keypoints)


def _predict(
    run: Run,
    videos: Sequence[Path],
    project: Path,
    frames: int,
    threshold: float,
    options: TrainOptions,
    region: GivenRegion,
    sources: Mapping[str, Path | str | None],
    reporter: Reporter,
) -> None:
    """Write the project of pseudo-labels."""
    if project.exists():
        raise RunError(
            f"{project}: is there from an earlier try; {argument('resume', True)} trains on what was predicted then, "
            f"another {argument('out')} predicts anew"
        )
    given: dict[str, Any] = {"threshold": threshold, "follow": False, "region": region, **sources}
    estimator = load(run.path, options.device or "auto", **given)
    _check_estimator(estimator)
    counts = write_pseudo_labels(project, estimator, videos, frames, threshold, reporter)
    reporter.note(f"{run.path}: {counts.describe()}")


def _check_estimator(estimator: PoseEstimator) -> None:
    if estimator.files:
        name, file = next(iter(estimator.files.items()))
        raise ConfigError(
            f"{argument(name, str(file))}: is of one video; name the folder of a trained network"
        )
    if estimator.pipeline.sequential:
        raise ConfigError(
            f"{estimator.run.path}: starts from the frame before, and sampled frames are no sequence"
        )


def _list_settings(spec: RunSpec) -> list[str]:
    """List what the new training takes from the run, and what is different, as ``KEY=VALUE``."""
    content = spec.model_dump(mode="json")
    train, optimizer = content["train"], content["train"]["optimizer"]
    rate = spec.train.optimizer.base_lr if optimizer["lr"] == "auto" else optimizer["lr"]
    values: dict[str, object] = {
        **{
            key: content[key]
            for key in ("model", "augmentation", "inference", "evaluation", "metadata", "untrained_keypoints")
        },
        **{f"data.{key}": content["data"][key] for key in ("bit_depth", "crop", "video_crops")},
        # Predictions measure nothing: all are trained on.
        "data.split": {"test": 0.0, "validation": 0.0, "name": None},
        "train.batch_size": train["batch_size"],
        "train.gradient_clip": train["gradient_clip"],
        "train.optimizer": {**optimizer, "lr": float(f"{_LR_FACTOR * rate:.2g}")},
        "train.freeze_norms": True,
    }
    return [f"{key}={write_value(value)}" for key, value in values.items()]
