"""Split images into training, validation and test."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_core.errors import ConfigError, DataError, setting
from pose_core.io.names import NameIndex
from pose_core.specs import SplitSpec
from pose_core.specs.yaml_file import read_yaml
from pose_core.structures import LabelledDataset, LabelledImage, ProjectSplit

_PARTS = ("train", "validation", "test")
LEARNED = ("train", "validation")
"""Parts that a network has seen: it learned from the one, and was chosen by the other."""


@dataclass(frozen=True)
class Split:
    """Rows of ``LabelledDataset.images`` by part, each in ascending order; no row is in two parts.

    Attributes:
        train, validation, test: the rows.
        notes: one line for each thing that was left out.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    notes: tuple[str, ...] = ()


def make_split(
    dataset: LabelledDataset,
    spec: SplitSpec,
    seed: int,
    *,
    boxes: bool = False,
    brought: ProjectSplit | None = None,
) -> Split:
    """Divide the images that have a label (see :func:`is_labelled`); the others are left out with a note.

    By fractions, images are drawn singly at random. Neighbouring frames of a video look alike, so a test on
    such images says how well the model does on videos like those it was trained on; for a test on unseen
    videos or animals list the images in ``spec.file``. The draw depends on the seed and the names of the
    images only: not on their order, the place of the project or the version of a library. The test images do
    not depend on the fraction for validation. Training gets at least one image; with three images or more, so
    does each part with a fraction above 0.

    By file, every part is the list of image names given there; images in none of the lists are left out with
    a note.

    By the project's own split, images are divided as it says; a part that it does not name is drawn from its
    training images by the fraction of that part.

    Args:
        dataset: the project.
        spec: fractions or file.
        seed: of the draw, where ``spec.seed`` does not say another.
        boxes: whether boxes are all that the network needs, as a detector or one of centres does.
        brought: the project's own split, where that is taken.

    Raises:
        DataError: no image has a labelled keypoint, nor, where those will do, a box; or the project's split
            leaves nothing to train on or names an image twice.
        ConfigError: the file cannot be read, names an unknown image or names one twice.
    """
    usable = [row for row, image in enumerate(dataset.images) if is_labelled(image)]
    if not any(image.has_keypoint for image in dataset.images) and not (boxes and usable):
        raise DataError(f"{dataset.root}: no image has a labelled keypoint; label some frames first")
    notes = []
    if left_out := len(dataset.images) - len(usable):
        notes.append(f"{left_out} of {len(dataset.images)} images have no labelled keypoint and are left out")
    seed = seed if spec.seed is None else spec.seed
    if spec.file is not None:
        parts, more = _split_by_file(dataset, frozenset(usable), Path(spec.file))
        notes += more
    elif brought is not None:
        parts, more = _split_as_brought(dataset, frozenset(usable), brought, spec, seed)
        notes += more
    else:
        parts = _split_by_fractions(dataset, usable, spec, seed)
        for part, fraction in (("validation", spec.validation), ("test", spec.test)):
            if fraction and not parts[part]:
                notes.append(f"too few images ({len(usable)}) for a {part} part; label more")
    train, validation, test = (tuple(sorted(parts[part])) for part in _PARTS)
    return Split(train, validation, test, tuple(notes))


def is_labelled(image: LabelledImage) -> bool:
    """Whether an image has a labelled keypoint, or an animal of which only the box is labelled (for
    detectors)."""
    return image.has_keypoint or bool(np.isfinite(image.instances.boxes).all(axis=1).any())


def _split_by_fractions(
    dataset: LabelledDataset, usable: list[int], spec: SplitSpec, seed: int
) -> dict[str, list[int]]:
    def draw(row: int) -> bytes:
        key = f"{seed}\0{dataset.images[row].name}".encode(errors="surrogateescape")
        return hashlib.sha256(key).digest()

    # By hash and not by a generator: the draw depends on names alone, not on order or a library's version.
    order = sorted(usable, key=draw)
    count = len(order)
    least = 1 if count >= 3 else 0
    test, validation = (
        max(int(count * fraction + 0.5), least if fraction else 0)
        for fraction in (spec.test, spec.validation)
    )
    while test + validation >= count:
        if test >= validation:
            test -= 1
        else:
            validation -= 1
    # The test part comes first, so that it does not depend on the fraction for validation.
    return {
        "test": order[:test],
        "validation": order[test : test + validation],
        "train": order[test + validation :],
    }


