"""Read a COCO JSON file into checked arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError, setting
from pose_core.io.text_files import describe_not_utf8

Annotation = dict[str, object]
"""An entry of one of the file's lists; nothing about its values is known yet."""

ALL = "all"
_FAR = 1e9
"""Pixels; no image is that large."""
_WIDTH = {"bbox": 4, "area": 1}


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


@dataclass(frozen=True)
class Category:
    """One entry of ``categories`` that has keypoints.

    Attributes:
        id, name: of the category.
        keypoints: K names.
        skeleton: pairs of keypoint numbers, from 1, unchecked.
    """

    id: int
    name: str
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, eq=False)
class Annotations:
    """The A annotations of the chosen categories.

    Attributes:
        path: of the file.
        images: all images.
        categories: the chosen ones, which have the same keypoints.
        without_keypoints: names of the categories that have no keypoints.
        image: (A,) int64 row in ``images``.
        keypoints: (A, K, 3) float64 x, y, visibility (0 not labelled, 1 hidden, 2 visible).
        boxes: (A, 4) float64 x, y, width, height as in the file; NaN where there is none.
        areas: (A,) float64; NaN where not given.
        crowd: (A,) bool, a region with many animals.
    """

    path: Path
    images: tuple[ImageEntry, ...]
    categories: tuple[Category, ...]
    without_keypoints: tuple[str, ...]
    image: npt.NDArray[np.int64]
    keypoints: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]


def looks_like_coco(path: Path) -> bool:
    """Test for a JSON file with COCO's three lists and keypoints. Never raises."""
    if path.suffix.lower() != ".json":
        return False
    wanted = {b'"images"', b'"annotations"', b'"categories"', b'"keypoints"'}
    try:
        # Only the keys are searched for: parsing hundreds of
        # megabytes to recognise a file would take seconds.
        with path.open("rb") as stream:
            tail = b""
            while wanted and (block := stream.read(1 << 22)):
                text = tail + block
                wanted = {key for key in wanted if key not in text}
                # A key may lie across two blocks.
                tail = block[-16:]
    except OSError:
        return False
    return not wanted


