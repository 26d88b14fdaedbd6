"""Read a second labelled project, whose images are the test images of a training on the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pose_core.data.fingerprint import data_hash, hash_image
from pose_core.data.keypoint_order import with_keypoints_of
from pose_core.data.keypoint_subset import select_keypoints
from pose_core.data.more_keypoints import add_replayed
from pose_core.data.projects import read_project
from pose_core.data.split import Split, is_labelled
from pose_core.errors import DataError
from pose_core.structures import LabelledDataset


@dataclass(frozen=True)
class HeldOutProject:
    """A labelled project of test images.

    Attributes:
        source: where it is.
        names: of its labelled images.
        hashes: of these images, see :func:`pose_core.data.fingerprint.hash_image`.
        data_hash: of its labels.
        notes: a line for each thing that was repaired or left out while reading.
    """

    source: Path
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    data_hash: str
    notes: tuple[str, ...] = ()


def read_held_out(
    source: Path,
    dataset: LabelledDataset,
    replayed: Sequence[str] = (),
    keypoints: Sequence[str] | None = None,
) -> HeldOutProject:
    """Read the project of the test images.

    Args:
        source: the project.
        dataset: the project that is trained on, whose keypoints it must have.
        replayed: keypoints of ``dataset`` that no project labels, see ``train.replay``.
        keypoints: names of those that are learned; None: all.

    Raises:
        DataError: it cannot be read, has other keypoints, or nothing in it is labelled.
    """
    test = select_keypoints(read_project(source), keypoints, f"{source}: data.keypoints")
    test = add_replayed(test, replayed, dataset.skeleton)
    with_keypoints_of(test, dataset.skeleton, source)
    images = [image for image in test.images if is_labelled(image)]
    if not images:
        raise DataError(f"{source}: no image has a labelled keypoint; a test needs some")
    return HeldOutProject(
        source,
        tuple(image.name for image in images),
        tuple(hash_image(image.image) for image in images),
        data_hash(test),
        tuple(f"test images: {note}" for note in test.notes),
    )


def leave_out_held(split: Split, dataset: LabelledDataset, held: HeldOutProject) -> Split:
    """Take the test images, if the project that is trained on has copies of them, out of all other parts.

    Raises:
        DataError: nothing is left to train on.
    """
    there = frozenset(held.hashes)

    def keep(rows: Sequence[int]) -> tuple[int, ...]:
        return tuple(row for row in rows if hash_image(dataset.images[row].image) not in there)

    train, validation = keep(split.train), keep(split.validation)
    left = len(split.train) + len(split.validation) - len(train) - len(validation)
    if not train:
        raise DataError(
            f"{held.source}: holds all {len(split.train)} training images of {dataset.root}; name a project of "
            "other images"
        )
    notes = split.notes
    if split.test:
        note = f"{len(split.test)} images that the split holds out are left out: {held.source} is the test"
        notes = (*notes, note)
    if left:
        notes = (*notes, f"{left} images are test images of {held.source}, too, and are not trained on")
    return replace(split, train=train, validation=validation, test=(), notes=notes)
