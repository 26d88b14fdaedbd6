"""Read the shuffles of a DeepLabCut project: its splits into training and test images.

A shuffle is a file ``Documentation_data-<task>_<percent>shuffle<k>.pickle`` in
``training-datasets/iteration-N/UnaugmentedDataSet_...``, which holds row numbers of the table
``CollectedData_<scorer>`` beside it. The pickle is read as data (:mod:`pose_deeplabcut.plain_pickle`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_core.errors import DataError
from pose_core.structures import ProjectSplit
from pose_deeplabcut.csv_table import read_csv
from pose_deeplabcut.hdf_frame import read_h5
from pose_deeplabcut.label_files import split_image_name
from pose_deeplabcut.plain_pickle import Inert, UnsafePickleError, load_inert
from pose_deeplabcut.tables import LabelTable

_PICKLE = re.compile(r"Documentation_data-.+_(\d+)shuffle(\d+)\.pickle")
_ITERATION = re.compile(r"iteration-(\d+)")
_MODEL_FOLDER = re.compile(r".*-trainset(\d+)shuffle(\d+)")
_PARTS = ("training", "test")


@dataclass(frozen=True, order=True)
class Shuffle:
    """A shuffle; the newest is the largest.

    Attributes:
        iteration, number, percent: iteration of the project, number of the shuffle, and the percentage of
            images that it trains on.
        path: of the pickle.
    """

    iteration: int
    number: int
    percent: int
    path: Path

    @property
    def name(self) -> str:
        """``iteration-0/trainset95shuffle1``, as DeepLabCut names folders of models."""
        return f"iteration-{self.iteration}/trainset{self.percent}shuffle{self.number}"


def find_shuffles(root: Path) -> list[Shuffle]:
    """Find the shuffles of a project, the newest last: the last iteration, and in it the highest number.

    Args:
        root: folder of config.yaml.
    """
    found = []
    # Numbers and not times of files: a copied project has the time of copying everywhere.
    for path in (root / "training-datasets").glob("iteration-*/*/Documentation_data-*.pickle"):
        name, iteration = _PICKLE.fullmatch(path.name), _ITERATION.fullmatch(path.parts[-3])
        if name is not None and iteration is not None:
            found.append(Shuffle(int(iteration[1]), int(name[2]), int(name[1]), path))
    return sorted(found)


def find_shuffle_of(snapshot: Path) -> Shuffle | None:
    """Find the shuffle that a snapshot was trained on, by the folders that it lies in; None if there is none.

    Snapshots lie in ``dlc-models-pytorch/iteration-N/<task><date>-trainset<percent>shuffle<k>/train``.
    """
    folders = snapshot.absolute().parents
    for folder, above, root in zip(folders, folders[1:], folders[3:], strict=False):
        name, iteration = _MODEL_FOLDER.fullmatch(folder.name), _ITERATION.fullmatch(above.name)
        if name is None or iteration is None:
            continue
        wanted = int(iteration[1]), int(name[2]), int(name[1])
        for shuffle in find_shuffles(root):
            if (shuffle.iteration, shuffle.number, shuffle.percent) == wanted:
                return shuffle
    return None


def read_shuffle(shuffle: Shuffle) -> ProjectSplit:
    """Read the images of a shuffle, under the names that the reader of projects gives them.

    Raises:
        DataError: the pickle or the table cannot be used; nothing in the pickle is run.
    """
    content = _load(shuffle.path)
    table = _read_table(shuffle.path)
    names = [f"labeled-data/{folder}/{file}" for folder, file in map(split_image_name, table.images)]
    parts = []
    for part, rows in zip(_PARTS, content, strict=True):
        # DeepLabCut fills up with -1 where the fraction would not come out.
        numbers = [row for row in rows if row != -1]
        if wrong := [row for row in numbers if not 0 <= row < len(names)]:
            raise DataError(
                f"{shuffle.path}: names row {wrong[0]} of {table.path.name} as a {part} image, which has "
                f"{len(names)} rows; make the training dataset anew in DeepLabCut"
            )
        parts.append(tuple(dict.fromkeys(names[row] for row in numbers)))
    train, test = parts
    return ProjectSplit(train, test)


def add_newer(split: ProjectSplit, labelled: Iterable[str], known: Iterable[str]) -> ProjectSplit:
    """Train on images that were labelled after the shuffle was made, too.

    Args:
        split: of the shuffle.
        labelled: names of the images of the project.
        known: names of the images that the table beside the shuffle has.
    """
    there = set(known)
    newer = tuple(name for name in labelled if name not in there)
    if not newer:
        return split
    note = f"{len(newer)} images were labelled after the shuffle was made: they are trained on"
    return ProjectSplit((*split.train, *newer), split.test, (), (*split.notes, note))


def list_known(shuffle: Shuffle) -> tuple[str, ...]:
    """List the images of the table beside a shuffle.

    Raises:
        DataError: the table cannot be read.
    """
    images = _read_table(shuffle.path).images
    return tuple(f"labeled-data/{folder}/{file}" for folder, file in map(split_image_name, images))


def _read_table(pickled: Path) -> LabelTable:
    folder = pickled.parent
    # CSV where the HDF5 file was not copied along.
    for pattern, read in (("CollectedData_*.h5", read_h5), ("CollectedData_*.csv", read_csv)):
        if files := sorted(folder.glob(pattern)):
            return read(files[0])
    raise DataError(
        f"{pickled}: has no CollectedData table beside it, whose rows it numbers; restore it, or make the "
        "training dataset anew in DeepLabCut"
    )


def _load(path: Path) -> tuple[list[int], list[int]]:
    try:
        content = load_inert(path.read_bytes())
        if not isinstance(content, (list, tuple)) or len(content) < 3:
            raise UnsafePickleError("it holds no list of labels, training rows and test rows")
        return _read_integers(content[1]), _read_integers(content[2])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnsafePickleError as error:
        raise DataError(
            f"{path}: is no split of DeepLabCut ({error}); set data.split.name to null, or make the training "
            "dataset anew in DeepLabCut"
        ) from None


def _read_integers(value: object) -> list[int]:
    """Read whole numbers: a list of them, or the parts of a numpy array that was never made."""
    if isinstance(value, Inert):
        return _decode_array(value)
    if not isinstance(value, (list, tuple)):
        raise UnsafePickleError("its rows are no list")
    numbers = [_decode_scalar(item) if isinstance(item, Inert) else item for item in value]
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in numbers):
        raise UnsafePickleError("its rows are no whole numbers")
    return numbers


def _decode_array(array: Inert) -> list[int]:
    """Decode a pickled array of integers: numpy's ``_frombuffer`` (protocol 5) or ``_reconstruct``."""
    if array.name == "_frombuffer" and len(array.arguments) >= 2:
        return _decode(array.arguments[0], array.arguments[1])
    state = array.state
    if array.name == "_reconstruct" and isinstance(state, tuple) and len(state) == 5:
        return _decode(state[4], state[2])
    raise UnsafePickleError(f"its rows are a {array.name}")