def _split_by_file(
    dataset: LabelledDataset, usable: frozenset[int], path: Path
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    lists = read_split_lists(path)
    rows = {image.name: row for row, image in enumerate(dataset.images)}
    index = NameIndex(rows)
    owner: dict[str, str] = {}
    parts: dict[str, list[int]] = {part: [] for part in _PARTS}
    without_label = 0
    for part, names in lists.items():
        for listed in names:
            # The list may have been made where names are written in another case or form of accents.
            meant = index.match(listed)
            name = meant[0] if len(meant) == 1 else listed
            if name not in rows:
                near = difflib.get_close_matches(name, rows, n=1, cutoff=0.6)
                hint = f"did you mean {near[0]!r}?" if near else f"names look like {next(iter(rows))!r}"
                raise ConfigError(
                    f"{path}: {part} names image {name!r}, which the project does not have; {hint}"
                )
            if name in owner:
                twice = f"twice in {part}" if owner[name] == part else f"in {owner[name]} and in {part}"
                raise ConfigError(f"{path}: image {name!r} is {twice}; keep it once")
            owner[name] = part
            if rows[name] in usable:
                parts[part].append(rows[name])
            else:
                without_label += 1
    if not parts["train"]:
        raise ConfigError(f"{path}: no image of 'train' has a labelled keypoint; list images to train on")
    notes = []
    if without_label:
        notes.append(
            f"{without_label} of the images named in {path} have no labelled keypoint and are left out"
        )
    if unnamed := sum(dataset.images[row].name not in owner for row in usable):
        notes.append(f"{unnamed} labelled images are named in none of the lists of {path} and are left out")
    return parts, tuple(notes)


def _split_as_brought(
    dataset: LabelledDataset, usable: frozenset[int], brought: ProjectSplit, spec: SplitSpec, seed: int
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    rows = {image.name: row for row, image in enumerate(dataset.images)}
    index = NameIndex(rows)
    parts: dict[str, list[int]] = {part: [] for part in _PARTS}
    owner: dict[int, str] = {}
    gone: list[str] = []
    for part in _PARTS:
        for listed in getattr(brought, part):
            meant = index.match(listed)
            if len(meant) != 1:
                gone.append(listed)
                continue
            row = rows[meant[0]]
            if row in owner:
                raise DataError(
                    f"{dataset.root}: its own split has image {meant[0]!r} in {owner[row]} and in {part}; "
                    f"{setting('data.split.name=null')} draws one by fractions"
                )
            owner[row] = part
            if row in usable:
                parts[part].append(row)
    for part in ("train", "test"):
        if getattr(brought, part) and not parts[part]:
            raise DataError(
                f"{dataset.root}: its own split names {len(getattr(brought, part))} {part} images, none of which "
                f"has a label now; {setting('data.split.name=null')} draws one by fractions"
            )
    notes = list(brought.notes)
    if gone:
        notes.append(f"{len(gone)} images of the project's split have no label now, the first is {gone[0]}")
    if left := len(usable - set(owner)):
        notes.append(f"{left} labelled images are in no part of the project's split and are left out")
    # What the project does not say is drawn from what it trains on: its test images stay test images.
    drawn = SplitSpec(
        test=0.0 if parts["test"] else spec.test, validation=0.0 if parts["validation"] else spec.validation
    )
    for part, found in _split_by_fractions(dataset, parts["train"], drawn, seed).items():
        parts[part] = found if part == "train" else parts[part] + found
    return parts, tuple(notes)


def read_split_lists(path: Path) -> dict[str, list[str]]:
    """Read the lists of the file, by part."""
    try:
        content, lines = read_yaml(path)
    except ConfigError as error:
        raise ConfigError(f"data.split.file: {error}") from None
    if not content:
        raise ConfigError(f"{path}: is empty; write lists 'train', 'validation' and 'test' of image names")
    for key, names in content.items():
        if key not in _PARTS:
            start = [part for part in _PARTS if part.startswith(str(key).lower())]
            near = start or difflib.get_close_matches(str(key), _PARTS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"lists are {', '.join(_PARTS)}"
            raise ConfigError(f"{path}: line {lines[(str(key),)]}: unknown list {str(key)!r}; {hint}")
        if names is not None and not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            raise ConfigError(f"{path}: line {lines[(str(key),)]}: {key!r} must be a list of image names")
    return {part: content.get(part) or [] for part in _PARTS}
