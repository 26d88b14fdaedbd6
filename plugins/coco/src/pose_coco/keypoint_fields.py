"""The keypoints of annotations: one field ``keypoints``, or parts of the body in fields of their own.

Whole-body files (Jin et al. 2020, COCO-WholeBody) hold 17 keypoints in ``keypoints`` and 116 more in
``foot_kpts``, ``face_kpts``, ``lefthand_kpts`` and ``righthand_kpts``, each with a flag such as
``face_valid``. Any field whose name ends in ``_kpts`` is taken for such a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_coco.entries import Entry, call
from pose_core.errors import DataError, listed, setting

MAIN = "keypoints"
_SUFFIX = "_kpts"
_USUAL = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
_FAR = 1e9
"""Pixels; no image is that large."""

_FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel"))
# Of the 68 points of a face (iBUG 300-W), those that change places in a mirror, counted from 0.
_FACE = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)


@dataclass(frozen=True)
class Part:
    """A field of the annotations that holds keypoints.

    Attributes:
        field: its name.
        names: of its keypoints.
    """

    field: str
    names: tuple[str, ...]


def flatten(value: object) -> object:
    """Flatten ``[[x, y, v], ...]`` to ``[x, y, v, ...]``; anything else stays as it is."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(point, list) and len(point) == 3 for point in value)
    ):
        return [number for point in value for number in point]
    return value


def count_keypoints(annotation: Entry) -> int:
    """Count the keypoints of an annotation, labelled or not; 0 where that cannot be said."""
    numbers = flatten(annotation.get(MAIN))
    return len(numbers) // 3 if isinstance(numbers, list) and len(numbers) % 3 == 0 else 0


def find_parts(
    path: Path,
    annotations: Sequence[Entry],
    names: Sequence[str],
    wanted: Sequence[str] | None,
    notes: list[str],
) -> list[Part]:
    """Find the fields that hold keypoints, and name these.

    Args:
        path: of the file.
        annotations: of the chosen categories.
        names: of the keypoints of the category.
        wanted: fields to read; None for all.
        notes: gets a line about parts that are read or left out.

    Raises:
        DataError: a wanted field does not exist, or annotations disagree on the number of its keypoints.
    """
    present = {
        key for entry in annotations for key, value in entry.items() if key.endswith(_SUFFIX) and value
    }
    # Not as they come: animals that lack one must not change the order of keypoints.
    fields = [*(f for f in _USUAL if f in present), *sorted(present - set(_USUAL))]
    there = (MAIN, *fields)
    if unknown := [field for field in wanted or () if field not in there]:
        raise DataError(
            f"{path}: fields: no annotation has {listed([repr(f) for f in unknown], ', ')}; there are "
            f"{', '.join(there)}"
        )
    counts = {field: _count(path, annotations, field) for field in fields}
    # The category may list the keypoints of all parts, or those of the main field only.
    every = len(names) == sum(counts.values()) + max(
        (count_keypoints(annotation) for annotation in annotations), default=0
    )
    main = len(names) - sum(counts.values()) if every and counts else len(names)
    parts, taken = [Part(MAIN, tuple(names[:main]))], main
    for field, count in counts.items():
        own = tuple(names[taken : taken + count]) if every else _make_names(field, count, names)
        parts.append(Part(field, own))
        taken += count
    chosen = [part for part in parts if wanted is None or part.field in wanted]
    if read := [part for part in chosen if part.field != MAIN]:
        described = ", ".join(f"{part.field} ({len(part.names)})" for part in read)
        notes.append(
            f"{path}: keypoints in separate fields are read, too: {described}; for those of the category "
            f"alone: {setting('data.reader.type=coco', 'data.reader.fields=[keypoints]')}"
        )
    if left := [part for part in parts if part not in chosen]:
        described = ", ".join(f"{part.field} ({len(part.names)})" for part in left)
        notes.append(f"{path}: keypoints in these fields are left out: {described}")
    return chosen


def find_face_pairs(parts: Sequence[Part]) -> list[tuple[str, str]]:
    """Find the points of a face that change places in a mirror, which their numbers do not tell."""
    faces = [part.names for part in parts if part.field == f"face{_SUFFIX}" and len(part.names) == 68]
    return [(names[a], names[b]) for names in faces for a, b in _FACE]


