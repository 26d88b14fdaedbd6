"""A run folder -> metrics of one of its splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pose_core.data.fingerprint import data_hash
from pose_core.data.projects import read_project
from pose_core.data.split import is_labelled
from pose_core.errors import ConfigError, DataError, RunError
from pose_core.evaluation.metrics import measure
from pose_core.evaluation.output import write_folder, writing
from pose_core.evaluation.predict import Progress, predict_images
from pose_core.evaluation.results import EvaluationResult
from pose_core.interfaces import PredictionsHeader
from pose_core.model.device import choose_device
from pose_core.runs.run_folder import PROVENANCE, Run
from pose_core.specs import EvaluationSpec, RunBase
from pose_core.structures import Frame, LabelledDataset

SPLITS = ("train", "validation", "test")
ALL = "all"
"""Every labelled image, whatever it was used for."""
FOLDER = "evaluation"


@dataclass(frozen=True)
class SplitImages:
    """The images of one split.

    Attributes:
        dataset: the labelled project as it is now.
        rows: of ``dataset.images``.
        notes: how the project differs from what the run was trained with.
    """

    dataset: LabelledDataset
    rows: tuple[int, ...]
    notes: tuple[str, ...]


def evaluate_run(
    run: Run,
    split: str = "test",
    data: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    *,
    spec: EvaluationSpec | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Predict the images of a split and compare them with their labels.

    Metrics go into the run's ``metrics.json`` under the name of the split; predictions (Parquet), tables (CSV) and
    plots into ``evaluation/<split>``. Whatever was there of the same split is replaced. Top-down
    models look at crops around the labelled boxes here.

    Args:
        run: a trained run.
        split: ``test``, ``validation`` or ``train``, as chosen at training.
        data: where the labelled project is now; by default where it was at training.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        batch_size: images a batch; the run's ``inference.batch_size`` by default.
        spec: sigmas, thresholds, resamplings; the run's ``evaluation`` by default.
        progress: called with the number of images predicted and their total.

    Raises:
        RunError: the run folder is incomplete or cannot be written.
        DataError: the data are gone, are other data, or the split has no images.
        ConfigError: a sigma names no keypoint, there is no such split, or the device is not available.
    """
    chosen = choose_device(device)
    images = split_images(run, split, data)
    model = run.load_model(chosen)
    frames = predict_images(
        model,
        run.spec,
        images.dataset,
        images.rows,
        device=chosen,
        batch_size=batch_size or run.spec.inference.batch_size,
        progress=progress,
    )
    return report(run, split, images, frames, spec=spec)


def split_images(run: Run[RunBase], split: str, data: Path | None = None) -> SplitImages:
    """Read the project and find the images of a split by their names.

    Args:
        run: whose ``provenance.json`` names them.
        split: which part; ``all`` for every labelled image.
        data: where the project is now; by default where it was at training.

    Raises:
        ConfigError: there is no split of that name.
        RunError: the run does not say its split.
        DataError: the data are gone, are other data, or the split has no images.
    """
    if split not in (*SPLITS, ALL):
        raise ConfigError(f"split {split!r} is unknown; write {', '.join(SPLITS)} or {ALL}")
    parts = run.provenance.get("split")
    parts = parts if isinstance(parts, dict) else {}
    names = parts.get(split) if split != ALL else [ALL]
    if not isinstance(names, list):
        raise RunError(f"{run.path / PROVENANCE}: does not name the images of the {split} split; the file is damaged")
    if not names:
        others = [f"{part} ({len(parts[part])} images)" for part in SPLITS if parts.get(part)]
        if not others:
            raise DataError(
                f"{run.path}: does not know which images it was trained on; --split {ALL} measures it on every "
                "labelled image of the project (--data PATH)"
            )
        raise DataError(
            f"{run.path}: the {split} split has no images; there are {', '.join(others)}. "
            f"data.split.{split} sets its size at training"
        )
    source = data if data is not None else Path(run.spec.data.source)
    if not source.exists():
        if data is not None:
            raise DataError(f"{source}: no such folder or file; --data must name the labelled project of the run")
        raise DataError(f"{source}: the labelled project of this run is no longer there; pass --data PATH")
    dataset = read_project(source, run.spec.data.reader)
    _check_skeleton(run, dataset, source)
    if split == ALL:
        rows = tuple(row for row, image in enumerate(dataset.images) if is_labelled(image))
        if not rows:
            raise DataError(f"{source}: no image has a labelled keypoint; nothing to evaluate")
        note = "these are all labelled images, those included that the network was trained on"
        return SplitImages(dataset, rows, (note,))
    at = {image.name: row for row, image in enumerate(dataset.images)}
    if gone := [name for name in names if name not in at]:
        raise DataError(
            f"{source}: {len(gone)} of the {len(names)} images of the {split} split are not in it, the first is "
            f"{gone[0]}; pass --data PATH of the project that the run was trained on"
        )
    notes = []
    if data_hash(dataset) != run.provenance.get("data_hash"):
        notes.append("the labels or images of the project have changed since training; the split is by image names")
    return SplitImages(dataset, tuple(at[name] for name in names), tuple(notes))


