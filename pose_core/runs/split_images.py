"""Find the images of a split in the labels as they are now, and tell which images a run was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pose_core.data.bit_depth import with_bit_depth
from pose_core.data.fingerprint import data_hash, hash_image
from pose_core.data.keypoint_order import with_keypoints_of
from pose_core.data.keypoint_subset import select_keypoints
from pose_core.data.landmarks import with_skeleton
from pose_core.data.learned_labels import learned_labels
from pose_core.data.more_keypoints import add_replayed
from pose_core.data.projects import read_project
from pose_core.data.split import LEARNED, is_labelled
from pose_core.errors import ConfigError, DataError, RunError, argument
from pose_core.io.names import find_escaped
from pose_core.runs.learned_images import list_learned
from pose_core.runs.run_folder import PROVENANCE, Run
from pose_core.specs import RunBase, RunSpec
from pose_core.structures import LabelledDataset

SPLITS = ("train", "validation", "test")
ALL = "all"
"""Every labelled image, whatever it was used for."""


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


def split_images(run: Run[RunBase], split: str, data: Path | None = None) -> SplitImages:
    """Read the project and find the images of a split by their names.

    Args:
        run: whose ``provenance.json`` names them.
        split: which part; ``all`` for every labelled image.
        data: where the project of the split is now; by default where it was at training.

    Raises:
        ConfigError: there is no split of that name.
        RunError: the run does not say its split.
        DataError: the data are gone, are other data, or the split has no images.
    """
    if split not in (*SPLITS, ALL):
        raise ConfigError(f"split {split!r} is unknown; write {', '.join(SPLITS)} or {ALL}")
    names = [] if split == ALL else find_names(run, split)
    elsewhere = find_test_data(run) if split == "test" else None
    source = data if data is not None else elsewhere or find_escaped(run.spec.data.source)
    dataset = read_source(run, source, given=data is not None)
    found = data_hash(dataset)
    if elsewhere is not None:
        dataset = with_keypoints_of(dataset, run.spec.skeleton, source)
    _check_skeleton(run, dataset, source)
    dataset = with_skeleton(dataset, run.spec.skeleton)
    if elsewhere is None:
        # Training hashes its own project once landmarks are told, which moves boxes.
        found = data_hash(dataset)
    dataset = as_learned(run, dataset)
    if split == ALL:
        rows = tuple(row for row, image in enumerate(dataset.images) if is_labelled(image))
        if not rows:
            raise DataError(f"{source}: no image has a labelled keypoint; nothing to evaluate")
        return SplitImages(dataset, rows, (_describe_learned(run, dataset, rows, source),))
    rows = find_rows(dataset, names, split, source)
    notes = []
    expected = run.provenance.get("data_hash" if elsewhere is None else "test_data_hash")
    if expected is None:
        notes.append(
            "which labels the network was trained on is not known; the split is that of its origin, by the names "
            "of images"
        )
    elif found != expected:
        notes.append(
            "the labels or images of the project have changed since training; the split is by image names"
        )
    return SplitImages(dataset, rows, tuple(notes))


def find_names(run: Run[RunBase], split: str) -> list[Any]:
    """Find the names of the images of a split.

    Raises:
        RunError: the run does not say its split.
        DataError: there are none.
    """
    parts = run.provenance.get("split")
    if not isinstance(parts, dict) or not isinstance(parts.get(split), list):
        raise RunError(
            f"{run.path / PROVENANCE}: does not name the images of the {split} split; the file is damaged"
        )
    if names := _names_of(run, split):
        return names
    others = [f"{part} ({len(parts[part])} images)" for part in SPLITS if parts.get(part)]
    if not others:
        raise DataError(
            f"{run.path}: does not know which images it was trained on; "
            f"{argument('split', ALL)} measures it on every "
            f"labelled image of the project ({argument('data', 'PATH')})"
        )
    raise DataError(
        f"{run.path}: the {split} split has no images; there are {', '.join(others)}. "
        f"data.split.{split} sets its size at training"
    )


def find_rows(dataset: LabelledDataset, names: Sequence[Any], split: str, source: Path) -> tuple[int, ...]:
    """Find the images of a split in the project, by name.

    Raises:
        DataError: some are not in it.
    """
    # By name: rows shift when images are added to the project after the training.
    at = {image.name: row for row, image in enumerate(dataset.images)}
    if gone := [name for name in names if name not in at]:
        raise DataError(
            f"{source}: {len(gone)} of the {len(names)} images of the {split} split are not in it, the first "
            f"is {gone[0]}; pass {argument('data', 'PATH')} of the project that the run was trained on"
        )
    return tuple(at[name] for name in names)


def find_test_data(run: Run[RunBase]) -> Path | None:
    """Find the project of the test images, where it is another than that of the training."""
    elsewhere = run.provenance.get("test_data")
    return find_escaped(elsewhere) if isinstance(elsewhere, str) else None


def read_source(run: Run[RunBase], source: Path, *, given: bool) -> LabelledDataset:
    """Read the labelled project of a run.

    Args:
        run: says the reader and the depth of images.
        source: where the project is.
        given: whether the user named it, for messages.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    if not source.exists():
        if given:
            raise DataError(
                f"{source}: no such folder or file; {argument('data')} must name the labelled project of the "
                "run"
            )
        raise DataError(
            f"{source}: the labelled project of this run is no longer there; pass {argument('data', 'PATH')}"
        )
    # The reader of the run is that of its own project; another may be of another format.
    own = find_escaped(run.spec.data.source)
    reader = run.spec.data.reader if given or source == own else None
    dataset = select_keypoints(
        read_project(source, reader), run.spec.data.keypoints, f"{source}: data.keypoints"
    )
    dataset = add_replayed(dataset, run.spec.replayed_keypoints, run.spec.skeleton)
    return with_bit_depth(dataset, run.spec.data.decided_bit_depth())


