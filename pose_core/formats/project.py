"""Read labelled projects in the core's own format.

A project is a folder with ``project.yaml``, ``labels.csv`` and the images.

``project.yaml`` holds what a skeleton holds: ``keypoints`` (required), and ``name``, ``edges``, ``symmetry``,
``individuals``, ``identified``, ``unique_keypoints``. ``labels.csv`` has one row a labelled keypoint::

    image,individual,keypoint,x,y,occluded
    images/clip0/0007.png,animal,nose,120.5,63.25,0
    images/clip0/0007.png,,corner,4,4,0
    images/clip0/0012.png,,,,,

``image`` is relative to the folder, ``x`` and ``y`` are pixels (the centre of the top-left pixel is 0, 0),
``occluded`` is 1 for a keypoint that is labelled but hidden. Unique keypoints have no individual; with a single
individual its name may be left out. A row with only the image says that it was looked at and shows no animal. What
has no row is not labelled.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.errors import ConfigError, DataError
from pose_core.interfaces.reader import Reader
from pose_core.io.image_size import image_size, is_file
from pose_core.specs.yaml_file import read_yaml
from pose_core.structures import (
    FloatArray,
    Instances,
    LabelledDataset,
    LabelledImage,
    Skeleton,
)

PROJECT_FILE = "project.yaml"
LABEL_FILE = "labels.csv"
IMAGE_FOLDER = "images"
COLUMNS = ("image", "individual", "keypoint", "x", "y", "occluded")

_NAME_LISTS = ("keypoints", "individuals", "unique_keypoints")
_PAIR_LISTS = ("edges", "symmetry")
_KEYS = ("name", *_NAME_LISTS, *_PAIR_LISTS, "identified")


class ProjectReader(Reader):
    """Read the core's own projects, strictly: anything unknown is an error with file and line."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a folder with a ``project.yaml``, or for that file."""
        return (path / PROJECT_FILE).is_file() or (path.name == PROJECT_FILE and path.is_file())

    def read(self, path: Path) -> LabelledDataset:
        """Read the project in this folder, or the one this ``project.yaml`` belongs to.

        Images are in the order of their first label. Areas are unknown (NaN).

        Raises:
            DataError: one line with file and line number: unknown keys or names (with the nearest known one),
                duplicate labels, cells that are no numbers, images that do not exist.
        """
        folder = path if path.is_dir() else path.parent
        name, skeleton = _read_project_file(folder / PROJECT_FILE)
        table = _read_table(folder / LABEL_FILE, skeleton)
        images = _labelled_images(folder, table, skeleton)
        return LabelledDataset(
            skeleton=skeleton, images=images, root=path, name=name or folder.resolve().name, notes=_notes(folder, table)
        )


def _read_project_file(file: Path) -> tuple[str, Skeleton]:
    try:
        content, lines = read_yaml(file)
    except ConfigError as error:
        raise DataError(str(error)) from None

    def wrong(key: str, message: str) -> DataError:
        return DataError(f"{file}: line {lines[(key,)]}: {message}")

    for key in content:
        if key not in _KEYS:
            raise wrong(key, f"unknown key {key!r}; {_nearest(str(key), _KEYS)}")
    if "keypoints" not in content:
        raise DataError(f"{file}: needs 'keypoints', the list of keypoint names")
    fields: dict[str, Any] = {}
    for key in (k for k in _KEYS if k in content):
        value = content[key]
        if key in _NAME_LISTS:
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise wrong(key, f"{key} must be a list of names (text)")
            fields[key] = tuple(value)
        elif key in _PAIR_LISTS:
            if not isinstance(value, list) or not all(
                isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, str) for v in pair) for pair in value
            ):
                raise wrong(key, f"{key} must be a list of pairs of keypoint names, such as [[nose, neck]]")
            for point in (n for pair in value for n in pair):
                if point not in fields["keypoints"]:
                    raise wrong(
                        key, f"{key} name an unknown keypoint {point!r}; {_nearest(point, fields['keypoints'])}"
                    )
            fields[key] = tuple((a, b) for a, b in value)
        elif key == "identified" and not isinstance(value, bool):
            raise wrong(key, "identified must be true or false")
        elif key == "name" and not isinstance(value, str):
            raise wrong(key, "name must be text")
    name = str(content.get("name", ""))
    try:
        return name, Skeleton(**fields, identified=content.get("identified", False))
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None