def parse_keypoints(
    path: Path, annotations: Sequence[Entry], parts: Sequence[Part]
) -> npt.NDArray[np.float64]:
    """Parse keypoints (A, K, 3): x, y, visibility; what an annotation lacks is not labelled.

    A position counts only where the visibility is above 0: 0, -1, null and NaN are all found beside a
    visibility of 0.

    Raises:
        DataError: numbers are missing, or are no position and visibility; names ten annotations and a count.
    """
    found = [_parse_field(path, annotations, part) for part in parts]
    return np.concatenate(found, axis=1)


def _parse_field(path: Path, annotations: Sequence[Entry], part: Part) -> npt.NDArray[np.float64]:
    count = len(part.names)
    blank: list[object] = [0] * (3 * count)
    values: list[list[object]] = []
    wrong = []
    for annotation in annotations:
        numbers = flatten(annotation.get(part.field)) or blank
        # A part that the flag says is not labelled may hold anything.
        if annotation.get(f"{part.field.removesuffix(_SUFFIX)}_valid") is False:
            numbers = blank
        if not isinstance(numbers, list) or len(numbers) != 3 * count:
            have = f"{len(numbers)} numbers" if isinstance(numbers, list) else repr(numbers)
            wrong.append(f"{part.field} of {call(annotation)} are {have}")
            numbers = blank
        values.append(numbers)
    if wrong:
        raise DataError(f"{path}: {listed(wrong, ', ')}, not 3 for each of the {count} keypoints")
    found = parse_numbers(path, annotations, values, part.field, _FAR).reshape(-1, count, 3)
    seen = found[..., 2] > 0
    bad = ~np.isin(found[..., 2], (0, 1, 2)) | (seen & ~np.isfinite(found).all(axis=-1))
    if bad.any():
        points = [
            f"keypoint {k + 1} of {call(annotations[row])} is "
            f"[{', '.join(f'{value:g}' for value in found[row, k])}]"
            for row, k in np.argwhere(bad)[:11].tolist()
        ]
        rest = f" ({bad.sum()} such keypoints)" if bad.sum() > 1 else ""
        raise DataError(
            f"{path}: {listed(points[:10], ', ')}{rest}; it must be x, y and a visibility of 0, 1 or 2"
        )
    return found


def parse_numbers(
    path: Path, annotations: Sequence[Entry], values: list[list[object]], key: str, far: float, width: int = 0
) -> npt.NDArray[np.float64]:
    """Convert rows of equal length to (A, D) float64.

    Args:
        path: of the file.
        annotations: that the rows are of.
        values: numbers of each.
        key: what they are, for messages.
        far: larger numbers are refused.
        width: D where there is no row.

    Raises:
        DataError: something is not a number, or is out of range; names ten annotations and a count.
    """
    # All at once: a loop over the numbers of a large file takes much longer. Only a failure is searched for.
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        wrong = [
            f"{key} of {call(annotation)} holds {number!r}, which is not a number"
            for annotation, numbers in zip(annotations, values, strict=True)
            for number in numbers
            if number is not None and (isinstance(number, bool) or not isinstance(number, int | float))
        ]
        if wrong:
            raise DataError(f"{path}: {listed(wrong)}") from None
        raise DataError(f"{path}: {key} of an annotation holds a number that is out of range") from None
    if not values:
        return np.zeros((0, width))
    if (rows := np.flatnonzero((np.abs(found) > far).any(axis=1))).size:
        called = listed([f"{key} of {call(annotations[row])}" for row in rows.tolist()], ", ")
        raise DataError(f"{path}: {called} holds a number that is out of range")
    return found


def _count(path: Path, annotations: Iterable[Entry], field: str) -> int:
    """Count the keypoints of a part, on which all annotations must agree."""
    first: dict[int, str] = {}
    for annotation in annotations:
        numbers = flatten(annotation.get(field))
        if isinstance(numbers, list) and numbers:
            first.setdefault(len(numbers), call(annotation))
    if len(first) != 1 or next(iter(first)) % 3:
        have = listed([f"{called} has {count} numbers" for count, called in first.items()], ", ") or "no list"
        raise DataError(f"{path}: {field} must hold x, y, visibility of equally many keypoints, but {have}")
    return next(iter(first)) // 3


def _make_names(field: str, count: int, taken: Sequence[str]) -> tuple[str, ...]:
    part = field.removesuffix(_SUFFIX)
    names = _FEET if part == "foot" and count == len(_FEET) else tuple(f"{part}{i + 1}" for i in range(count))
    return tuple(f"{part}_{name}" if name in taken else name for name in names)
