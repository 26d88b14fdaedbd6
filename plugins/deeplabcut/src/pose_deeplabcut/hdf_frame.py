"""Read the HDF5 files that pandas writes, without running anything in them.

``pandas.read_hdf`` opens files with PyTables, which unpickles every attribute, and so runs whatever code a
file from elsewhere carries. Here files are opened with h5py; what pandas pickles (names of columns) goes
through :func:`~pose_deeplabcut.plain_pickle.load_plain`, and what it stores as pickled objects is refused.
Both layouts of
pandas are read: ``format="table"`` (DeepLabCut's predictions) and ``format="fixed"`` (labels saved by its
napari GUI).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.io.hdf5 import hdf5_errors, read_text_attribute
from pose_deeplabcut.columns import Columns
from pose_deeplabcut.plain_pickle import UnsafePickleError, load_plain
from pose_deeplabcut.tables import LabelTable

_KEYS = ("df_with_missing", "keypoints")
"""Names of the tables in files of DeepLabCut and of its napari GUI."""

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
    def read_names(self, start: int, stop: int) -> list[RowName]:
        """Read the names of some rows: a number, or strings."""

    @abstractmethod
    def read_values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Read the values (stop - start, C) of some rows."""


@contextmanager
def open_frame(path: Path) -> Iterator[StoredFrame]:
    """Open the pandas table in an HDF5 file.

    Raises:
        DataError: the file cannot be read, holds no table of DeepLabCut, or holds pickled objects.
    """
    with ExitStack() as stack:
        with _explain_errors(path):
            file = stack.enter_context(h5py.File(path, "r"))
            group = _find_group(file, path)
            frame = (
                _TableFrame if read_text_attribute(group, "pandas_type") == "frame_table" else _FixedFrame
            )(group, path)
        yield frame


@contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    """Turn everything that a strange or damaged file can make h5py raise into one line."""
    with hdf5_errors(path, "a table that pandas wrote"):
        try:
            yield
        except UnsafePickleError as error:
            raise DataError(
                f"{path}: holds pickled objects that can run code, which are not read ({error}); "
                "save the table as CSV if you trust it"
            ) from None


def read_h5(path: Path) -> LabelTable:
    """Read an HDF5 file of labels.

    Raises:
        DataError: as :func:`open_frame`; or a value is infinite.
    """
    with open_frame(path) as frame:
        names = [
            (str(name),) if isinstance(name, int) else name for name in frame.read_names(0, frame.length)
        ]
        values = frame.read_values(0, frame.length)
        rows = [f"row {i + 1}" for i in range(frame.length)]
        return LabelTable(path, frame.columns, names, values, rows).check()


class _TableFrame(StoredFrame):
    """The layout ``format="table"``: one HDF5 table with row names and blocks of values."""

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self._path = path
        self._table: h5py.Dataset = group["table"]
        self._encoding = read_text_attribute(group, "encoding") or "UTF-8"
        self.length = len(self._table)
        self._blocks = [name for name in self._table.dtype.names if name != "index"]
        if "index" not in self._table.dtype.names or not self._blocks:
            raise ValueError("it has no index or no values")
        tuples: list[object] = []
        for block in self._blocks:
            if self._table.dtype[block].base.kind not in "fiu":
                raise UnsafePickleError(f"{block} holds no numbers")
            # pandas groups columns by their type into blocks, and pickles the names of each block's columns.
            names = load_plain(_read_bytes(self._table, f"{block}_kind"))
            if not isinstance(names, (list, tuple)):
                raise ValueError(f"{block}_kind is not a list of columns")
            tuples += names
        self.columns = _make_columns(tuples, path)

    def read_names(self, start: int, stop: int) -> list[RowName]:
        with _explain_errors(self._path):
            return _decode_names(np.asarray(self._table.fields("index")[start:stop]), self._encoding)

    def read_values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        with _explain_errors(self._path):
            rows = self._table[start:stop]
            blocks = [np.asarray(rows[block], np.float64).reshape(len(rows), -1) for block in self._blocks]
            return _check_shape(np.concatenate(blocks, axis=1), len(rows), self.columns)