@dataclass(frozen=True, eq=False)
class _Table:
    """The columns of the label file: R labels of I images.

    ``image`` (R,) indexes ``names``; ``individual`` (R,) is -1 and ``keypoint`` counts on behind the ordinary ones
    for unique keypoints; ``xy`` (R, 2); ``occluded`` (R,). ``lines`` holds the first line of each image.
    """

    names: list[str]
    lines: list[int]
    image: npt.NDArray[np.int64]
    individual: npt.NDArray[np.int64]
    keypoint: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float64]
    occluded: npt.NDArray[np.bool_]


def _read_table(file: Path, skeleton: Skeleton) -> _Table:
    rows, lines = _read_rows(file)

    def wrong(row: int, message: str) -> DataError:
        return DataError(f"{file}: line {lines[row]}: {message}")

    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        first.setdefault(row[0], number)
    if "" in first:
        raise wrong(first[""], "has no image name; every row needs one")
    at = {name: i for i, name in enumerate(first)}
    images = np.fromiter((at[row[0]] for row in rows), np.int64, len(rows))

    bare = np.fromiter((not any(row[1:]) for row in rows), bool, len(rows))
    labelled = np.bincount(images, minlength=len(at))
    for number in np.flatnonzero(bare & (labelled[images] > 1)).tolist():
        raise wrong(number, f"marks {rows[number][0]} as an image without animals, but other rows label it")
    kept = np.flatnonzero(~bare)

    unique = len(skeleton.unique_keypoints)
    keypoints = _codes(rows, kept, 2, "keypoint", (*skeleton.keypoints, *skeleton.unique_keypoints), wrong)
    individuals = _codes(rows, kept, 1, "individual", ("", *skeleton.individuals), wrong) - 1
    is_unique = keypoints >= skeleton.num_keypoints
    for i in np.flatnonzero(is_unique & (individuals >= 0)):
        raise wrong(kept[i], f"{rows[kept[i]][2]} is a unique keypoint; leave its individual empty")
    if skeleton.num_individuals == 1:
        individuals[~is_unique] = 0
    # With several individuals an animal's keypoint must name one; only a unique keypoint belongs to none.
    for i in np.flatnonzero(~is_unique & (individuals < 0)):
        raise wrong(kept[i], f"has no individual; the individuals are {', '.join(skeleton.individuals)}")

    occluded = _codes(rows, kept, 5, "occluded", ("0", "1"), wrong, empty=0).astype(bool)
    for i in np.flatnonzero(is_unique & occluded):
        raise wrong(kept[i], f"{rows[kept[i]][2]} is a unique keypoint; these cannot be occluded, write 0")
    xy = np.stack([_numbers(rows, kept, 3, "x", wrong), _numbers(rows, kept, 4, "y", wrong)], axis=1)

    # One number for each image, individual and keypoint: duplicates are neighbours once these are sorted, and the
    # stable order keeps the earlier line first for the message.
    slots = (images[kept] * (skeleton.num_individuals + 1) + individuals + 1) * (skeleton.num_keypoints + unique)
    slots += keypoints
    order = np.argsort(slots, kind="stable")
    for i in np.flatnonzero(np.diff(slots[order]) == 0)[:1]:
        a, b = kept[order[i]], kept[order[i + 1]]
        who = f"{rows[b][2]} of {rows[b][1]}" if rows[b][1] else rows[b][2]
        raise wrong(b, f"{who} is labelled twice in {rows[b][0]} (also line {lines[a]})")
    return _Table(list(at), [lines[row] for row in first.values()], images[kept], individuals, keypoints, xy, occluded)


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
        raise DataError(f"{file}: is not text in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{file}: line {table.line_num}: {error}") from None
    for name in header:
        if name not in COLUMNS:
            raise DataError(f"{file}: line 1: unknown column {name!r}; {_nearest(name, COLUMNS)}")
    if missing := [name for name in COLUMNS[:5] if name not in header]:
        raise DataError(f"{file}: line 1: lacks the column {missing[0]!r}; the columns are {','.join(COLUMNS)}")
    if len(set(header)) != len(header):
        raise DataError(f"{file}: line 1: has a column twice; the columns are {','.join(COLUMNS)}")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise DataError(f"{file}: line {line}: has {len(row)} cells, but there are {len(header)} columns")
    if not rows:
        raise DataError(f"{file}: holds no labels; add a row for each labelled keypoint")
    if header != list(COLUMNS):
        places = [header.index(name) if name in header else -1 for name in COLUMNS]
        rows = [[row[p] if p >= 0 else "" for p in places] for row in rows]
    return rows, lines


