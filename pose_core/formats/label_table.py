"""Read ``labels.csv`` of the core's own format; :mod:`pose_core.formats.project` describes its columns."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError, listed
from pose_core.io.text import TextTable
from pose_core.structures import Skeleton

COLUMNS = ("image", "frame", "individual", "keypoint", "x", "y", "occluded")
_IMAGE, _FRAME, _INDIVIDUAL, _KEYPOINT, _X, _Y, _OCCLUDED = range(len(COLUMNS))

_Wrong = Callable[[Iterable[int], str], DataError]
"""Makes the error for some rows: what is wrong with the first, and the lines of all."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The columns of the label file: R labels of I images.

    Attributes:
        places: for each image the cell of ``image``, and the number of the frame where that is a video, else
            None.
        lines: the first line of each image.
        image: (R,) index into ``places``.
        individual: (R,) index of the individual; -1 for unique keypoints.
        keypoint: (R,) index of the keypoint; unique keypoints follow the ordinary ones.
        xy: (R, 2) pixels.
        occluded: (R,) labelled but hidden.
    """

    places: list[tuple[str, int | None]]
    lines: list[int]
    image: npt.NDArray[np.int64]
    individual: npt.NDArray[np.int64]
    keypoint: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float64]
    occluded: npt.NDArray[np.bool_]


def read_label_table(file: Path, skeleton: Skeleton) -> LabelTable:
    """Read the label file of a project.

    Raises:
        DataError: one line with file and line number.
    """
    rows, lines, parse = _read_rows(file)

    def wrong(wrong_rows: Iterable[int], message: str) -> DataError:
        numbers = [lines[row] for row in wrong_rows]
        others = f" ({_describe_lines(numbers)})" if len(numbers) > 1 else ""
        return DataError(f"{file}: line {numbers[0]}: {message}{others}")

    places = [(row[_IMAGE], _parse_frame(row[_FRAME])) for row in rows]
    for number, (row, (_, frame)) in enumerate(zip(rows, places, strict=True)):
        if frame == _NO_FRAME:
            raise wrong(
                [n for n in range(number, len(rows)) if places[n][1] == _NO_FRAME],
                f"frame is {row[_FRAME]!r}, not the number of a frame of a video (the first is 0)",
            )
    if nameless := [number for number, row in enumerate(rows) if not row[_IMAGE]]:
        raise wrong(nameless, "has no image name; every row needs one")
    first: dict[tuple[str, int | None], int] = {}
    for number, place in enumerate(places):
        first.setdefault(place, number)
    at = {place: i for i, place in enumerate(first)}
    images = np.fromiter((at[place] for place in places), np.int64, len(rows))

    bare = np.fromiter((not any(row[_INDIVIDUAL:]) for row in rows), bool, len(rows))
    labelled = np.bincount(images, minlength=len(at))
    if (both := np.flatnonzero(bare & (labelled[images] > 1))).size:
        name = place_name(*places[both[0]])
        raise wrong(both, f"marks {name} as an image without animals, but other rows label it")
    kept = np.flatnonzero(~bare)

    unique = len(skeleton.unique_keypoints)
    keypoints = _look_up(
        rows, kept, _KEYPOINT, "keypoint", (*skeleton.keypoints, *skeleton.unique_keypoints), wrong
    )
    individuals = _look_up(rows, kept, _INDIVIDUAL, "individual", ("", *skeleton.individuals), wrong) - 1
    is_unique = keypoints >= skeleton.num_keypoints
    if (owned := kept[is_unique & (individuals >= 0)]).size:
        raise wrong(owned, f"{rows[owned[0]][_KEYPOINT]} is a unique keypoint; leave its individual empty")
    if skeleton.num_individuals == 1:
        individuals[~is_unique] = 0
    # With several individuals an animal's keypoint must name one; only a unique keypoint belongs to none.
    if (ownerless := kept[~is_unique & (individuals < 0)]).size:
        raise wrong(ownerless, f"has no individual; the individuals are {', '.join(skeleton.individuals)}")

    occluded = _look_up(rows, kept, _OCCLUDED, "occluded", ("0", "1"), wrong, empty=0).astype(bool)
    if (hidden := kept[is_unique & occluded]).size:
        raise wrong(
            hidden, f"{rows[hidden[0]][_KEYPOINT]} is a unique keypoint; these cannot be occluded, write 0"
        )
    xy = np.stack(
        [_parse_numbers(rows, kept, *axis, parse, wrong) for axis in ((_X, "x"), (_Y, "y"))], axis=1
    )
    if (coded := kept[(xy == -1).all(axis=1)]).size:
        raise wrong(
            coded, "x and y are -1, which is no position; delete the row if the keypoint is not labelled"
        )

    # One number for each image, individual and keypoint: duplicates are neighbours once these are sorted, and
    # the stable order keeps the earlier line first for the message.
    slots = (images[kept] * (skeleton.num_individuals + 1) + individuals + 1) * (
        skeleton.num_keypoints + unique
    )
    slots += keypoints
    order = np.argsort(slots, kind="stable")
    if (twice := np.flatnonzero(np.diff(slots[order]) == 0)).size:
        a, b = kept[order[twice[0]]], kept[order[twice[0] + 1]]
        keypoint, individual = rows[b][_KEYPOINT], rows[b][_INDIVIDUAL]
        who = f"{keypoint} of {individual}" if individual else keypoint
        raise wrong(
            [b, *kept[order[twice[1:] + 1]]],
            f"{who} is labelled twice in {place_name(*places[b])} (also line {lines[a]})",
        )
    return LabelTable(
        list(at), [lines[row] for row in first.values()], images[kept], individuals, keypoints, xy, occluded
    )


def _describe_lines(numbers: Sequence[int]) -> str:
    return f"{len(numbers)} such lines: {listed([str(number) for number in sorted(numbers)], ', ')}"


def _read_rows(file: Path) -> tuple[list[list[str]], list[int], Callable[[str], float]]:
    """Read all rows in the order of ``COLUMNS``, the line of each, and what parses a number in them."""
    table = TextTable(file, lambda cells: "keypoint" in cells)
    found = list(table)
    header = [cell.strip() for cell in found[0][1]] if found else []
    lines, rows = [line for line, _ in found[1:]], [row for _, row in found[1:]]
    for name in header:
        if name not in COLUMNS:
            raise DataError(f"{file}: line 1: unknown column {name!r}; {nearest_name(name, COLUMNS)}")
    columns = f"the columns are {','.join(COLUMNS)}; frame and occluded may be left out"
    if missing := [name for name in COLUMNS if name not in header and name not in ("frame", "occluded")]:
        raise DataError(f"{file}: line 1: lacks the column {missing[0]!r}; {columns}")
    if len(set(header)) != len(header):
        raise DataError(f"{file}: line 1: has a column twice; {columns}")
    if odd := [(line, len(row)) for row, line in zip(rows, lines, strict=True) if len(row) != len(header)]:
        others = f" ({_describe_lines([line for line, _ in odd])})" if len(odd) > 1 else ""
        raise DataError(
            f"{file}: line {odd[0][0]}: has {odd[0][1]} cells, but there are {len(header)} columns{others}"
        )
    if not rows:
        raise DataError(f"{file}: holds no labels; add a row for each labelled keypoint")
    if header != list(COLUMNS):
        order = [header.index(name) if name in header else -1 for name in COLUMNS]
        rows = [[row[p] if p >= 0 else "" for p in order] for row in rows]
    return rows, lines, table.parse_number


_NO_FRAME = -1


def _parse_frame(cell: str) -> int | None:
    """Parse the number of a frame; None where the cell is empty, ``_NO_FRAME`` where it is no number."""
    if not cell:
        return None
    # A number that long is no frame, and slow to convert.
    return int(cell) if cell.isascii() and cell.isdecimal() and len(cell) < 20 else _NO_FRAME


def place_name(image: str, frame: int | None) -> str:
    """Name an image for messages: its file, or ``videos/a.mp4 frame 17``."""
    return image if frame is None else f"{image} frame {frame}"


def _look_up(
    rows: list[list[str]],
    kept: npt.NDArray[np.int64],
    column: int,
    what: str,
    known: Sequence[str],
    wrong: _Wrong,
    empty: int = -1,
) -> npt.NDArray[np.int64]:
    """Look up each kept cell of a column in ``known``; an empty cell is ``empty`` unless it is known."""
    at = {name: i for i, name in enumerate(known)}
    if empty >= 0:
        at.setdefault("", empty)
    codes = np.fromiter((at.get(rows[i][column], -1) for i in kept), np.int64, len(kept))
    if (unknown := kept[codes < 0]).size:
        cell = rows[unknown[0]][column]
        raise wrong(
            unknown, f"unknown {what} {cell!r}; {nearest_name(cell, known)}" if cell else f"{what} is empty"
        )
    return codes


def _parse_numbers(
    rows: list[list[str]],
    kept: npt.NDArray[np.int64],
    column: int,
    what: str,
    parse: Callable[[str], float],
    wrong: _Wrong,
) -> npt.NDArray[np.float64]:
    # Labels are numbers almost always: only where one is not, the slow way finds which.
    try:
        values = np.fromiter((parse(rows[i][column]) for i in kept), np.float64, len(kept))
    except ValueError:
        values = np.fromiter((_parse_number(rows[i][column], parse) for i in kept), np.float64, len(kept))
    # Written so that NaN fails, too: it is not smaller than anything.
    if (bad := kept[~(np.abs(values) < 1e9)]).size:
        cell = rows[bad[0]][column]
        raise wrong(bad, f"{what} is {cell!r}, not a number; delete the row if the keypoint is not labelled")
    return values


def _parse_number(cell: str, parse: Callable[[str], float]) -> float:
    try:
        return parse(cell)
    except ValueError:
        return float("nan")


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant, or list all of them."""
    names = [n for n in known if n]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
