"""Evaluate a run on one of its splits, as ``pose evaluate`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from pose_core.data.boxes import CropRule
from pose_core.data.keypoint_subset import select_measured
from pose_core.errors import ConfigError, DataError, argument
from pose_core.escapes import escape_name
from pose_core.evaluation.boxes import DetectorResult, measure_boxes
from pose_core.evaluation.drawn_images import Drawn
from pose_core.evaluation.metrics import measure
from pose_core.evaluation.output import write_folder, writing
from pose_core.evaluation.results import EvaluationResult
from pose_core.interfaces import PredictionsHeader
from pose_core.model.device import choose_device
from pose_core.pipeline.computing import Computing, parse_runtime
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.given_sources import Source
from pose_core.pipeline.plan import (
    labelled_sources,
    make_detector_pipeline,
    make_pipeline,
)
from pose_core.pipeline.sources import ImageSource
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.run_folder import Run
from pose_core.runs.snapshots import choose_snapshot
from pose_core.runs.split_images import SplitImages, split_images
from pose_core.specs import AnyRunSpec, DetectorRunSpec, EvaluationSpec, InferenceSpec, OptimizerSpec, RunSpec
from pose_core.specs.resolve import make_option_layer, make_settings_layer
from pose_core.structures import Frame

FOLDER = "evaluation"


def evaluate(
    run: Run[AnyRunSpec] | Path | str,
    split: str = "test",
    data: Path | str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    *,
    spec: EvaluationSpec | None = None,
    settings: Mapping[str, Any] | None = None,
    snapshot: str | int | None = None,
    runtime: str | None = None,
    precision: int | None = None,
    accept_drift: bool | None = None,
    draw: Drawn = None,
    reporter: Reporter | None = None,
    **sources: Source,
) -> EvaluationResult | DetectorResult:
    """Predict the labelled images of a split and compare what is found with their labels.

    Predictions are those of ``pose predict`` on the same images. Where a model has a detector, the same is
    measured once more with the labelled boxes in its place (``result.besides``); where nothing supplies
    boxes, the labels do.

    Metrics go into the run's ``metrics.json`` under the name of the split; predictions (Parquet), tables
    (CSV) and plots into ``evaluation/<split>``. Whatever was there of the same split is replaced. Of a
    detector, the average precision of its boxes is measured.

    Args:
        run: a trained run, its folder, or the name of a published network.
        split: ``test``, ``validation`` or ``train``, as chosen at training; ``all`` for every labelled image.
        data: where the labelled project is now; by default where it was at training.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        batch_size: images a batch; the run's ``inference.batch_size`` by default.
        spec: sigmas, thresholds, resamplings; the run's ``evaluation`` by default.
        settings: changes of the run's configuration by their keys, as of :func:`pose_core.load`.
        snapshot: which weights, as of :func:`pose_core.load`. Metrics of a snapshot stand beside those of the best
            weights, as ``test-epoch-0025``.
        runtime, precision, accept_drift: what computes the networks, and how, as of :func:`pose_core.load`.
        draw: so many images, those with the largest errors, or ``"all"``, are drawn one by one with labels and
            predictions into the folder ``images`` of the evaluation; None: none.
        reporter: is told how far it is, in images.
        sources: as of :func:`pose_core.load`, and ``labelled_boxes=True``: the labelled boxes and nothing
            else.

    Returns:
        the metrics: of poses, or for the run of a detector of boxes.

    Raises:
        RunError: the run folder is incomplete or cannot be written.
        DataError: the data are gone, are other data, cannot be read, or the split has no images.
        ConfigError: a sigma names no keypoint, there is no such split, the device is not available, or a
            source is unknown or not needed.
    """
    opened = run if isinstance(run, Run) else Run.open(run)
    layers = [make_settings_layer(settings)]
    options = {"runtime": runtime, "precision": precision, "accept_drift": accept_drift}
    for name, value in options.items():
        if value is None or (name == "runtime" and isinstance(opened.spec, DetectorRunSpec)):
            continue
        if isinstance(opened.spec, DetectorRunSpec):
            raise ConfigError(
                f"{argument(name, str(value))}: {opened.path} holds a detector, which stays in 32 bits; leave it out"
            )
        content = {"type": value} if name == "runtime" else value
        layers.append(make_option_layer([(argument(name), f"inference.{name}", content)]))
    opened = choose_snapshot(opened, snapshot).with_changes(layers)
    project = None if data is None else Path(data)
    if isinstance(opened.spec, DetectorRunSpec):
        if given := [
            name
            for name, value in {**sources, "spec": spec, "draw": draw}.items()
            if value not in (None, False)
        ]:
            raise ConfigError(
                f"{opened.path}: holds a detector, for which {', '.join(given)} mean nothing; leave out"
            )
        return evaluate_detector(
            opened.of(DetectorRunSpec), split, project, device, batch_size, runtime=runtime, reporter=reporter
        )
    return evaluate_poses(
        opened.of(RunSpec),
        split,
        project,
        device,
        batch_size,
        spec=spec,
        draw=draw,
        reporter=reporter,
        **sources,
    )


def evaluate_poses(
    run: Run,
    split: str = "test",
    data: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    *,
    spec: EvaluationSpec | None = None,
    draw: Drawn = None,
    reporter: Reporter | None = None,
    **sources: Source,
) -> EvaluationResult:
    """Measure a pose network; see :func:`evaluate`."""
    if draw is not None and draw != "all" and (not isinstance(draw, int) or draw < 1):
        raise ConfigError(f"{argument('draw', str(draw))}: must be a number of images, at least 1, or all")
    # Labelled images are no sequence, of which one would say where to look in the next.
    inference = run.spec.inference.model_copy(update={"follow": False})
    run = replace(run, spec=run.spec.model_copy(update={"inference": inference}))
    chosen = choose_device(device)
    first, labelled = labelled_sources(run, sources)
    images = split_images(run, split, data)
    # Where a run has no source of its own, the labels are what it is measured with.
    alone = any(value is True for value in labelled_sources(run, {})[0].values())
    ways = {_name_metrics(run, split, {} if alone else first): first}
    if labelled:
        ways[_name_metrics(run, split, labelled)] = labelled
    results = []
    for name, given in ways.items():
        frames = predict_images(run, images, chosen, batch_size, given, reporter)
        results.append(
            report(run, images, frames, split=split, name=name, sources=given, spec=spec, draw=draw)
        )
    besides = {name: beside for beside in results[1:] for name, value in labelled.items() if value is True}
    return replace(results[0], besides=besides)


def evaluate_detector(
    run: Run[DetectorRunSpec],
    split: str = "test",
    data: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    *,
    runtime: str | None = None,
    reporter: Reporter | None = None,
) -> DetectorResult:
    """Measure the boxes that a detector finds in the images of a split.

    They are found as for a top-down model. The metrics go into the run's ``metrics.json`` under the name of
    the split. See :func:`evaluate`.
    """
    images = split_images(run, split, data)
    # Images of different sizes are shown at different sizes where the detector takes any: one by one then.
    trained = run.spec.train.batch_size
    # A run that was imported was never trained here, and nothing has decided its batches.
    at_once = batch_size or (OptimizerSpec.BASE_BATCH if trained == "auto" else trained)
    at_once = at_once if run.spec.network.size is not None else 1
    chosen = choose_device(device)
    pipeline, detector = make_detector_pipeline(run, chosen, at_once)
    inference = InferenceSpec()
    if runtime is not None:
        inference = inference.model_copy(update={"runtime": parse_runtime(runtime, argument("runtime"))})
    Computing((), (detector,), inference, chosen).prepare(len(images.rows))
    frames = _predict_frames(pipeline, split, images, reporter)
    labels = [images.dataset.images[row] for row in images.rows]
    rule = CropRule(run.spec.skeleton, run.spec.decided_min_box(), run.spec.centre)
    result = measure_boxes(split, labels, frames, rule, images.notes)
    run.update_metrics(**{_name_metrics(run, split, {}): result.to_json()})
    return result


def predict_images(
    run: Run,
    images: SplitImages,
    device: torch.device,
    batch_size: int | None,
    sources: Mapping[str, Source],
    reporter: Reporter | None,
) -> list[Frame]:
    """Predict each image.

    Raises:
        ConfigError: what is found in a frame depends on the frame before.
    """
    labels = [images.dataset.images[row] for row in images.rows]
    pipeline, plan = make_pipeline(run, device, batch_size or run.spec.inference.batch_size, sources, labels)
    if pipeline.sequential:
        raise ConfigError(f"{run.name}: starts from the frame before, and labelled images are no sequence")
    Computing(plan.networks, plan.detectors, run.spec.inference, device).prepare(len(labels))
    return _predict_frames(pipeline, run.name, images, reporter)


def _predict_frames(
    pipeline: Pipeline, name: str, images: SplitImages, reporter: Reporter | None
) -> list[Frame]:
    reporter = reporter or current_reporter()
    files = [images.dataset.images[row].image for row in images.rows]
    frames: list[Frame] = []
    for result in pipeline.run(ImageSource(name, files)):
        # Prediction goes on after a damaged image; metrics without it would be those of another split.
        if damaged := [frame for frame in result.frames if frame.missing is not None]:
            raise DataError(damaged[0].missing)
        frames += result.frames
        reporter.progress(f"predicting {name} images", len(frames), len(files))
    return frames


def _name_metrics(run: Run[AnyRunSpec], split: str, sources: Mapping[str, Source]) -> str:
    """Name the metrics: the split, the labels where they take part, and the epoch of a snapshot."""
    parts = [split, *(name for name, value in sources.items() if value is True)]
    if run.snapshot is not None:
        parts.append(f"epoch-{run.snapshot:04d}")
    return "-".join(parts).replace("_", "-")


def report(
    run: Run,
    images: SplitImages,
    frames: Sequence[Frame],
    *,
    split: str,
    name: str,
    sources: Mapping[str, Source] = MappingProxyType({}),
    spec: EvaluationSpec | None = None,
    draw: Drawn = None,
) -> EvaluationResult:
    """Measure predictions of a split; write metrics, tables and plots into the run.

    Args:
        run: the run.
        images: of the split.
        frames: the prediction of each, in the same order, numbered from 0, in pixels of the image files.
        split: name of the split.
        name: of the folder and of the entry in ``metrics.json``.
        sources: what took part beside the run.
        spec, draw: see :func:`evaluate`.

    Raises:
        RunError: the run folder cannot be written.
        ConfigError: a sigma names no keypoint.
    """
    spec = spec if spec is not None else run.spec.evaluation
    dataset, skeleton = images.dataset, run.spec.finds
    pairs = [(dataset.images[row], frame) for row, frame in zip(images.rows, frames, strict=True)]
    pairs, skeleton, spec = select_measured(pairs, skeleton, spec)
    unique = run.spec.model.predicts_unique()
    measured = measure(pairs, skeleton, spec, split=split, seed=run.spec.train.seed, unique=unique)
    notes = [*images.notes, *measured.result.notes]
    if spec.keypoints is not None:
        notes.append(f"of {', '.join((*skeleton.keypoints, *skeleton.unique_keypoints))} only")
    if run.snapshot is not None:
        notes.append(f"of the weights of epoch {run.snapshot}, not of the best ones")
    if run.changed:
        notes.append(f"not as the run says, but with {', '.join(run.changed)}")
    if (untrained := run.spec.untrained_keypoints) and not run.spec.model.learns_centres():
        notes.append(f"never predicted, as no training image has a label of it: {', '.join(untrained)}")
    if any(value is True for value in sources.values()):
        notes.append(
            "the network looked at crops around the labelled boxes: errors of a detector are not in these "
            "metrics"
        )
    folder = run.path / FOLDER / name
    sizes = {(image.width, image.height) for image, _ in pairs}
    width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
    header = PredictionsHeader(
        skeleton=skeleton,
        source=escape_name(dataset.root),
        frames=len(frames),
        width=width,
        height=height,
        fps=0.0,
        model=run.name,
        run=escape_name(run.path),
        metadata=dataset.metadata,
    )
    with writing(run.path):
        plots = write_folder(folder, pairs, measured, skeleton, header, draw)
        result = replace(measured.result, notes=tuple(notes), plots=plots, folder=escape_name(folder))
        run.update_metrics(**{name: result.to_json()})
    return result
