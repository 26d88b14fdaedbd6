"""Reading the HDF5 files that pandas writes, without pandas and without running anything that a file contains.

``pandas.read_hdf`` opens files with PyTables, which unpickles every attribute, and so runs whatever code a file from
elsewhere carries. Here files are opened with h5py; what pandas pickles (names of columns) goes through
:func:`~pose_deeplabcut.plain_pickle.load_plain`, and what it stores as pickled objects is refused. Both layouts of
pandas are read: ``format="table"`` (DeepLabCut's predictions) and ``format="fixed"`` (labels saved by its napari GUI).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_deeplabcut.columns import Columns
from pose_deeplabcut.plain_pickle import UnsafePickleError, load_plain
from pose_deeplabcut.tables import LabelTable

_KEYS = ("df_with_missing", "keypoints")
"""Under which DeepLabCut and its napari GUI store tables."""

RowName = tuple[str, ...] | int


class StoredFrame(ABC):
    """A pandas table inside an open HDF5 file.

    Attributes:
        columns: C of them.
        length: number of rows R.
    """

    columns: Columns
    length: int

    @abstractmethod
    def names(self, start: int, stop: int) -> list[RowName]:
        """What names some rows: a number, or strings."""

    @abstractmethod
    def values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """(stop - start, C) values of some rows."""


@contextmanager
def open_frame(path: Path) -> Iterator[StoredFrame]:
    """The pandas table in an HDF5 file.

    Raises:
        DataError: the file cannot be read, holds no table of DeepLabCut, or holds pickled objects.
    """
    with ExitStack() as stack:
        with _one_line(path):
            file = stack.enter_context(h5py.File(path, "r"))
            group = _group(file, path)
            frame = (_TableFrame if _text(group, "pandas_type") == "frame_table" else _FixedFrame)(group, path)
        yield frame


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn everything that a strange or damaged file can make h5py raise into one line."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as HDF5 ({reason})") from None
    except UnsafePickleError as error:
        raise DataError(
            f"{path}: holds pickled objects that can run code, which are not read ({error}); "
            "save the table as CSV where you trust it"
        ) from None
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is damaged, or not a table that pandas wrote ({reason})") from None


def read_h5(path: Path) -> LabelTable:
    """Read an HDF5 file of labels.

    Raises:
        DataError: as :func:`open_frame`; or a value is infinite.
    """
    with open_frame(path) as frame:
        names = [(str(name),) if isinstance(name, int) else name for name in frame.names(0, frame.length)]
        values = frame.values(0, frame.length)
        rows = [f"row {i + 1}" for i in range(frame.length)]
        return LabelTable(path, frame.columns, names, values, rows).checked()


class _TableFrame(StoredFrame):
    """``format="table"``: one HDF5 table with a column of row names and blocks of values."""

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self._path = path
        self._table: h5py.Dataset = group["table"]
        self._encoding = _text(group, "encoding") or "UTF-8"
        self.length = len(self._table)
        self._blocks = [name for name in self._table.dtype.names if name != "index"]
        if "index" not in self._table.dtype.names or not self._blocks:
            raise ValueError("it has no index or no values")
        tuples: list[Any] = []
        for block in self._blocks:
            if self._table.dtype[block].base.kind not in "fiu":
                raise UnsafePickleError(f"{block} holds no numbers")
            tuples += load_plain(_bytes(self._table, f"{block}_kind"))
        self.columns = _columns(tuples, path)

    def names(self, start: int, stop: int) -> list[RowName]:
        with _one_line(self._path):
            return _names(np.asarray(self._table.fields("index")[start:stop]), self._encoding)

    def values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        with _one_line(self._path):
            rows = self._table[start:stop]
            blocks = [np.asarray(rows[block], np.float64).reshape(len(rows), -1) for block in self._blocks]
            return _fitting(np.concatenate(blocks, axis=1), len(rows), self.columns)


class _FixedFrame(StoredFrame):
    """``format="fixed"``: an array for each level of the indices and for each block of values."""

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self._path = path
        self._encoding = _text(group, "encoding") or "UTF-8"
        tuples: list[Any] = []
        self._blocks: list[h5py.Dataset] = []
        for i in range(int(group.attrs["nblocks"])):
            block = group[f"block{i}_values"]
            if _text(block, "CLASS") == "VLARRAY" or block.dtype.kind not in "fiu":
                raise UnsafePickleError(f"block{i}_values holds objects, not numbers")
            tuples += self._axis(group, f"block{i}_items")
            self._blocks.append(block)
        self._rows = self._axis(group, "axis1")
        self.length = len(self._rows)
        self.columns = _columns(tuples, path)

    def names(self, start: int, stop: int) -> list[RowName]:
        return self._rows[start:stop]

    def values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        if not self.length:
            return np.zeros((0, len(self.columns.tuples)))
        with _one_line(self._path):
            parts = [
                block[start:stop] if block.attrs.get("transposed", 0) else block[:, start:stop].T
                for block in self._blocks
            ]
            rows = len(self._rows[start:stop])
            return _fitting(np.concatenate(parts, axis=1).astype(np.float64), rows, self.columns)

    def _axis(self, group: h5py.Group, name: str) -> list[RowName]:
        if _text(group, f"{name}_variety") != "multi":
            return self._level(group, name)
        levels = int(group.attrs[f"{name}_nlevels"])
        columns = []
        for i in range(levels):
            names = [str(n) if isinstance(n, int) else n[0] for n in self._level(group, f"{name}_level{i}")]
            columns.append([names[code] for code in _array(group[f"{name}_label{i}"])])
        return list(zip(*columns, strict=True))

    def _level(self, group: h5py.Group, name: str) -> list[RowName]:
        node = group[name]
        if _text(node, "CLASS") == "VLARRAY":
            raise UnsafePickleError(f"{name} holds objects, not text or numbers")
        return _names(_array(node), self._encoding)


def _group(file: h5py.File, path: Path) -> h5py.Group:
    groups = {
        name: node
        for name, node in file.items()
        if isinstance(node, h5py.Group) and _text(node, "pandas_type") in ("frame_table", "frame")
    }
    if not groups:
        raise DataError(f"{path}: holds no table of pandas, as DeepLabCut's files do")
    for key in _KEYS:
        if key in groups:
            return groups[key]
    if len(groups) > 1:
        raise DataError(f"{path}: holds several tables ({', '.join(groups)}), none of them called {_KEYS[0]}")
    return next(iter(groups.values()))


def _columns(tuples: list[Any], path: Path) -> Columns:
    names = [[str(name) for name in (column if isinstance(column, tuple) else (column,))] for column in tuples]
    return Columns.found(names, str(path))


def _array(node: h5py.Dataset) -> npt.NDArray[Any]:
    # PyTables cannot store an empty array; pandas then says its shape in an attribute.
    if "shape" in node.attrs and 0 in np.atleast_1d(node.attrs["shape"]):
        return np.zeros(0, np.int64)
    found: npt.NDArray[Any] = node[()]
    return found


def _fitting(values: npt.NDArray[np.float64], rows: int, columns: Columns) -> npt.NDArray[np.float64]:
    """(R, C) values, if there are as many as names of rows and columns."""
    if values.shape != (rows, len(columns.tuples)):
        raise ValueError(
            f"its values have shape {values.shape}, but it names {rows} rows and {len(columns.tuples)} columns"
        )
    return values


def _names(values: npt.NDArray[Any], encoding: str) -> list[RowName]:
    if values.dtype.kind == "S":
        return [(text.decode(encoding),) for text in values.tolist()]
    if values.dtype.kind in "iu":
        return [int(value) for value in values]
    if values.dtype.kind == "f":
        return [(f"{value:g}",) for value in values]
    raise UnsafePickleError(f"an index of type {values.dtype}")


def _bytes(node: h5py.Group | h5py.Dataset, name: str) -> bytes:
    value = node.attrs[name]
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise UnsafePickleError(f"attribute {name} is no text")
    return bytes(value)


def _text(node: h5py.Group | h5py.Dataset, name: str) -> str:
    value = node.attrs.get(name, "")
    if isinstance(value, bytes):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