def load_json(path: Path) -> object:
    """Load a JSON file.

    Raises:
        DataError: it cannot be read or is not valid JSON; names the line.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: {describe_not_utf8(path)}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}: is not valid JSON ({error.msg})") from None
    # Python refuses to convert a number of thousands of digits.
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{path}: is nested too deeply for COCO annotations") from None


def read_annotations(path: Path, category: str | int | None) -> Annotations:
    """Read and check a COCO JSON file.

    Args:
        path: of the file.
        category: name or id of the category to read, ``"all"``, or None for the only one that has keypoints.

    Raises:
        DataError: the file is not of this format, or contradicts itself; names file and id.
    """
    content = _check_object(path, load_json(path))
    images = parse_images(path, content)
    categories, without, category_ids = _parse_categories(path, content)
    chosen = _choose_categories(path, categories, category)
    rows = {image.id: row for row, image in enumerate(images)}
    annotations = _get_list(path, content, "annotations")
    _check_unique(
        path, "annotation", (_get_integer(path, "annotation", a, "id") for a in annotations if "id" in a)
    )
    chosen_ids = {c.id for c in chosen}
    kept, image = [], []
    for annotation in annotations:
        category_id = _get_integer(path, "annotation", annotation, "category_id")
        if category_id not in category_ids:
            raise DataError(
                f"{path}: {_called(annotation)} is of category {category_id}, which is not listed"
            )
        row = rows.get(_get_integer(path, "annotation", annotation, "image_id"))
        if row is None:
            raise DataError(
                f"{path}: {_called(annotation)} is on image {annotation['image_id']}, which is not listed"
            )
        if category_id in chosen_ids:
            kept.append(annotation)
            image.append(row)
    return Annotations(
        path=path,
        images=images,
        categories=chosen,
        without_keypoints=without,
        image=np.array(image, np.int64),
        keypoints=_parse_keypoints(path, kept, len(chosen[0].keypoints)),
        boxes=_parse_boxes(path, kept),
        areas=_parse_areas(path, kept),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in kept], bool),
    )


def parse_images(path: Path, content: object) -> tuple[ImageEntry, ...]:
    """Parse the images that a COCO file lists.

    Args:
        path: of the file, for messages.
        content: of the file.

    Raises:
        DataError: an id or file name is missing, or is used twice.
    """
    entries = []
    for image in _get_list(path, _check_object(path, content), "images"):
        number = _get_integer(path, "image", image, "id")
        name = image.get("file_name")
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: image {number} has no file_name")
        size = [image.get(side) for side in ("width", "height")]
        width, height = (
            int(side) if isinstance(side, int | float) and 0 < side < _FAR else 0 for side in size
        )
        # Annotation tools on Windows write backslashes.
        entries.append(ImageEntry(number, name.replace("\\", "/"), width, height))
    _check_unique(path, "image", (entry.id for entry in entries))
    names: dict[str, int] = {}
    for entry in entries:
        if entry.file_name in names:
            raise DataError(
                f"{path}: images {names[entry.file_name]} and {entry.id} have the same file_name "
                f"{entry.file_name!r}"
            )
        names[entry.file_name] = entry.id
    return tuple(entries)


def _check_object(path: Path, content: object) -> Mapping[str, object]:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: is not a COCO file (it has no 'images')")
    return content


def _get_list(path: Path, content: Mapping[str, object], key: str) -> list[Annotation]:
    value = content.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(f"{path}: {key!r} must be a list of objects, as in COCO annotations")
    return value


def _get_integer(path: Path, what: str, item: Annotation, key: str) -> int:
    value = item.get(key)
    # A bool is an int in Python.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # Some tools write ids as text; longer ones than 29 digits are none of these, and slow to convert.
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 30:
        return int(value)
    text = f"{path}: {what} {item.get('id', '')} has {key} {value!r}, which is not an integer"
    raise DataError(text.replace("  ", " "))


def _check_unique(path: Path, what: str, ids: Iterable[int]) -> None:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{path}: {what} id {number} is used twice; every {what} needs an id of its own")
        seen.add(number)


def _called(annotation: Annotation) -> str:
    return f"annotation {annotation['id']}" if "id" in annotation else "an annotation without id"


def _parse_categories(
    path: Path, content: Mapping[str, object]
) -> tuple[list[Category], tuple[str, ...], set[int]]:
    """Parse the categories with keypoints, the names of those without, and all ids."""
    found, without, ids = [], [], []
    for item in _get_list(path, content, "categories"):
        number = _get_integer(path, "category", item, "id")
        ids.append(number)
        name = str(item.get("name", number))
        keypoints = item.get("keypoints") or []
        if not isinstance(keypoints, list) or not all(isinstance(k, str) and k.strip() for k in keypoints):
            raise DataError(f"{path}: category {name!r}: keypoints must be a list of names")
        if twice := sorted({k for k in keypoints if keypoints.count(k) > 1}):
            raise DataError(f"{path}: category {name!r} lists keypoint {twice[0]!r} twice")
        # Category files of detection data have null here.
        limbs = item.get("skeleton") or []
        if not isinstance(limbs, list) or not all(isinstance(limb, list) for limb in limbs):
            raise DataError(
                f"{path}: category {name!r}: skeleton must be a list of pairs of keypoint numbers"
            )
        if keypoints:
            found.append(Category(number, name, tuple(keypoints), tuple(tuple(limb) for limb in limbs)))
        else:
            without.append(name)
    _check_unique(path, "category", ids)
    return found, tuple(without), set(ids)


def _choose_categories(
    path: Path, categories: list[Category], wanted: str | int | None
) -> tuple[Category, ...]:
    if not categories:
        raise DataError(f"{path}: no category has keypoints; these are annotations of boxes or masks only")
    listed = ", ".join(f"{c.name} (id {c.id}, {len(c.keypoints)} keypoints)" for c in categories[:8])
    listed += f" and {len(categories) - 8} more" if len(categories) > 8 else ""
    if wanted is None:
        if len(categories) > 1:
            raise DataError(
                f"{path}: several categories have keypoints: {listed}; choose one with "
                f"{setting('data.reader.type=coco', 'data.reader.category=NAME')}"
            )
        return (categories[0],)
    if wanted == ALL:
        different = next((c for c in categories if c.keypoints != categories[0].keypoints), None)
        if different:
            raise DataError(
                f"{path}: category: all needs categories with the same keypoints, but {different.name!r} "
                "differs from "
                f"{categories[0].name!r}; choose one of {listed}"
            )
        return tuple(categories)
    # YAML reads category: 1 as a number, --set as text; a name may be a number, too.
    chosen = [c for c in categories if wanted in (c.name, c.id) or str(wanted) == str(c.id)]
    if len(chosen) != 1:
        problem = "does not exist or has no keypoints" if not chosen else "is the name of several"
        raise DataError(f"{path}: category {wanted!r} {problem}; choose one of {listed}")
    return (chosen[0],)


def _parse_keypoints(path: Path, annotations: list[Annotation], count: int) -> npt.NDArray[np.float64]:
    """Parse keypoints (A, K, 3); an annotation without keypoints has none labelled."""
    blank: list[object] = [0] * (3 * count)
    values: list[list[object]] = []
    for annotation in annotations:
        numbers = annotation.get("keypoints") or blank
        if not isinstance(numbers, list) or len(numbers) != 3 * count:
            have = f"{len(numbers)} numbers" if isinstance(numbers, list) else repr(numbers)
            raise DataError(
                f"{path}: keypoints of {_called(annotation)} are {have}, not 3 for each of the {count} "
                "keypoints"
            )
        values.append(numbers)
    found = _parse_numbers(path, annotations, values, "keypoints").reshape(-1, count, 3)
    wrong = np.argwhere(~np.isin(found[..., 2], (0, 1, 2)) | ~np.isfinite(found).all(axis=-1))
    if len(wrong):
        row, keypoint = wrong[0]
        x, y, visibility = found[row, keypoint]
        raise DataError(
            f"{path}: keypoint {keypoint + 1} of {_called(annotations[row])} is [{x:g}, {y:g}, "
            f"{visibility:g}]; "
            "it must be x, y and a visibility of 0, 1 or 2"
        )
    return found


def _parse_boxes(path: Path, annotations: list[Annotation]) -> npt.NDArray[np.float64]:
    blank: list[object] = [np.nan] * 4
    values: list[list[object]] = []
    for annotation in annotations:
        box = annotation.get("bbox") or blank
        if not isinstance(box, list) or len(box) != 4:
            raise DataError(f"{path}: bbox of {_called(annotation)} is {box!r}, not [x, y, width, height]")
        values.append(box)
    found = _parse_numbers(path, annotations, values, "bbox")
    # Tools write [0, 0, 0, 0] for an animal that has only keypoints.
    found[~(found[:, 2:] > 0).all(axis=1)] = np.nan
    return found


def _parse_areas(path: Path, annotations: list[Annotation]) -> npt.NDArray[np.float64]:
    values: list[list[object]] = [[np.nan if a.get("area") is None else a["area"]] for a in annotations]
    found = _parse_numbers(path, annotations, values, "area")[:, 0]
    return np.where(found > 0, found, np.nan)


def _parse_numbers(
    path: Path, annotations: list[Annotation], values: list[list[object]], key: str
) -> npt.NDArray[np.float64]:
    """Convert rows of equal length to (A, D); errors name the annotation."""
    # All at once: a loop over the numbers of a large file takes much longer. Only a failure is searched for.
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        for annotation, numbers in zip(annotations, values, strict=True):
            for number in numbers:
                if isinstance(number, bool) or not isinstance(number, int | float):
                    text = f"{path}: {key} of {_called(annotation)} holds {number!r}, which is not a number"
                    raise DataError(text) from None
        raise DataError(f"{path}: {key} of an annotation holds a number that is out of range") from None
    if not values:
        return np.zeros((0, _WIDTH.get(key, 0)))
    far = np.flatnonzero((np.abs(found) > _FAR ** (1 + (key == "area"))).any(axis=1))
    if len(far):
        raise DataError(
            f"{path}: {key} of {_called(annotations[far[0]])} holds a number that is out of range"
        )
    return found
