"""Write tables in pandas' HDF5 layout, row by row.

The layout is that of ``pandas.DataFrame.to_hdf(key="df_with_missing", format="table")``. It is written with
h5py and not with pandas, because pandas' own result depends on its version: a table written by pandas 3
cannot be opened by the pandas 2 that DeepLabCut's users have. This is the layout of pandas 0.15 to 2, which
pandas 1, 2 and 3 all read. The same frames also give the same file, byte for byte, memory holds a few hundred
rows only, and the number of columns has no limit.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import numpy.typing as npt

from pose_core.io.hdf5 import DiskFile
from pose_deeplabcut.columns import Columns

KEY = "df_with_missing"
_CHUNK_BYTES = 1 << 18
# An attribute above this size fits into no object header
# of the old HDF5 file format (64 KiB, with some overhead).
_OLD_ATTRIBUTE_BYTES = 60_000


class TableFile:
    """An HDF5 file with one pandas table that rows are appended to.

    Args:
        path: of the file; replaced if it exists.
        columns: of the table.
        named_rows: True if rows are named by strings (images), False if by frame numbers.
    """

    def __init__(self, path: Path, columns: Columns, named_rows: bool) -> None:
        self._columns = columns
        self._named = named_rows
        self._names_width = 0
        self._column_list = _pickle(columns.tuples)
        # Only a file that needs it gets the newer object headers, so that old HDF5 libraries open all others.
        wide = len(self._column_list) > _OLD_ATTRIBUTE_BYTES
        self._disk = DiskFile(path, "w+")
        self._file = h5py.File(self._disk, "w", libver=("v108", "v108") if wide else "earliest")
        root = self._file["/"]
        _set_strings(root, CLASS="GROUP", PYTABLES_FORMAT_VERSION="2.1", TITLE="", VERSION="1.0")
        self._group = root.create_group(KEY)
        _set_strings(
            self._group,
            CLASS="GROUP",
            TITLE="",
            VERSION="1.0",
            encoding="UTF-8",
            errors="strict",
            nan_rep="nan",
            pandas_type="frame_table",
            pandas_version="0.15.2",
            table_type="appendable_frame",
        )
        _set_pickles(
            self._group,
            data_columns=_pickle([]),
            index_cols=_pickle([(0, "index")]),
            info=_pickle({1: {"names": list(columns.levels), "type": "MultiIndex"}, "index": {}}),
            metadata=_pickle([]),
            non_index_axes=_pickle([(1, columns.tuples)]),
            values_cols=_pickle(["values_block_0"]),
        )
        self._group.attrs["levels"] = np.int64(1)
        self._table = self._create_table("table")

    def __enter__(self) -> TableFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._table.attrs["NROWS"] = np.int64(len(self._table))
        self._file.close()
        self._disk.close()
        if kind is None:
            self._disk.check()

    def append(self, index: Sequence[int] | Sequence[str], values: npt.NDArray[np.float64]) -> None:
        """Append rows.

        Args:
            index: frame numbers, or names where the table has named rows; R of them.
            values: (R, C), NaN where missing.

        Raises:
            OSError: the disk is full.
        """
        keys: npt.NDArray[np.generic]
        if self._named:
            encoded = [str(name).encode() for name in index]
            longest = max(map(len, encoded), default=0)
            if longest > self._names_width:
                # At least doubled: names that grow one by one copy the table only a few times.
                self._widen(longest if self._names_width == 0 else max(longest, 2 * self._names_width))
            keys = np.array(encoded, dtype=f"S{self._names_width}")
        else:
            keys = np.asarray(index, np.int64)
        rows = np.empty(len(keys), self._table.dtype)
        rows["index"], rows["values_block_0"] = keys, values
        start = len(self._table)
        self._table.resize(start + len(rows), axis=0)
        self._table[start:] = rows
        self._disk.check()

    def _widen(self, width: int) -> None:
        """Copy the rows into a table for longer names, which have a fixed width in this layout."""
        self._names_width = width
        old, new = self._table, self._create_table("wider")
        step = new.chunks[0]
        new.resize(len(old), axis=0)
        for start in range(0, len(old), step):
            new[start : start + step] = old[start : start + step].astype(new.dtype)
        del self._group["table"]
        self._group.move("wider", "table")
        self._table = new

    def _create_table(self, name: str) -> h5py.Dataset:
        index = f"S{max(self._names_width, 1)}" if self._named else "<i8"
        row = np.dtype([("index", index), ("values_block_0", "<f8", (len(self._columns.tuples),))])
        table = self._group.create_dataset(
            name, shape=(0,), maxshape=(None,), dtype=row, chunks=(max(1, _CHUNK_BYTES // row.itemsize),)
        )
        _set_strings(
            table,
            CLASS="TABLE",
            TITLE="",
            VERSION="2.7",
            FIELD_0_NAME="index",
            FIELD_1_NAME="values_block_0",
            index_kind="string" if self._named else "integer",
            values_block_0_dtype="float64",
        )
        _set_pickles(table, values_block_0_kind=self._column_list, values_block_0_meta=_pickle(None))
        if self._named:
            _set_pickles(table, FIELD_0_FILL=b"")
        else:
            table.attrs["FIELD_0_FILL"] = np.int64(0)
        table.attrs["FIELD_1_FILL"] = np.float64(0.0)
        table.attrs["NROWS"] = np.int64(0)
        return table


def _pickle(value: object) -> bytes:
    """Pickle an attribute as PyTables does, with protocol 0, which is text.

    PyTables pickles all but numbers and strings; here these are lists, tuples and dicts of strings and
    numbers.
    """
    return pickle.dumps(value, protocol=0)


def _set_strings(holder: h5py.Group | h5py.Dataset, **values: str) -> None:
    """Set string attributes as PyTables does: UTF-8, fixed length; an empty one has no data space."""
    for name, text in values.items():
        _set_bytes(holder, name, text.encode(), h5py.h5t.CSET_UTF8)


def _set_pickles(holder: h5py.Group | h5py.Dataset, **values: bytes) -> None:
    """Set attributes that hold bytes."""
    for name, data in values.items():
        _set_bytes(holder, name, data, h5py.h5t.CSET_ASCII)


def _set_bytes(holder: h5py.Group | h5py.Dataset, name: str, data: bytes, character_set: int) -> None:
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(max(len(data), 1))
    kind.set_strpad(h5py.h5t.STR_NULLTERM)
    kind.set_cset(character_set)
    no_space = character_set == h5py.h5t.CSET_UTF8 and not data
    space = h5py.h5s.create(h5py.h5s.NULL if no_space else h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(holder.id, name.encode(), kind, space)
    if not no_space:
        # The type of the buffer must be the attribute's own: numpy would cut a string at its last NUL.
        attribute.write(np.frombuffer(data or b"\0", dtype=f"S{max(len(data), 1)}").reshape(()), mtype=kind)
