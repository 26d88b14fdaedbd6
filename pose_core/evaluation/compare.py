"""Compare runs on the same test images, as ``pose compare`` does."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pose_core.data.keypoint_order import find_order, take_keypoints, take_labels
from pose_core.data.landmarks import with_skeleton
from pose_core.data.matching import Pair
from pose_core.data.sigmas import resolve_sigmas
from pose_core.data.split import is_labelled
from pose_core.errors import ConfigError, DataError, argument, listed
from pose_core.evaluation.comparison import Comparison, compare_measured, list_rows
from pose_core.evaluation.comparison_plot import plot_comparison
from pose_core.evaluation.metrics import Measured, measure
from pose_core.evaluation.run import predict_images
from pose_core.io.files import disk_errors, make_folder, write_whole
from pose_core.io.names import find_escaped
from pose_core.model.device import choose_device
from pose_core.pipeline.plan import labelled_sources
from pose_core.reporting import Reporter
from pose_core.runs.run_folder import Run
from pose_core.runs.snapshots import choose_snapshots
from pose_core.runs.split_images import (
    SplitImages,
    find_learned,
    find_names,
    find_rows,
    find_test_data,
    knows_split,
    read_source,
)
from pose_core.specs import RunSpec
from pose_core.structures import LabelledDataset, Skeleton

JSON, TABLE, PLOT = "comparison.json", "comparison.csv", "comparison.png"


@dataclass(frozen=True)
class _Images:
    """Images that none of the runs was trained on."""

    dataset: LabelledDataset
    rows: tuple[int, ...]
    source: Path
    notes: tuple[str, ...]


def compare(
    runs: Sequence[Run | Path | str],
    data: Path | str | None = None,
    out: Path | str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    *,
    snapshot: str | int | None = None,
    reporter: Reporter | None = None,
) -> Comparison:
    """Compare trained runs on images that none of them was trained on; ``pose compare`` in Python.

    All runs predict the same images, as ``pose predict`` does; where nothing supplies a run with boxes, the
    labels do. Differences are to the first run; their 95 % intervals resample images, the same ones for all
    runs. Compared are the keypoints that all runs and the labels have, by name.

    Args:
        runs: two or more, or their folders.
        data: a labelled project, of which all images count that no run was trained on or chosen by; by default
            the test images of the first run.
        out: folder for ``comparison.json``, ``.csv`` and ``.png``; nothing is written without it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        batch_size: images a batch; by default as each run says.
        snapshot: weights of each run, as of :func:`pose_core.load`; ``"all"``: the best ones and every snapshot, of
            one run or several.
        reporter: is told how far it is, in images.

    Returns:
        the metrics of each run, in pixels of the images, and their differences.

    Raises:
        ConfigError: fewer than two runs, one twice, or one of a detector or of centres.
        DataError: no image is left that none was trained on, or there is no keypoint that all have.
        RunError: a run folder is incomplete, or ``out`` cannot be written.
    """
    opened = [run if isinstance(run, Run) else Run.open(run, RunSpec) for run in runs]
    opened = choose_snapshots(opened, snapshot)
    _check(opened)
    images = _choose_images(opened, None if data is None else Path(data))
    keypoints, skipped = _find_common(opened, images.dataset)
    notes = [*images.notes, *skipped]
    chosen = choose_device(device)
    first = opened[0]
    sigmas = resolve_sigmas(first.spec.evaluation.sigmas, first.spec.finds)
    spec = first.spec.evaluation.model_copy(update={"sigmas": {name: sigmas[name] for name in keypoints}})
    skeleton = _make_skeleton(images.dataset.skeleton, keypoints)
    names = _name(opened)
    measured: dict[str, Measured] = {}
    for name, run in zip(names, opened, strict=True):
        pairs, labelled = _predict(run, images, keypoints, chosen, batch_size, reporter)
        if labelled:
            notes.append(f"{name}: {' and '.join(labelled)} took part, as nothing else supplies the run")
        measured[name] = measure(pairs, skeleton, spec, seed=first.spec.train.seed)
    shown = [images.dataset.images[row].name for row in images.rows]
    result = compare_measured(measured, shown, skeleton, spec, first.spec.train.seed, tuple(notes))
    if out is not None:
        _write(Path(out), result, measured)
    return result


def _check(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise ConfigError("a comparison needs two runs or more")
    paths = [run.path.resolve() for run in runs]
    used = [(path, run.snapshot) for path, run in zip(paths, runs, strict=True)]
    if twice := [path for path, snapshot in used if used.count((path, snapshot)) > 1]:
        raise ConfigError(f"{twice[0]}: is there twice; name different runs")
    for run in runs:
        if run.spec.model.learns_centres():
            raise ConfigError(f"{run.path}: finds centres and no poses; leave it out")


def _name(runs: Sequence[Run]) -> list[str]:
    """Name runs by their folders, or by whole paths where two folders have one name."""
    short = [run.path.name for run in runs]
    # Of one run with several weights the short name is still that of one folder.
    unique = len(set(short)) == len({run.path.resolve() for run in runs})
    names = short if unique else [str(run.path) for run in runs]
    return [
        name if run.snapshot is None else f"{name} epoch {run.snapshot}"
        for name, run in zip(names, runs, strict=True)
    ]


def _choose_images(runs: Sequence[Run], data: Path | None) -> _Images:
    first, notes = runs[0], []
    if data is None:
        names = find_names(first, "test")
        source = find_test_data(first) or find_escaped(first.spec.data.source)
        dataset = read_source(first, source, given=False)
        rows = find_rows(dataset, names, "test", source)
    else:
        source = data
        dataset = read_source(first, source, given=True)
        rows = tuple(row for row, image in enumerate(dataset.images) if is_labelled(image))
    of = "images" if data is not None else f"test images of {first.path}"
    learned: dict[str, int] = {}
    left = set(rows)
    for run in runs:
        if not knows_split(run):
            if data is None:
                raise DataError(
                    f"{run.path}: does not know which images it was trained on; name a project that is new to "
                    f"it: {argument('data', 'PROJECT')}"
                )
            notes.append(
                f"{run.path} does not know which images it was trained on: its errors are too small if it was "
                "on these"
            )
        if seen := find_learned(run, dataset, source) & set(rows):
            learned[str(run.path)] = len(seen)
            left -= seen
    said = [f"{count} by {path}" for path, count in learned.items()]
    if not left:
        raise DataError(
            f"{source}: each of the {len(rows)} {of} was trained on or chosen by: {listed(said, ', ')}; name "
            f"images that are new to all: {argument('data', 'PROJECT')}"
        )
    if learned:
        notes.append(
            f"{len(rows) - len(left)} of {len(rows)} {of} left out, as they were trained on or chosen by: "
            f"{listed(said, ', ')}"
        )
    return _Images(dataset, tuple(row for row in rows if row in left), source, tuple(notes))


def _find_common(runs: Sequence[Run], dataset: LabelledDataset) -> tuple[tuple[str, ...], list[str]]:
    """Find the keypoints that all have, in the order of the project; with notes."""
    sets = [run.spec.finds.keypoints for run in runs]
    own = dataset.skeleton.keypoints
    common = tuple(name for name in own if all(name in names for names in sets))
    if not common:
        raise DataError(
            f"{dataset.root}: no keypoint is in the labels and in all runs; the labels have {', '.join(own)}"
        )
    others = dict.fromkeys(name for names in (own, *sets) for name in names if name not in common)
    notes = [f"not in all runs and labels, and so not compared: {', '.join(others)}"] if others else []
    if dataset.skeleton.unique_keypoints:
        unique = ", ".join(dataset.skeleton.unique_keypoints)
        notes.append(f"keypoints that exist once an image are not compared: {unique}")
    return common, notes


def _make_skeleton(skeleton: Skeleton, keypoints: tuple[str, ...]) -> Skeleton:
    there = set(keypoints)
    return Skeleton(
        keypoints,
        edges=tuple(edge for edge in skeleton.edges if set(edge) <= there),
        individuals=skeleton.individuals,
        landmarks=tuple(name for name in skeleton.landmarks or () if name in there),
    )


def _predict(
    run: Run,
    images: _Images,
    keypoints: tuple[str, ...],
    device: torch.device,
    batch_size: int | None,
    reporter: Reporter | None,
) -> tuple[list[Pair], list[str]]:
    """Labels and prediction of each image, of the common keypoints; and which labels took part."""
    inference = run.spec.inference.model_copy(update={"follow": False})
    run = replace(run, spec=run.spec.model_copy(update={"inference": inference}))
    own = find_order(images.dataset.skeleton.keypoints, run.spec.skeleton.keypoints)
    # With the keypoints of the run, as labels may supply what it needs.
    told = replace(
        images.dataset,
        skeleton=replace(run.spec.skeleton, unique_keypoints=()),
        images=tuple(take_labels(image, own) for image in images.dataset.images),
    )
    told = with_skeleton(told, run.spec.skeleton)
    sources = labelled_sources(run, {})[0]
    frames = predict_images(run, SplitImages(told, images.rows, ()), device, batch_size, sources, reporter)
    labels = find_order(images.dataset.skeleton.keypoints, keypoints)
    found = find_order(run.spec.finds.keypoints, keypoints)
    pairs = [
        (
            take_labels(images.dataset.images[row], labels),
            replace(frame, instances=take_keypoints(frame.instances, found)),
        )
        for row, frame in zip(images.rows, frames, strict=True)
    ]
    return pairs, [name.replace("_", " ") for name, value in sources.items() if value is True]


def _write(folder: Path, result: Comparison, measured: dict[str, Measured]) -> None:
    with disk_errors(folder, "name another folder"):
        make_folder(folder)
        write_whole(folder / JSON, json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n")
        rows = list_rows(result)
        with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        plot_comparison({name: own.errors for name, own in measured.items()}, result, folder / PLOT)
