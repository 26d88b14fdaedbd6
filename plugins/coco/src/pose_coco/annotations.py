"""Read a COCO JSON file into checked arrays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_coco.categories import (
    Category,
    choose_categories,
    describe_categories,
    name_keypoints,
    parse_categories,
    read_limbs,
)
from pose_coco.config import CocoReaderConfig
from pose_coco.entries import Entry, call, check_object, check_unique, get_integer, get_list
from pose_coco.keypoint_fields import (
    Part,
    count_keypoints,
    find_face_pairs,
    find_parts,
    parse_keypoints,
    parse_numbers,
)
from pose_core.errors import DataError, listed
from pose_core.io.text import detect_encoding, read_text

POINT = "centroid"
"""Name of the keypoint of files that label boxes only."""

_FAR = 1e9
"""Pixels; no image is that large."""


@dataclass(frozen=True)
class ImageEntry:
    """One entry of ``images``.

    Attributes:
        id: of the image.
        file_name: as written there, with forward slashes.
        width, height: pixels; 0 where not given.
    """

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Annotations:
    """The A annotations of the chosen categories.

    Attributes:
        path: of the file.
        images: all images.
        categories: the chosen ones, which have the same keypoints.
        names: the K keypoints that are read: those of the categories, and of parts in fields of their own.
        limbs: pairs of these names.
        pairs: of names that change places in a mirror and do not tell it.
        image: (A,) int64 row in ``images``.
        keypoints: (A, K, 3) float64 x, y, visibility (0 not labelled, 1 hidden, 2 visible).
        boxes: (A, 4) float64 x, y, width, height as in the file; NaN where there is none.
        areas: (A,) float64; NaN where not given.
        crowd: (A,) bool, a region with many animals.
        notes: what was read though it is not as COCO has it.
    """

    path: Path
    images: tuple[ImageEntry, ...]
    categories: tuple[Category, ...]
    names: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    image: npt.NDArray[np.int64]
    keypoints: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]
    notes: tuple[str, ...] = field(default=())


def looks_like_coco(path: Path) -> bool:
    """Test for a JSON file with COCO's three lists, and keypoints or boxes. Never raises."""
    if path.suffix.lower() != ".json":
        return False
    wanted = {'"images"', '"annotations"', '"categories"'}
    labels = {'"keypoints"', '"bbox"'}
    labelled = False
    try:
        with path.open("rb") as start:
            encoding = detect_encoding(start.read(4))
        # Only the keys are searched for: parsing hundreds of
        # megabytes to recognise a file would take seconds.
        with path.open(encoding=encoding, errors="replace") as stream:
            tail = ""
            while (wanted or not labelled) and (block := stream.read(1 << 22)):
                text = tail + block
                labelled |= any(key in text for key in labels)
                wanted = {key for key in wanted if key not in text}
                # A key may lie across two blocks.
                tail = block[-16:]
    except (OSError, ValueError):
        return False
    return labelled and not wanted