def report(
    run: Run,
    split: str,
    images: SplitImages,
    frames: Sequence[Frame],
    *,
    spec: EvaluationSpec | None = None,
    labelled_boxes: bool = True,
) -> EvaluationResult:
    """Measure predictions of a split, however they were made, and write metrics, tables and plots into the run.

    Args:
        run: the run.
        split: name of the split.
        images: its images.
        frames: the prediction of each, in the same order, numbered from 0, in pixels of the image files.
        spec: see :func:`evaluate_run`.
        labelled_boxes: of top-down models: whether they looked at crops around the labelled boxes. With a detector of
            its own, these metrics of a run are kept apart as ``<split>-labelled-boxes``.

    Raises:
        RunError: the run folder cannot be written.
        ConfigError: a sigma names no keypoint.
    """
    spec = spec if spec is not None else run.spec.evaluation
    dataset, skeleton = images.dataset, run.spec.skeleton
    pairs = [(dataset.images[row], frame) for row, frame in zip(images.rows, frames, strict=True)]
    unique = run.spec.model.predicts_unique()
    measured = measure(pairs, skeleton, spec, split=split, seed=run.spec.train.seed, unique=unique)
    notes = [*images.notes, *measured.result.notes]
    name = split
    if run.spec.model.view == "animal" and labelled_boxes:
        name = f"{split}-labelled-boxes" if run.spec.stages else split
        notes.append(
            "the network looked at crops around the labelled boxes: errors of a detector are not in these metrics"
        )
    folder = run.path / FOLDER / name
    sizes = {(image.width, image.height) for image, _ in pairs}
    width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
    header = PredictionsHeader(
        skeleton=skeleton,
        source=str(dataset.root),
        frames=len(frames),
        width=width,
        height=height,
        fps=0.0,
        model=run.name,
        run=str(run.path),
        metadata=dataset.metadata,
    )
    with writing(run.path):
        plots = write_folder(folder, pairs, measured, skeleton, header)
        result = replace(measured.result, notes=tuple(notes), plots=plots, folder=str(folder))
        run.update_metrics(**{name: result.to_json()})
    return result


def _check_skeleton(run: Run[RunBase], dataset: LabelledDataset, source: Path) -> None:
    for what in ("keypoints", "unique_keypoints"):
        trained, here = getattr(run.spec.skeleton, what), getattr(dataset.skeleton, what)
        if tuple(trained) != tuple(here):
            raise DataError(
                f"{source}: its {what.replace('_', ' ')} are {', '.join(here) or 'none'}, but the run was trained on "
                f"{', '.join(trained) or 'none'}; pass --data PATH of the project that the run was trained on"
            )
