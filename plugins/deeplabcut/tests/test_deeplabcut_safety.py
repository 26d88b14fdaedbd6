"""Files from elsewhere carry pickles; none of them runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pose_deeplabcut.hdf_frame import open_frame, read_h5
from pose_deeplabcut.plain_pickle import UnsafePickleError, load_plain
from pose_deeplabcut.writers import H5Writer

from pose_core.errors import DataError


class Touch:
    """Creates a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


@pytest.fixture
def bomb(tmp_path: Path) -> tuple[bytes, Path]:
    """A pickle that creates a file, which it really does, and the file, which is not there."""
    target = tmp_path / "ran"
    pickled = pickle.dumps(Touch(target), protocol=0)
    pickle.loads(pickled)
    assert target.exists()
    target.unlink()
    return pickled, target


def set_bytes(node: Any, name: str, data: bytes) -> None:
    if name in node.attrs:
        del node.attrs[name]
    node.attrs[name] = np.bytes_(data)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("df_with_missing/table", "values_block_0_kind"),
        ("df_with_missing/table", "values_block_0_meta"),
        ("df_with_missing", "non_index_axes"),
        ("df_with_missing", "info"),
        ("df_with_missing", "pandas_type"),
        ("df_with_missing", "TITLE"),
        ("/", "TITLE"),
        ("/", "FILTERS"),
    ],
)
def test_a_pickle_in_an_attribute_does_not_run(
    single: Any, bomb: tuple[bytes, Path], where: str, name: str
) -> None:
    single.label(index="slashes", h5="table")
    pickled, target = bomb
    with h5py.File(single.labels("h5"), "r+") as file:
        set_bytes(file[where], name, pickled)
    dataset = single.read()
    assert len(dataset.images) == 4
    H5Writer.reads(single.labels("h5"))
    assert not target.exists()


def test_the_column_names_as_a_bomb_are_refused_by_name(single: Any, bomb: tuple[bytes, Path]) -> None:
    single.label(index="slashes", h5="table", csv=False)
    pickled, target = bomb
    with h5py.File(single.labels("h5"), "r+") as file:
        set_bytes(file["df_with_missing/table"], "values_block_0_kind", pickled)
    with pytest.raises(
        DataError, match=r"CollectedData_Ada\.h5: holds pickled objects that can run code"
    ) as caught:
        single.read()
    assert "\n" not in str(caught.value)
    assert "save the table as CSV" in str(caught.value)
    assert not target.exists()


def test_more_names_of_columns_than_values_are_refused(single: Any) -> None:
    single.label(index="slashes", h5="table", csv=False)
    names = [("Ada", f"part{i}", axis) for i in range(9) for axis in ("x", "y")]
    with h5py.File(single.labels("h5"), "r+") as file:
        set_bytes(file["df_with_missing/table"], "values_block_0_kind", pickle.dumps(names, protocol=0))
    with pytest.raises(DataError, match=r"\.h5: is damaged.*it names 4 rows and 18 columns"):
        single.read()


def test_pickled_cells_are_refused(single: Any) -> None:
    """pandas pickles columns that hold anything but numbers."""
    frame = single.label(csv=False).astype(object)
    with pytest.warns(pd.errors.PerformanceWarning):
        frame.to_hdf(single.labels("h5"), key="df_with_missing", mode="w")
    with pytest.raises(DataError, match="block0_values holds objects, not numbers"):
        single.read()


def test_pickled_row_names_are_refused(single: Any, bomb: tuple[bytes, Path]) -> None:
    single.label(csv=False)
    with h5py.File(single.labels("h5"), "r+") as file:
        group = file["df_with_missing"]
        del group["axis1_level2"]
        level = group.create_dataset("axis1_level2", shape=(1,), dtype=h5py.vlen_dtype(np.uint8))
        level[0] = np.frombuffer(bomb[0], np.uint8)
        level.attrs["CLASS"] = np.bytes_(b"VLARRAY")
    with pytest.raises(DataError, match="axis1_level2 holds objects"):
        single.read()
    assert not bomb[1].exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_loaded(protocol: int) -> None:
    value = [(1, [("Ada", "nose", "x"), ("Ä", "尾", "y")]), {"names": ["a", None], "type": 1.5}, 2**40, True]
    assert load_plain(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("value", [Path("x"), print, np.float64(1.0), range(3), Exception("x")])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(UnsafePickleError, match="it names"):
        load_plain(pickle.dumps(value))


@given(st.binary(max_size=40))
def test_garbage_is_refused_or_plain(data: bytes) -> None:
    try:
        value = load_plain(data)
    except UnsafePickleError:
        return
    assert isinstance(
        value, str | bytes | int | float | list | tuple | dict | set | frozenset | bytearray | None
    )


@pytest.mark.parametrize("h5", ["fixed", "table"])
def test_a_damaged_file_is_one_line(single: Any, h5: str) -> None:
    single.label(index="tuples" if h5 == "fixed" else "slashes", h5=h5, csv=False)
    file = single.labels("h5")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"CollectedData_Ada\.h5: is cut off: ") as caught:
        read_h5(file)
    assert "\n" not in str(caught.value)


def test_hdf5_that_is_no_table_of_pandas(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(DataError, match="holds no table of pandas"), open_frame(tmp_path / "other.h5"):
        pass


def test_a_table_of_something_else(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0]}).to_hdf(tmp_path / "other.h5", key="a", format="table")
    with (
        pytest.raises(DataError, match="are not those of a DeepLabCut table"),
        open_frame(tmp_path / "other.h5"),
    ):
        pass


def test_several_tables(tmp_path: Path) -> None:
    for key in ("a", "b"):
        pd.DataFrame({"a": [1.0]}).to_hdf(tmp_path / "other.h5", key=key)
    with pytest.raises(DataError, match=r"several tables \(a, b\)"), open_frame(tmp_path / "other.h5"):
        pass