def load_json(path: Path) -> object:
    """Load a JSON file.

    Raises:
        DataError: it cannot be read or is not valid JSON; names the line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}: is not valid JSON ({error.msg})") from None
    # Python refuses to convert a number of thousands of digits.
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{path}: is nested too deeply for COCO annotations") from None


def read_annotations(path: Path, config: CocoReaderConfig) -> Annotations:
    """Read and check a COCO JSON file.

    Args:
        path: of the file.
        config: says which category and which fields are read.

    Raises:
        DataError: the file is not of this format, or contradicts itself; names file and id.
    """
    content = check_object(path, load_json(path))
    images = parse_images(path, content)
    notes: list[str] = []
    every = parse_categories(path, content)
    annotations = get_list(path, content, "annotations")
    check_unique(
        path, "annotation", ((get_integer(path, "annotation", a, "id"), "") for a in annotations if "id" in a)
    )
    usable = list(_find_usable(path, annotations, every, images, notes))
    categories = [
        c if c.keypoints else name_keypoints(path, c, _count_in(usable, c.id), notes) for c in every
    ]
    if not any(c.keypoints for c in categories):
        categories = name_points_of_boxes(path, categories, usable, notes)
    chosen = choose_categories(path, [c for c in categories if c.keypoints], config.category)
    notes += describe_categories(chosen, [c for c in categories if not c.keypoints])
    chosen_ids = {c.id for c in chosen}
    kept = [annotation for annotation, category, _ in usable if category in chosen_ids]
    wanted = None if config.fields == "all" else config.fields
    parts = find_parts(path, kept, chosen[0].keypoints, wanted, notes)
    limbs = read_limbs(path, chosen[0], config.skeleton, notes)
    names = _join_names(path, parts)
    return Annotations(
        path=path,
        images=images,
        categories=chosen,
        names=names,
        limbs=tuple(limb for limb in limbs if set(limb) <= set(names)),
        pairs=tuple(find_face_pairs(parts)),
        image=np.array([row for _, category, row in usable if category in chosen_ids], np.int64),
        keypoints=parse_keypoints(path, kept, parts),
        boxes=_parse_boxes(path, kept),
        areas=_parse_areas(path, kept),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in kept], bool),
        notes=tuple(notes),
    )


def name_points_of_boxes(
    path: Path,
    categories: Sequence[Category],
    usable: Sequence[tuple[Entry, int, int]],
    notes: list[str],
) -> list[Category]:
    """Give the categories of a file of boxes, which has no keypoints, one that is nowhere labelled.

    Detectors and centroid models learn boxes; a pose network refuses a project without a labelled keypoint.
    """
    boxed = {category for annotation, category, _ in usable if annotation.get("bbox") is not None}
    if boxed:
        notes.append(
            f"{path}: no category has keypoints; its boxes are read, which detectors and centroid models learn"
        )
    return [replace(c, keypoints=(POINT,)) if c.id in boxed else c for c in categories]


def _find_usable(
    path: Path,
    annotations: Sequence[Entry],
    categories: Sequence[Category],
    images: Sequence[ImageEntry],
    notes: list[str],
) -> Iterator[tuple[Entry, int, int]]:
    """Find the annotations of listed categories on listed images, with category and row of the image.

    COCO's own tools read what is left over without a word: files of a part of the images keep the annotations
    of all. All of them left over is a mistake.
    """
    known = {category.id for category in categories}
    rows = {image.id: row for row, image in enumerate(images)}
    strange: Counter[int] = Counter()
    nowhere: Counter[int] = Counter()
    first: dict[str, str] = {}
    for annotation in annotations:
        category = get_integer(path, "annotation", annotation, "category_id")
        image = get_integer(path, "annotation", annotation, "image_id")
        if category not in known:
            strange[category] += 1
            first.setdefault("category", call(annotation))
        elif image not in rows:
            nowhere[image] += 1
            first.setdefault("image", call(annotation))
        else:
            yield annotation, category, rows[image]
    for what, found, there in (
        ("category", strange, [f"{c.id} ({c.name})" for c in categories]),
        ("image", nowhere, [str(image.id) for image in images]),
    ):
        if not found:
            continue
        ids = listed([str(number) for number in found], ", ")
        count = "1 annotation is" if found.total() == 1 else f"{found.total()} annotations are"
        said = f"{count} of a {what} that is not listed (id {ids}; the first is {first[what]})"
        if found.total() == len(annotations):
            raise DataError(
                f"{path}: {said}, and no annotation is of one that is: {listed(there, ', ') or 'none'}; "
                f"correct {what}_id or the ids in {'categories' if what == 'category' else 'images'}"
            )
        notes.append(f"{path}: {said}; left out")


def _count_in(usable: Sequence[tuple[Entry, int, int]], category: int) -> Iterator[tuple[str, int]]:
    """Count the keypoints of each annotation of a category that has any."""
    for annotation, own, _ in usable:
        if own == category and (count := count_keypoints(annotation)):
            yield call(annotation), count


def _join_names(path: Path, parts: Sequence[Part]) -> tuple[str, ...]:
    names = [name for part in parts for name in part.names]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: keypoint {listed([repr(name) for name in twice], ', ')} is in two fields")
    return tuple(names)


def parse_images(path: Path, content: object) -> tuple[ImageEntry, ...]:
    """Parse the images that a COCO file lists.

    Args:
        path: of the file, for messages.
        content: of the file.

    Raises:
        DataError: an id or file name is missing, or is used twice.
    """
    entries = []
    for image in get_list(path, check_object(path, content), "images"):
        number = get_integer(path, "image", image, "id")
        name = image.get("file_name")
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: image {number} has no file_name")
        size = [image.get(side) for side in ("width", "height")]
        width, height = (
            int(side) if isinstance(side, int | float) and 0 < side < _FAR else 0 for side in size
        )
        # Annotation tools on Windows write backslashes.
        entries.append(ImageEntry(number, name.replace("\\", "/"), width, height))
    check_unique(path, "image", ((entry.id, entry.file_name) for entry in entries))
    names: dict[str, int] = {}
    twice = []
    for entry in entries:
        if entry.file_name in names:
            first = names[entry.file_name]
            twice.append(f"images {first} and {entry.id} have the same file_name {entry.file_name!r}")
        names.setdefault(entry.file_name, entry.id)
    if twice:
        raise DataError(f"{path}: {listed(twice)}")
    return tuple(entries)


def _parse_boxes(path: Path, annotations: Sequence[Entry]) -> npt.NDArray[np.float64]:
    blank: list[object] = [np.nan] * 4
    values: list[list[object]] = []
    wrong = []
    for annotation in annotations:
        box = annotation.get("bbox") or blank
        if not isinstance(box, list) or len(box) != 4:
            wrong.append(f"bbox of {call(annotation)} is {box!r}")
            box = blank
        values.append(box)
    if wrong:
        raise DataError(f"{path}: {listed(wrong, ', ')}, not [x, y, width, height]")
    found = parse_numbers(path, annotations, values, "bbox", _FAR, 4)
    # Tools write [0, 0, 0, 0] for an animal that has only keypoints.
    found[~(found[:, 2:] > 0).all(axis=1)] = np.nan
    return found


def _parse_areas(path: Path, annotations: Sequence[Entry]) -> npt.NDArray[np.float64]:
    values: list[list[object]] = [[np.nan if a.get("area") is None else a["area"]] for a in annotations]
    found = parse_numbers(path, annotations, values, "area", _FAR**2, 1)[:, 0]
    return np.where(found > 0, found, np.nan)
