"""Read ``labels.csv`` of the core's own format; :mod:`pose_core.formats.project` describes its columns."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.io.text_files import describe_not_utf8
from pose_core.structures import Skeleton

COLUMNS = ("image", "frame", "individual", "keypoint", "x", "y", "occluded")
_IMAGE, _FRAME, _INDIVIDUAL, _KEYPOINT, _X, _Y, _OCCLUDED = range(len(COLUMNS))


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
    rows, lines = _read_rows(file)

    def wrong(row: int, message: str) -> DataError:
        return DataError(f"{file}: line {lines[row]}: {message}")

    first: dict[tuple[str, int | None], int] = {}
    places = []
    for number, row in enumerate(rows):
        place = row[_IMAGE], _parse_frame(row[_FRAME], number, wrong) if row[_FRAME] else None
        places.append(place)
        first.setdefault(place, number)
        if not row[_IMAGE]:
            raise wrong(number, "has no image name; every row needs one")
    at = {place: i for i, place in enumerate(first)}
    images = np.fromiter((at[place] for place in places), np.int64, len(rows))

    bare = np.fromiter((not any(row[_INDIVIDUAL:]) for row in rows), bool, len(rows))
    labelled = np.bincount(images, minlength=len(at))
    for number in np.flatnonzero(bare & (labelled[images] > 1)).tolist():
        name = place_name(*places[number])
        raise wrong(number, f"marks {name} as an image without animals, but other rows label it")
    kept = np.flatnonzero(~bare)

    unique = len(skeleton.unique_keypoints)
    keypoints = _look_up(
        rows, kept, _KEYPOINT, "keypoint", (*skeleton.keypoints, *skeleton.unique_keypoints), wrong
    )
    individuals = _look_up(rows, kept, _INDIVIDUAL, "individual", ("", *skeleton.individuals), wrong) - 1
    is_unique = keypoints >= skeleton.num_keypoints
    for i in np.flatnonzero(is_unique & (individuals >= 0)):
        raise wrong(kept[i], f"{rows[kept[i]][_KEYPOINT]} is a unique keypoint; leave its individual empty")
    if skeleton.num_individuals == 1:
        individuals[~is_unique] = 0
    # With several individuals an animal's keypoint must name one; only a unique keypoint belongs to none.
    for i in np.flatnonzero(~is_unique & (individuals < 0)):
        raise wrong(kept[i], f"has no individual; the individuals are {', '.join(skeleton.individuals)}")

    occluded = _look_up(rows, kept, _OCCLUDED, "occluded", ("0", "1"), wrong, empty=0).astype(bool)
    for i in np.flatnonzero(is_unique & occluded):
        raise wrong(
            kept[i], f"{rows[kept[i]][_KEYPOINT]} is a unique keypoint; these cannot be occluded, write 0"
        )
    xy = np.stack(
        [_parse_numbers(rows, kept, _X, "x", wrong), _parse_numbers(rows, kept, _Y, "y", wrong)], axis=1
    )

    # One number for each image, individual and keypoint: duplicates are neighbours once these are sorted, and
    # the stable order keeps the earlier line first for the message.
    slots = (images[kept] * (skeleton.num_individuals + 1) + individuals + 1) * (
        skeleton.num_keypoints + unique
    )
    slots += keypoints
    order = np.argsort(slots, kind="stable")
    for i in np.flatnonzero(np.diff(slots[order]) == 0)[:1]:
        a, b = kept[order[i]], kept[order[i + 1]]
        keypoint, individual = rows[b][_KEYPOINT], rows[b][_INDIVIDUAL]
        who = f"{keypoint} of {individual}" if individual else keypoint
        raise wrong(b, f"{who} is labelled twice in {place_name(*places[b])} (also line {lines[a]})")
    return LabelTable(
        list(at), [lines[row] for row in first.values()], images[kept], individuals, keypoints, xy, occluded
    )


def _read_rows(file: Path) -> tuple[list[list[str]], list[int]]:
    """Read all rows in the order of ``COLUMNS``, and the line of each."""
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        # Excel writes a byte order mark in front of UTF-8.
        with file.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.reader(stream, strict=True)
            header = [cell.strip() for cell in next(table, [])]
            for row in table:
                if row:
                    rows.append(row)
                    lines.append(table.line_num)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: {describe_not_utf8(file)}") from None
    except csv.Error as error:
        raise DataError(f"{file}: line {table.line_num}: {error}") from None
    for name in header:
        if name not in COLUMNS:
            raise DataError(f"{file}: line 1: unknown column {name!r}; {nearest_name(name, COLUMNS)}")
    columns = f"the columns are {','.join(COLUMNS)}; frame and occluded may be left out"
    if missing := [name for name in COLUMNS if name not in header and name not in ("frame", "occluded")]:
        raise DataError(f"{file}: line 1: lacks the column {missing[0]!r}; {columns}")
    if len(set(header)) != len(header):
        raise DataError(f"{file}: line 1: has a column twice; {columns}")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise DataError(f"{file}: line {line}: has {len(row)} cells, but there are {len(header)} columns")
    if not rows:
        raise DataError(f"{file}: holds no labels; add a row for each labelled keypoint")
    if header != list(COLUMNS):
        order = [header.index(name) if name in header else -1 for name in COLUMNS]
        rows = [[row[p] if p >= 0 else "" for p in order] for row in rows]
    return rows, lines


def _parse_frame(cell: str, row: int, wrong: Callable[[int, str], DataError]) -> int:
    if not (cell.isascii() and cell.isdecimal()):
        raise wrong(row, f"frame is {cell!r}, not the number of a frame of a video (the first is 0)")
    return int(cell)


def place_name(image: str, frame: int | None) -> str:
    """Name an image for messages: its file, or ``videos/a.mp4 frame 17``."""
    return image if frame is None else f"{image} frame {frame}"


def _look_up(
    rows: list[list[str]],
    kept: npt.NDArray[np.int64],
    column: int,
    what: str,
    known: Sequence[str],
    wrong: Callable[[int, str], DataError],
    empty: int = -1,
) -> npt.NDArray[np.int64]:
    """Look up each kept cell of a column in ``known``; an empty cell is ``empty`` unless it is known."""
    at = {name: i for i, name in enumerate(known)}
    if empty >= 0:
        at.setdefault("", empty)
    codes = np.fromiter((at.get(rows[i][column], -1) for i in kept), np.int64, len(kept))
    for i in np.flatnonzero(codes < 0):
        cell = rows[kept[i]][column]
        raise wrong(
            kept[i], f"unknown {what} {cell!r}; {nearest_name(cell, known)}" if cell else f"{what} is empty"
        )
    return codes


def _parse_numbers(
    rows: list[list[str]],
    kept: npt.NDArray[np.int64],
    column: int,
    what: str,
    wrong: Callable[[int, str], DataError],
) -> npt.NDArray[np.float64]:
    # Labels are numbers almost always: only where one is not, the slow way finds which.
    try:
        values = np.fromiter((float(rows[i][column]) for i in kept), np.float64, len(kept))
    except ValueError:
        values = np.fromiter((_parse_number(rows[i][column]) for i in kept), np.float64, len(kept))
    # Written so that NaN fails, too: it is not smaller than anything.
    for i in np.flatnonzero(~(np.abs(values) < 1e9)):
        cell = rows[kept[i]][column]
        raise wrong(
            kept[i], f"{what} is {cell!r}, not a number; delete the row if the keypoint is not labelled"
        )
    return values


def _parse_number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant, or list all of them."""
    names = [n for n in known if n]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
