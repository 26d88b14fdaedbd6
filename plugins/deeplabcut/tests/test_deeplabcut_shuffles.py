"""The splits that DeepLabCut's shuffles make, read from pickles that never run."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pose_deeplabcut.config import ProjectReaderConfig
from pose_deeplabcut.plain_pickle import UnsafePickleError, load_inert
from pose_deeplabcut.project import ProjectReader
from pose_deeplabcut.shuffles import _read_integers, find_shuffle_of, find_shuffles, read_shuffle

from pose_core.errors import ConfigError, DataError
from pose_core.training.prepare import prepare

FOLDER = "UnaugmentedDataSet_reachJan7"
Rows = Any


def make_shuffle(
    project: Any,
    number: int,
    train: Rows,
    test: Rows,
    *,
    iteration: int = 0,
    percent: int = 80,
    protocol: int = pickle.HIGHEST_PROTOCOL,
) -> Path:
    """Write a shuffle as create_training_dataset does: the table of all labels, and rows of it in a pickle."""
    folder = project.root / "training-datasets" / f"iteration-{iteration}" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(project.labels("h5"), folder / project.labels("h5").name)
    labels = [{"image": ("labeled-data", "mouse", "img000.png"), "joints": np.zeros((3, 3))}]
    path = folder / f"Documentation_data-reach_{percent}shuffle{number}.pickle"
    path.write_bytes(pickle.dumps([labels, train, test, percent / 100], protocol))
    return path


def named(rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"labeled-data/mouse/img{row:03d}.png" for row in rows)


def reader() -> ProjectReader:
    return ProjectReader(ProjectReaderConfig(type="deeplabcut/deeplabcut"))


@given(
    st.lists(st.integers(-1, 10_000), max_size=20),
    st.sampled_from(["<i8", "<i4", ">i8", "<u2"]),
    st.integers(0, 5),
    st.booleans(),
)
def test_rows_are_read_from_arrays_and_lists_of_every_protocol(
    rows: list[int], kind: str, protocol: int, listed: bool
) -> None:
    array = np.abs(np.array(rows, np.int64)).astype(kind)
    content: Any = list(array) if listed else array
    loaded = load_inert(pickle.dumps([content], protocol))
    assert isinstance(loaded, list)
    assert _read_integers(loaded[0]) == array.tolist()


@given(st.binary(max_size=200))
def test_damaged_pickles_are_refused(data: bytes) -> None:
    whole = pickle.dumps([[], np.arange(3), np.arange(2), 0.8])
    for spoilt in (data, whole[:-1], whole[: len(whole) // 2] + data):
        try:
            load_inert(spoilt)
        except UnsafePickleError:
            continue


def test_the_newest_shuffle_is_the_split(single: Any) -> None:
    single.label(10)
    make_shuffle(single, 3, np.arange(8), np.array([8, 9]))
    make_shuffle(single, 12, [9, 8, 7, 6, -1], [0, 1, -1], percent=70)
    make_shuffle(single, 20, np.arange(5), np.arange(5, 10), iteration=0, percent=50).rename(
        single.root / "training-datasets" / "iteration-0" / FOLDER / "notes.pickle"
    )
    names = reader().find_splits(single.root)
    assert names == ("iteration-0/trainset80shuffle3", "iteration-0/trainset70shuffle12")
    assert reader().find_splits(single.config_file) == names
    split = reader().read_split(single.root, names[-1])
    assert (split.train, split.test) == (named([9, 8, 7, 6]), named([0, 1]))
    # A later iteration is newer, whatever its number.
    make_shuffle(single, 1, [0], [1], iteration=1)
    assert reader().find_splits(single.root)[-1] == "iteration-1/trainset80shuffle1"


def test_images_labelled_since_are_trained_on(single: Any) -> None:
    single.label(10)
    make_shuffle(single, 1, np.arange(8), np.array([8, 9]))
    single.label(12)
    split = reader().read_split(single.root, "iteration-0/trainset80shuffle1")
    assert split.train == named([*range(8), 10, 11])
    assert split.test == named([8, 9])
    assert "2 images were labelled after" in split.notes[0]


def test_training_takes_it_and_the_user_overrules(single: Any) -> None:
    single.label(20)
    make_shuffle(single, 1, np.arange(16), np.arange(16, 20))
    make_shuffle(single, 3, np.arange(4, 20), np.arange(4))

    prepared = prepare(single.root, "unet")
    assert prepared.spec.data.split.name == "iteration-0/trainset80shuffle3"
    assert prepared.test_names == named(range(4))
    # A tenth of the 16 training images.
    assert len(prepared.split.validation) == 2
    assert not set(prepared.split.validation) & set(range(4))
    (note,) = [note for note in prepared.notes if note.startswith("split iteration-0/trainset80shuffle3")]
    assert "the newest of 2" in note
    assert "shuffle1" in note

    named_one = prepare(single.root, "unet", assignments=["data.split.name=shuffle1"])
    assert named_one.test_names == named(range(16, 20))
    drawn = prepare(single.root, "unet", assignments=["data.split.test=0.5"])
    assert drawn.spec.data.split.name is None
    assert len(drawn.test_names) == 10
    assert prepare(single.root, "unet", assignments=["data.split.name=null"]).spec.data.split.name is None
    with pytest.raises(ConfigError, match=r"has no split 'shuffle7'; it has .*shuffle1.*shuffle3"):
        prepare(single.root, "unet", assignments=["data.split.name=shuffle7"])
    make_shuffle(single, 3, [0], [1], percent=50)
    with pytest.raises(ConfigError, match="end of several splits"):
        prepare(single.root, "unet", assignments=["data.split.name=shuffle3"])


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        (np.arange(8), np.array([8, 10]), "names row 10 of CollectedData_Ada.h5 as a test image"),
        ([-2], [0], "names row -2"),
        (np.array([0.5]), [1], "no whole numbers"),
        ({"a": 1}, [1], "its rows are no list"),
        ([True], [1], "no whole numbers"),
    ],
)
def test_strange_shuffles_are_refused(single: Any, train: Rows, test: Rows, expected: str) -> None:
    single.label(10)
    make_shuffle(single, 1, train, test)
    with pytest.raises(DataError, match=expected):
        read_shuffle(find_shuffles(single.root)[0])


class Touch:
    """Creates a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_would_run_is_refused_and_does_not(single: Any, tmp_path: Path, protocol: int) -> None:
    single.label(10)
    target = tmp_path / "ran"
    path = make_shuffle(single, 1, Touch(target), [1], protocol=protocol)
    with pytest.raises(DataError, match="is no split of DeepLabCut"):
        prepare(single.root, "unet")
    assert not target.exists()
    # The way out that the message names.
    prepare(single.root, "unet", assignments=["data.split.name=null"])
    pickle.loads(path.read_bytes())
    assert target.exists(), "the pickle is harmless: this test shows nothing"


def test_a_shuffle_without_its_table_is_refused(single: Any) -> None:
    single.label(10)
    path = make_shuffle(single, 1, [0], [1])
    (path.parent / "CollectedData_Ada.h5").unlink()
    with pytest.raises(DataError, match="no CollectedData table beside it"):
        read_shuffle(find_shuffles(single.root)[0])


def test_the_shuffle_of_a_snapshot_is_that_of_its_folder(single: Any) -> None:
    single.label(10)
    make_shuffle(single, 1, [0], [1])
    make_shuffle(single, 11, [0], [1])
    models = single.root / "dlc-models-pytorch" / "iteration-0"
    found = find_shuffle_of(models / "reachJan7-trainset80shuffle1" / "train" / "snapshot-best-10.pt")
    assert found is not None
    assert found.name == "iteration-0/trainset80shuffle1"
    assert find_shuffle_of(models / "reachJan7-trainset90shuffle1" / "train" / "snapshot.pt") is None
    assert find_shuffle_of(single.root / "snapshot.pt") is None