def as_learned(run: Run[RunBase], dataset: LabelledDataset) -> LabelledDataset:
    """The labels as the network of the run learned them."""
    return learned_labels(dataset, run.spec) if isinstance(run.spec, RunSpec) else dataset


def knows_split(run: Run[RunBase]) -> bool:
    """Whether a run says which images it was trained on."""
    return any(_names_of(run, part) for part in LEARNED)


def find_learned(run: Run[RunBase], dataset: LabelledDataset, source: Path) -> frozenset[int]:
    """Find the images of a project that a run was trained on or chosen by, whatever they are called there.

    Those of the run whose weights it started from are among them.

    Images are compared by their files (:func:`pose_core.data.fingerprint.hash_image`). In the project that the
    run was trained on, the names count as well, for its images may have been stored anew.

    Args:
        run: says the images.
        dataset: the project.
        source: where it is.

    Returns:
        rows of ``dataset.images``.
    """
    hashes = set(list_learned(run))
    own = find_escaped(str(run.provenance.get("data", run.spec.data.source)))
    same = own.resolve() == source.resolve()
    # Runs without hashes know nothing but names.
    names = {name for part in LEARNED for name in _names_of(run, part)} if same or not hashes else set()
    return frozenset(
        row
        for row, image in enumerate(dataset.images)
        if image.name in names or (hashes and hash_image(image.image) in hashes)
    )


def _names_of(run: Run[RunBase], part: str) -> list[Any]:
    parts = run.provenance.get("split")
    names = parts.get(part) if isinstance(parts, dict) else None
    return names if isinstance(names, list) else []


def _describe_learned(
    run: Run[RunBase], dataset: LabelledDataset, rows: tuple[int, ...], source: Path
) -> str:
    if not knows_split(run):
        return (
            "these are all labelled images; which of them the network was trained on is not known, and errors on "
            "those are smaller than on new ones"
        )
    if learned := len(find_learned(run, dataset, source) & set(rows)):
        return (
            f"these are all labelled images: the network was trained on or chosen by {learned} of the "
            f"{len(rows)}, and errors on those are smaller than on new ones"
        )
    return "these are all labelled images; the network was trained on none of them"


def _check_skeleton(run: Run[RunBase], dataset: LabelledDataset, source: Path) -> None:
    for what in ("keypoints", "unique_keypoints"):
        trained, here = getattr(run.spec.skeleton, what), getattr(dataset.skeleton, what)
        if tuple(trained) != tuple(here):
            raise DataError(
                f"{source}: its {what.replace('_', ' ')} are {', '.join(here) or 'none'}, but the run was "
                "trained on "
                f"{', '.join(trained) or 'none'}; pass {argument('data', 'PATH')} of the "
                f"project that the run was trained on"
            )
