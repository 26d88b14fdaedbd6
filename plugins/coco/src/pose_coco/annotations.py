"""A COCO JSON file as arrays: images, categories and annotations, checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError

ALL = "all"
_FAR = 1e9
"""Pixels; no image is so long."""
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
        skeleton: pairs of keypoint numbers, from 1; as they stand in the file.
    """

    id: int
    name: str
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of the chosen categories; A of them.

    Attributes:
        path: of the file.
        images: all images.
        categories: the chosen ones (they have the same keypoints).
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
    """Whether a file is JSON with COCO's three lists and keypoints. Never raises."""
    if path.suffix.lower() != ".json":
        return False
    wanted = {b'"images"', b'"annotations"', b'"categories"', b'"keypoints"'}
    try:
        with path.open("rb") as stream:
            tail = b""
            while wanted and (block := stream.read(1 << 22)):
                text = tail + block
                wanted = {key for key in wanted if key not in text}
                tail = block[-16:]
    except OSError:
        return False
    return not wanted


def load_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        DataError: it cannot be read or is no JSON; names the line.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}: is no valid JSON ({error.msg})") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{path}: is no usable JSON ({error})") from None
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
    content = load_json(path)
    images = image_entries(path, content)
    categories, without, known = _categories(path, content)
    chosen = _choose(path, categories, category)
    rows = {image.id: row for row, image in enumerate(images)}
    annotations = _list(path, content, "annotations")
    _unique(path, "annotation", (_integer(path, "annotation", a, "id") for a in annotations if "id" in a))
    chosen_ids = {c.id for c in chosen}
    kept, image = [], []
    for annotation in annotations:
        of = _integer(path, "annotation", annotation, "category_id")
        if of not in known:
            raise DataError(f"{path}: {_called(annotation)} is of category {of}, which is not listed")
        at = rows.get(_integer(path, "annotation", annotation, "image_id"))
        if at is None:
            raise DataError(f"{path}: {_called(annotation)} is on image {annotation['image_id']}, which is not listed")
        if of in chosen_ids:
            kept.append(annotation)
            image.append(at)
    return Annotations(
        path=path,
        images=images,
        categories=chosen,
        without_keypoints=without,
        image=np.array(image, np.int64),
        keypoints=_keypoints(path, kept, len(chosen[0].keypoints)),
        boxes=_boxes(path, kept),
        areas=_areas(path, kept),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in kept], bool),
    )


def image_entries(path: Path, content: Any) -> tuple[ImageEntry, ...]:
    """The images that the content of a COCO file lists.

    Raises:
        DataError: an id or file name is missing, or is there twice.
    """
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: is no COCO file (it has no 'images')")
    entries = []
    for image in _list(path, content, "images"):
        number = _integer(path, "image", image, "id")
        name = image.get("file_name")
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: image {number} has no file_name")
        size = [image.get(side) for side in ("width", "height")]
        width, height = (int(side) if isinstance(side, int | float) and 0 < side < _FAR else 0 for side in size)
        entries.append(ImageEntry(number, name.replace("\\", "/"), width, height))
    _unique(path, "image", (entry.id for entry in entries))
    names: dict[str, int] = {}
    for entry in entries:
        if entry.file_name in names:
            raise DataError(
                f"{path}: images {names[entry.file_name]} and {entry.id} have the same file_name {entry.file_name!r}"
            )
        names[entry.file_name] = entry.id
    return tuple(entries)