def _decode_scalar(scalar: Inert) -> int:
    if (
        scalar.name == "scalar"
        and len(scalar.arguments) == 2
        and len(numbers := _decode(scalar.arguments[1], scalar.arguments[0])) == 1
    ):
        return numbers[0]
    raise UnsafePickleError(f"one of its rows is a {scalar.name}")


def _decode(data: object, kind: object) -> list[int]:
    # Protocols below 3 write bytes as text with a call that decodes it, and none as a call without arguments.
    if isinstance(data, Inert) and data.name in ("encode", "bytes"):
        data = data.arguments[0] if data.arguments else b""
    if isinstance(data, str):
        data = data.encode("latin1", errors="replace")
    if not isinstance(data, (bytes, bytearray)) or not isinstance(kind, Inert) or kind.name != "dtype":
        raise UnsafePickleError("its rows are damaged")
    code = kind.arguments[0] if kind.arguments else None
    order = kind.state[1] if isinstance(kind.state, tuple) and len(kind.state) > 1 else "<"
    if (
        not isinstance(code, str)
        or not re.fullmatch(r"[iu][1248]", code)
        or order not in ("<", ">", "|", "=")
    ):
        raise UnsafePickleError("its rows are no whole numbers")
    if len(data) % int(code[1]):
        raise UnsafePickleError("its rows are damaged")
    return [int(number) for number in np.frombuffer(bytes(data), np.dtype(f"{order}{code}"))]
