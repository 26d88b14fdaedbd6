"""Memory replay: predictions of the run that a training starts from become labels of its training images.

The keypoints that only that run knows stay alive this way (Ye et al., SuperAnimal pretrained pose estimation models
for behavioral analysis, 2024). They are predicted once, before the training, as ``pose evaluate`` would: a model on
crops looks at the labelled boxes. What is found is kept beside the run, as a table.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from pose_core.data.boxes import CropRule
from pose_core.data.matching import match_animals
from pose_core.data.more_keypoints import with_labels_for
from pose_core.data.samples import find_cropped
from pose_core.errors import ConfigError, DataError, RunError, argument, listed, setting
from pose_core.io.files import disk_errors, make_folder, write_whole
from pose_core.pipeline.plan import labelled_sources, make_pipeline
from pose_core.pipeline.sources import ImageSource
from pose_core.reporting import Reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import RunBase, RunSpec
from pose_core.structures import Frame, LabelledDataset, LabelledImage
from pose_core.training.prepared import Prepared
from pose_core.training.teacher import Teacher

S = TypeVar("S", bound=RunBase)

REPLAY = "replay.csv"
"""The table in the run folder."""

UNIQUE = -1
"""``ReplayLabel.animal`` of a keypoint that exists once an image."""


class ReplayLabel(NamedTuple):
    """A prediction that is a label.

    Attributes:
        image: name of the image.
        animal: row of the animal among the image's labels.
        keypoint: its name.
        x, y: pixels of the image, float32.
        score: in [0, 1].
    """

    image: str
    animal: int
    keypoint: str
    x: float
    y: float
    score: float


def teach(
    prepared: Prepared[S],
    out: Path,
    device: torch.device,
    reporter: Reporter,
    *,
    known: bool,
    keep: bool,
) -> Prepared[S]:
    """Predict the labels of memory replay for the training images, or read those of the run.

    Args:
        prepared: with a teacher.
        out: the run folder.
        device: where the teacher computes.
        reporter: is told how far it is.
        known: whether the labels in the run folder, if there are some, are of this training.
        keep: whether they are written into it; one of several processes does.

    Raises:
        ConfigError: nothing is predicted confidently enough.
        RunError: the table in the run folder is damaged.
    """
    teacher, replay = prepared.teacher, prepared.spec.train.replay
    assert teacher is not None
    assert replay is not None
    rows, file = prepared.split.train, out / REPLAY
    if known and file.is_file():
        labels = read_labels(file)
    else:
        labels = predict_labels(teacher, prepared.dataset, rows, replay.threshold, device, reporter)
        if not labels:
            raise ConfigError(
                f"train.replay: {teacher.run.path} finds none of {listed(teacher.replayed, ', ')} in the "
                f"{len(rows)} training images with a score of {replay.threshold:g}; lower "
                f"{setting('train.replay.threshold')}, or leave {argument('replay', True)} out"
            )
        if keep:
            with disk_errors(out):
                make_folder(out)
                write_whole(file, _write_labels(labels))
    counts = Counter(label.keypoint for label in labels)
    plural = "" if len(counts) == 1 else "s"
    reporter.note(
        f"memory replay: {len(labels)} labels of {len(counts)} keypoint{plural}, predicted by {teacher.run.path} in "
        f"{len({label.image for label in labels})} of {len(rows)} training images"
    )
    if unseen := [name for name in teacher.replayed if name not in counts]:
        reporter.note(
            f"note: no prediction of {listed(unseen, ', ')} has a score of {replay.threshold:g} in the training "
            "images: they may be forgotten"
        )
    spec: RunBase = prepared.spec
    assert isinstance(spec, RunSpec)
    min_box = spec.model.decided_preprocess().min_box
    taught = fill_labels(prepared.dataset, rows, labels, min_box, file)
    return replace(prepared, taught=taught)


def read_taught(run: Run[RunBase], dataset: LabelledDataset, rows: Sequence[int]) -> LabelledDataset | None:
    """The project as the training of a run saw it, with the labels of memory replay; None for a run without.

    Raises:
        RunError: they are gone, or do not fit the project as it is now.
    """
    spec, file = run.spec, run.path / REPLAY
    if not isinstance(spec, RunSpec) or spec.train.replay is None:
        return None
    if not file.is_file():
        raise RunError(f"{file}: missing; restore it, or show the project with the configuration of the run")
    min_box = spec.model.decided_preprocess().min_box
    return fill_labels(dataset, rows, read_labels(file), min_box, file)


def describe_replay(prepared: Prepared[RunBase]) -> dict[str, object]:
    """Describe the labels of memory replay for the provenance: plain values."""
    teacher, taught = prepared.teacher, prepared.taught
    assert teacher is not None
    assert taught is not None
    found = [taught.images[row] for row in prepared.split.train]
    skeleton, counts = taught.skeleton, {}
    for name in teacher.replayed:
        if name in skeleton.keypoints:
            at = skeleton.keypoints.index(name)
            counts[name] = int(sum(np.isfinite(image.instances.keypoints[:, at, 0]).sum() for image in found))
        else:
            at = skeleton.unique_keypoints.index(name)
            counts[name] = int(sum(np.isfinite(image.unique_keypoints[at, 0]) for image in found))
    return {"file": REPLAY, "labels": counts}


def predict_labels(
    teacher: Teacher,
    dataset: LabelledDataset,
    rows: Sequence[int],
    threshold: float,
    device: torch.device,
    reporter: Reporter,
) -> list[ReplayLabel]:
    """Predict the keypoints that are replayed in images, for the animals that are labelled in them.

    A model on crops looks at the labelled boxes; of a model on whole frames, a pose belongs to the labelled animal
    that it fits by the keypoints that both have, see :func:`pose_core.data.matching.match_animals`. Animals that are
    not found keep these keypoints unlabelled.

    Args:
        teacher: predicts.
        dataset: the project, with the skeleton of the network that is trained.
        rows: of its images.
        threshold: lower scores do not count.
        device: where to compute.
        reporter: is told how far it is.

    Returns:
        labels in pixels of the images, in the order of the images.

    Raises:
        ConfigError: the run needs more than boxes, or starts from the frame before.
        DataError: an image cannot be read.
    """
    several, spec = dataset.multi_animal, teacher.run.spec
    changes: dict[str, object] = {"follow": False, "threshold": threshold}
    if several:
        # How many there are, the labels of this project say.
        changes["max_animals"] = None
    inference = spec.inference.model_copy(update=changes)
    run = replace(teacher.run, spec=spec.model_copy(update={"inference": inference}))
    first, labelled = labelled_sources(run, {})
    sources = labelled or first
    # What only one of the two has, has no name in the other.
    names = dict.fromkeys((*spec.finds.keypoints, *spec.finds.unique_keypoints), "")
    names |= {theirs: own for own, theirs in teacher.names.items()}
    records = [with_labels_for(dataset.images[row], dataset.skeleton, spec.finds, names) for row in rows]
    pipeline, _ = make_pipeline(run, device, inference.batch_size, sources, records)
    if pipeline.sequential:
        raise ConfigError(
            f"train.replay: {run.path} starts from the frame before, and labelled images are no sequence"
        )
    preprocess = spec.model.decided_preprocess()
    rule = CropRule(spec.finds, preprocess.min_box, preprocess.centre)
    by_box = any(value is True for value in sources.values())
    labels: list[ReplayLabel] = []
    for result in pipeline.run(ImageSource(str(dataset.root), [record.image for record in records])):
        for frame in result.frames:
            if frame.missing is not None:
                raise DataError(frame.missing)
            record = records[frame.index]
            if by_box:
                pairs = _pair_by_box(record, frame, rule)
            else:
                matches = match_animals(record, frame, several=several)
                pairs = list(zip(matches.labelled.tolist(), matches.predicted.tolist(), strict=True))
            labels += _list_labels(teacher, record, frame, pairs)
            reporter.progress("predicting training images", frame.index + 1, len(records))
    return labels


def _pair_by_box(record: LabelledImage, frame: Frame, rule: CropRule) -> list[tuple[int, int]]:
    """Pair each labelled animal with the pose that was found in its box."""
    animals = find_cropped(record, rule.skeleton)
    boxes = rule.around_labels(record)[animals]
    # Boxes are passed on as they are; a pose that was dropped leaves its box without a partner.
    distance = np.abs(boxes[:, None] - frame.instances.boxes[None]).sum(axis=-1)
    i, j = linear_sum_assignment(distance)
    return list(zip(animals[i].tolist(), j.tolist(), strict=True))


def _list_labels(
    teacher: Teacher, record: LabelledImage, frame: Frame, pairs: Sequence[tuple[int, int]]
) -> Iterator[ReplayLabel]:
    theirs, found = teacher.run.spec.finds, frame.instances
    most = np.array([record.width, record.height]) - 0.5
    for name in teacher.replayed:
        unique = name in theirs.unique_keypoints
        at = (theirs.unique_keypoints if unique else theirs.keypoints).index(name)
        points = (
            [(UNIQUE, frame.unique_keypoints[at], frame.unique_scores[at])]
            if unique
            else [
                (animal, found.keypoints[pose, at], found.keypoint_scores[pose, at]) for animal, pose in pairs
            ]
        )
        for animal, point, score in points:
            # NaN compares as false. What lies outside of its image is no label.
            if ((point >= -0.5) & (point <= most)).all():
                yield ReplayLabel(record.name, animal, name, float(point[0]), float(point[1]), float(score))


def fill_labels(
    dataset: LabelledDataset, rows: Sequence[int], labels: Sequence[ReplayLabel], min_box: float, file: Path
) -> LabelledDataset:
    """The project with labels from predictions in some of its images; labels that are there stay as they are.

    Boxes stay those of the project's own labels, with which prediction and validation work.

    Args:
        dataset: the project, whose skeleton has the keypoints.
        rows: the images that may get labels.
        labels: what they get.
        min_box: boxes around keypoints are at least so long.
        file: where the labels are, for messages.

    Raises:
        RunError: a label is of no such image, animal or keypoint.
    """
    skeleton, images = dataset.skeleton, list(dataset.images)
    at = {images[row].name: row for row in rows}
    rule = CropRule(skeleton, min_box)
    grouped: dict[int, list[ReplayLabel]] = {}
    for label in labels:
        known = skeleton.unique_keypoints if label.animal == UNIQUE else skeleton.keypoints
        row = at.get(label.image)
        if row is None or label.keypoint not in known or label.animal >= len(images[row].instances):
            raise RunError(
                f"{file}: {label.keypoint} of animal {label.animal} in {label.image} is not in the training images; "
                f"the project has changed: start a new run with another {argument('out')}"
            )
        grouped.setdefault(row, []).append(label)
    for row, found in grouped.items():
        image = images[row]
        animals, unique = image.instances, image.unique_keypoints.copy()
        points, scores = animals.keypoints.copy(), animals.keypoint_scores.copy()
        for label in found:
            if label.animal == UNIQUE:
                unique[skeleton.unique_keypoints.index(label.keypoint)] = label.x, label.y
            else:
                place = label.animal, skeleton.keypoints.index(label.keypoint)
                points[place], scores[place] = (label.x, label.y), label.score
        boxes = rule.around_labels(image)
        filled = replace(animals, keypoints=points, keypoint_scores=scores, boxes=boxes)
        images[row] = replace(image, instances=filled, unique_keypoints=unique)
    return replace(dataset, images=tuple(images))


def read_labels(file: Path) -> list[ReplayLabel]:
    """Read the table of a run.

    Raises:
        RunError: it is damaged.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            return [
                ReplayLabel(
                    row["image"],
                    int(row["animal"]) if row["animal"] else UNIQUE,
                    row["keypoint"],
                    *(_read_number(row[name]) for name in ("x", "y", "score")),
                )
                for row in csv.DictReader(stream, strict=True)
            ]
    # A row that is too short gives None, which no number is made of.
    except (KeyError, TypeError, ValueError, csv.Error):
        raise RunError(
            f"{file}: damaged; restore it, or start a new run with another {argument('out')}"
        ) from None


def _read_number(text: str) -> float:
    number = float(text)
    if not np.isfinite(number):
        raise ValueError(text)
    return float(np.float32(number))


def _write_labels(labels: Sequence[ReplayLabel]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(ReplayLabel._fields)
    for label in labels:
        animal = "" if label.animal == UNIQUE else label.animal
        # The shortest decimals that give the same float32.
        numbers = (str(np.float32(value)) for value in (label.x, label.y, label.score))
        table.writerow((label.image, animal, label.keypoint, *numbers))
    return text.getvalue()