def _list(path: Path, content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = content.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(f"{path}: {key!r} must be a list of objects, as in COCO annotations")
    return value


def _integer(path: Path, what: str, item: Mapping[str, Any], key: str) -> int:
    value = item.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # Some tools write ids as text.
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 30:
        return int(value)
    raise DataError(f"{path}: {what} {item.get('id', '')} has {key} {value!r}, which is no integer".replace("  ", " "))


def _unique(path: Path, what: str, ids: Iterable[int]) -> None:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{path}: {what} id {number} is used twice; every {what} needs an id of its own")
        seen.add(number)


def _called(annotation: Mapping[str, Any]) -> str:
    return f"annotation {annotation['id']}" if "id" in annotation else "an annotation without id"


def _categories(path: Path, content: Mapping[str, Any]) -> tuple[list[Category], tuple[str, ...], set[int]]:
    """Categories with keypoints, names of those without, and all ids."""
    found, without, ids = [], [], []
    for item in _list(path, content, "categories"):
        number = _integer(path, "category", item, "id")
        ids.append(number)
        name = str(item.get("name", number))
        keypoints = item.get("keypoints") or []
        if not isinstance(keypoints, list) or not all(isinstance(k, str) and k.strip() for k in keypoints):
            raise DataError(f"{path}: category {name!r}: keypoints must be a list of names")
        if twice := sorted({k for k in keypoints if keypoints.count(k) > 1}):
            raise DataError(f"{path}: category {name!r} lists keypoint {twice[0]!r} twice")
        limbs = item.get("skeleton") or []
        if not isinstance(limbs, list) or not all(isinstance(limb, list) for limb in limbs):
            raise DataError(f"{path}: category {name!r}: skeleton must be a list of pairs of keypoint numbers")
        if keypoints:
            found.append(Category(number, name, tuple(keypoints), tuple(tuple(limb) for limb in limbs)))
        else:
            without.append(name)
    _unique(path, "category", ids)
    return found, tuple(without), set(ids)


def _choose(path: Path, categories: list[Category], wanted: str | int | None) -> tuple[Category, ...]:
    if not categories:
        raise DataError(f"{path}: no category has keypoints; these are annotations of boxes or masks only")
    listed = ", ".join(f"{c.name} (id {c.id}, {len(c.keypoints)} keypoints)" for c in categories[:8])
    listed += f" and {len(categories) - 8} more" if len(categories) > 8 else ""
    if wanted is None:
        if len(categories) > 1:
            raise DataError(
                f"{path}: several categories have keypoints: {listed}; choose one with --set data.reader.type=coco "
                "--set data.reader.category=NAME"
            )
        return (categories[0],)
    if wanted == ALL:
        different = next((c for c in categories if c.keypoints != categories[0].keypoints), None)
        if different:
            raise DataError(
                f"{path}: category: all needs categories with the same keypoints, but {different.name!r} differs from "
                f"{categories[0].name!r}; choose one of {listed}"
            )
        return tuple(categories)
    chosen = [c for c in categories if wanted in (c.name, c.id) or str(wanted) == str(c.id)]
    if len(chosen) != 1:
        problem = "is not there or has no keypoints" if not chosen else "is the name of several"
        raise DataError(f"{path}: category {wanted!r} {problem}; there are {listed}")
    return (chosen[0],)


def _keypoints(path: Path, annotations: list[dict[str, Any]], count: int) -> npt.NDArray[np.float64]:
    """(A, K, 3); an annotation without keypoints has none labelled."""
    blank = [0] * (3 * count)
    values = [a.get("keypoints") or blank for a in annotations]
    for annotation, numbers in zip(annotations, values, strict=True):
        if not isinstance(numbers, list) or len(numbers) != 3 * count:
            have = f"{len(numbers)} numbers" if isinstance(numbers, list) else repr(numbers)
            raise DataError(
                f"{path}: keypoints of {_called(annotation)} are {have}, not 3 for each of the {count} keypoints"
            )
    found = _numbers(path, annotations, values, "keypoints").reshape(-1, count, 3)
    wrong = np.argwhere(~np.isin(found[..., 2], (0, 1, 2)) | ~np.isfinite(found).all(axis=-1))
    if len(wrong):
        row, keypoint = wrong[0]
        x, y, visibility = found[row, keypoint]
        raise DataError(
            f"{path}: keypoint {keypoint + 1} of {_called(annotations[row])} is [{x:g}, {y:g}, {visibility:g}]; "
            "it must be x, y and a visibility of 0, 1 or 2"
        )
    return found


def _boxes(path: Path, annotations: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
    blank = [np.nan] * 4
    values = [a.get("bbox") or blank for a in annotations]
    for annotation, box in zip(annotations, values, strict=True):
        if not isinstance(box, list) or len(box) != 4:
            raise DataError(f"{path}: bbox of {_called(annotation)} is {box!r}, not [x, y, width, height]")
    found = _numbers(path, annotations, values, "bbox")
    # A box without extent says nothing.
    found[~(found[:, 2:] > 0).all(axis=1)] = np.nan
    return found


def _areas(path: Path, annotations: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
    values = [[np.nan if a.get("area") is None else a["area"]] for a in annotations]
    found = _numbers(path, annotations, values, "area")[:, 0]
    return np.where(found > 0, found, np.nan)


def _numbers(
    path: Path, annotations: list[dict[str, Any]], values: list[list[Any]], key: str
) -> npt.NDArray[np.float64]:
    """(A, D) numbers, all rows equally long; names the annotation that holds anything else."""
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        for annotation, numbers in zip(annotations, values, strict=True):
            for number in numbers:
                if isinstance(number, bool) or not isinstance(number, int | float):
                    text = f"{path}: {key} of {_called(annotation)} holds {number!r}, which is no number"
                    raise DataError(text) from None
        raise DataError(f"{path}: {key} of an annotation holds a number that is out of range") from None
    if not values:
        return np.zeros((0, _WIDTH.get(key, 0)))
    far = np.flatnonzero((np.abs(found) > _FAR ** (1 + (key == "area"))).any(axis=1))
    if len(far):
        raise DataError(f"{path}: {key} of {_called(annotations[far[0]])} holds a number that is out of range")
    return found