def _codes(
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
        raise wrong(kept[i], f"unknown {what} {cell!r}; {_nearest(cell, known)}" if cell else f"{what} is empty")
    return codes


def _numbers(
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
        values = np.fromiter((_number(rows[i][column]) for i in kept), np.float64, len(kept))
    # Written so that NaN fails, too: it is not smaller than anything.
    for i in np.flatnonzero(~(np.abs(values) < 1e9)):
        cell = rows[kept[i]][column]
        raise wrong(kept[i], f"{what} is {cell!r}, not a number; delete the row if the keypoint is not labelled")
    return values


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _labelled_images(folder: Path, table: _Table, skeleton: Skeleton) -> tuple[LabelledImage, ...]:
    order = np.argsort(table.image, kind="stable")
    bounds = np.searchsorted(table.image[order], np.arange(len(table.names) + 1))
    found = []
    for i, name in enumerate(table.names):
        where = f"{folder / LABEL_FILE}: line {table.lines[i]}: image {name!r}"
        pure = PurePosixPath(name)
        # A project can be copied to another machine, and reads no file outside its folder.
        if pure.is_absolute() or ".." in pure.parts:
            raise DataError(f"{where} must be named relative to the project's folder and lie in it")
        file = folder / pure
        if not is_file(file):
            absent = sum(not is_file(folder / other) for other in table.names)
            raise DataError(f"{where} does not exist ({absent} of {len(table.names)} images are missing)")
        width, height = image_size(file)
        found.append(_labelled_image(file, name, width, height, table, order[bounds[i] : bounds[i + 1]], skeleton))
    return tuple(found)


def _labelled_image(
    file: Path, name: str, width: int, height: int, table: _Table, rows: npt.NDArray[np.int64], skeleton: Skeleton
) -> LabelledImage:
    individual, keypoint, xy = table.individual[rows], table.keypoint[rows], table.xy[rows]
    animal = individual >= 0
    present, number = np.unique(individual[animal], return_inverse=True)
    points: FloatArray = np.full((len(present), skeleton.num_keypoints, 2), np.nan, np.float32)
    points[number, keypoint[animal]] = xy[animal]
    occluded = np.zeros(points.shape[:2], bool)
    occluded[number, keypoint[animal]] = table.occluded[rows][animal]
    unique: FloatArray = np.full((len(skeleton.unique_keypoints), 2), np.nan, np.float32)
    unique[keypoint[~animal] - skeleton.num_keypoints] = xy[~animal]
    instances = Instances.from_keypoints(points, identity=present)
    return LabelledImage.create(file, name, width, height, instances, occluded=occluded, unique_keypoints=unique)


def _notes(folder: Path, table: _Table) -> tuple[str, ...]:
    files = {f.relative_to(folder).as_posix() for f in (folder / IMAGE_FOLDER).rglob("*") if f.is_file()}
    without = sorted(files - {PurePosixPath(name).as_posix() for name in table.names})
    if not without:
        return ()
    count = f"{len(without)} files in {IMAGE_FOLDER}/ have" if len(without) > 1 else f"{without[0]} has"
    return (f"{count} no row in {LABEL_FILE} and {'are' if len(without) > 1 else 'is'} left out",)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = [n for n in known if n]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