class _FixedFrame(StoredFrame):
    """The layout ``format="fixed"``: arrays for the levels of indices and for blocks of values."""

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self._path = path
        self._encoding = read_text_attribute(group, "encoding") or "UTF-8"
        tuples: list[object] = []
        self._blocks: list[h5py.Dataset] = []
        for i in range(int(group.attrs["nblocks"])):
            block = group[f"block{i}_values"]
            if read_text_attribute(block, "CLASS") == "VLARRAY" or block.dtype.kind not in "fiu":
                raise UnsafePickleError(f"block{i}_values holds objects, not numbers")
            tuples += self._read_axis(group, f"block{i}_items")
            self._blocks.append(block)
        self._rows = self._read_axis(group, "axis1")
        self.length = len(self._rows)
        self.columns = _make_columns(tuples, path)

    def read_names(self, start: int, stop: int) -> list[RowName]:
        return self._rows[start:stop]

    def read_values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        if not self.length:
            return np.zeros((0, len(self.columns.tuples)))
        with _explain_errors(self._path):
            # pandas holds blocks as (columns, rows), transposes them before writing, and records that.
            parts = [
                block[start:stop] if block.attrs.get("transposed", 0) else block[:, start:stop].T
                for block in self._blocks
            ]
            rows = len(self._rows[start:stop])
            return _check_shape(np.concatenate(parts, axis=1).astype(np.float64), rows, self.columns)

    def _read_axis(self, group: h5py.Group, name: str) -> list[RowName]:
        if read_text_attribute(group, f"{name}_variety") != "multi":
            return self._read_level(group, name)
        # A MultiIndex is stored as the different names of each level, and for each row a number into them.
        levels = int(group.attrs[f"{name}_nlevels"])
        columns = []
        for i in range(levels):
            names = [
                str(n) if isinstance(n, int) else n[0] for n in self._read_level(group, f"{name}_level{i}")
            ]
            columns.append([names[code] for code in _read_array(group[f"{name}_label{i}"])])
        return list(zip(*columns, strict=True))

    def _read_level(self, group: h5py.Group, name: str) -> list[RowName]:
        node = group[name]
        if read_text_attribute(node, "CLASS") == "VLARRAY":
            raise UnsafePickleError(f"{name} holds objects, not text or numbers")
        return _decode_names(_read_array(node), self._encoding)


def _find_group(file: h5py.File, path: Path) -> h5py.Group:
    groups = {
        name: node
        for name, node in file.items()
        if isinstance(node, h5py.Group)
        and read_text_attribute(node, "pandas_type") in ("frame_table", "frame")
    }
    if not groups:
        raise DataError(f"{path}: holds no table of pandas, as DeepLabCut's files do")
    for key in _KEYS:
        if key in groups:
            return groups[key]
    if len(groups) > 1:
        raise DataError(f"{path}: holds several tables ({', '.join(groups)}), none of them named {_KEYS[0]}")
    return next(iter(groups.values()))


def _make_columns(tuples: Sequence[object], path: Path) -> Columns:
    names = [
        [str(name) for name in (column if isinstance(column, tuple) else (column,))] for column in tuples
    ]
    return Columns.parse(names, str(path))


def _read_array(node: h5py.Dataset) -> npt.NDArray[np.generic]:
    # PyTables cannot store an empty array; pandas then stores its shape in an attribute.
    if "shape" in node.attrs and 0 in np.atleast_1d(node.attrs["shape"]):
        return np.zeros(0, np.int64)
    found: npt.NDArray[np.generic] = node[()]
    return found


def _check_shape(values: npt.NDArray[np.float64], rows: int, columns: Columns) -> npt.NDArray[np.float64]:
    """Return values (R, C); refuse another number than that of named rows and columns."""
    if values.shape != (rows, len(columns.tuples)):
        raise ValueError(
            f"values have shape {values.shape}, but it names {rows} rows and {len(columns.tuples)} columns"
        )
    return values


def _decode_names(values: npt.NDArray[np.generic], encoding: str) -> list[RowName]:
    if values.dtype.kind == "S":
        return [(text.decode(encoding),) for text in values.tolist()]
    if values.dtype.kind in "iu":
        return [int(value) for value in values]
    if values.dtype.kind == "f":
        return [(f"{value:g}",) for value in values]
    raise UnsafePickleError(f"an index of type {values.dtype}")


def _read_bytes(node: h5py.Group | h5py.Dataset, name: str) -> bytes:
    value = node.attrs[name]
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise UnsafePickleError(f"attribute {name} is not text")
    # h5py returns numpy.bytes_, which pickle does not take.
    return bytes(value)
