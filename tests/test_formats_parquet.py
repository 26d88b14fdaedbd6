"""The core's table of predictions: what goes in comes out, every frame has a row, other tools can read it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.catalog import get_catalog
from pose_core.errors import DataError
from pose_core.formats.config import ParquetConfig
from pose_core.formats.parquet import KEY, ParquetWriter
from pose_core.interfaces import PredictionsHeader, open_predictions
from pose_core.interfaces.prediction_files import make_writer
from pose_core.structures import Frame, Instances, Skeleton

SKELETON = Skeleton(
    keypoints=("nose", "tail.base"),
    edges=(("nose", "tail.base"),),
    individuals=("ann", "bob", "cid"),
    identified=True,
    unique_keypoints=("corner",),
)


def header(frames: int, skeleton: Skeleton = SKELETON) -> PredictionsHeader:
    return PredictionsHeader(
        skeleton, "a/video.mp4", frames, 640, 480, 30.0, "unet", "runs/x", {"scorer": "Ärzte"}
    )


def make_frame(index: int, animals: int, rng: np.random.Generator, skeleton: Skeleton = SKELETON) -> Frame:
    keypoints = rng.uniform(0, 100, (animals, skeleton.num_keypoints, 2)).astype(np.float32)
    keypoints[rng.random(keypoints.shape[:2]) < 0.3] = np.nan
    unique = rng.uniform(0, 100, (len(skeleton.unique_keypoints), 2)).astype(np.float32)
    return Frame(
        index,
        Instances.from_keypoints(
            keypoints,
            keypoint_scores=rng.random(keypoints.shape[:2]),
            scores=rng.random(animals),
            identity=rng.integers(-1, len(skeleton.individuals), animals),
            track=rng.integers(-1, 5, animals),
        ),
        unique,
        rng.random(len(unique)).astype(np.float32),
        time=float(rng.random()) if rng.random() < 0.5 else None,
    )


def assert_same(a: Frame, b: Frame) -> None:
    assert (a.index, a.missing, a.image, a.time) == (b.index, b.missing, b.image, b.time)
    for name in ("keypoints", "keypoint_scores", "scores", "boxes", "identity", "track"):
        x, y = getattr(a.instances, name), getattr(b.instances, name)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y, err_msg=name)
    np.testing.assert_array_equal(a.unique_keypoints, b.unique_keypoints)
    np.testing.assert_array_equal(a.unique_scores, b.unique_scores)


@settings(max_examples=25, deadline=None)
@given(
    animals=st.lists(st.integers(-1, 3), max_size=30),
    row_group=st.integers(1, 12),
    seed=st.integers(0, 2**16),
    unique=st.booleans(),
)
def test_what_is_written_is_read(
    animals: list[int], row_group: int, seed: int, unique: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    skeleton = SKELETON if unique else Skeleton(("nose",), individuals=("a", "b", "c"))
    rng = np.random.default_rng(seed)
    frames = [
        Frame.absent(i, skeleton, "damaged", "x.png") if n < 0 else make_frame(i, n, rng, skeleton)
        for i, n in enumerate(animals)
    ]
    path = tmp_path_factory.mktemp("parquet") / "p.parquet"
    head = header(len(frames), skeleton)
    writer = ParquetWriter(ParquetConfig(row_group=row_group))
    writer.write(path, head, iter(frames))
    stream = writer.read(path)
    assert stream.header == head
    for _ in range(2):  # a stream can be read again
        back = list(stream)
        assert len(back) == len(frames)
        for a, b in zip(frames, back, strict=True):
            assert_same(a, b)


def test_every_frame_has_a_row_that_pandas_shows(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="the core does not need pandas")
    rng = np.random.default_rng(0)
    frames = [
        replace(make_frame(0, 2, rng), time=0.0),
        replace(make_frame(1, 0, rng), time=0.25),
        Frame.absent(2, SKELETON, "the file ends"),
    ]
    path = tmp_path / "p.parquet"
    ParquetWriter(ParquetConfig()).write(path, header(3), frames)
    table = pandas.read_parquet(path)
    assert table["frame"].tolist() == [0, 0, 1, 2]
    assert table["time"].tolist()[:3] == [0.0, 0.0, 0.25]
    assert table["time"].isna().tolist() == [False, False, False, True]
    assert table["status"].tolist() == ["animal", "animal", "empty", "missing"]
    assert table["animal"].isna().tolist() == [False, False, True, True]
    assert table["reason"].iloc[3] == "the file ends"
    # Unique keypoints stand on the first row of a frame, also of one without animals.
    assert table["corner.x"].isna().tolist() == [False, True, False, True]
    expected = frames[0].instances.keypoints[:, 1, 0]
    np.testing.assert_array_equal(table["tail.base.x"].to_numpy(np.float32, na_value=np.nan)[:2], expected)
    content = json.loads(pq.read_schema(path).metadata[KEY])
    assert content["skeleton"]["keypoints"] == ["nose", "tail.base"]
    assert content["frames"] == 3


def test_row_groups_bound_the_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "p.parquet"
    ParquetWriter(ParquetConfig(row_group=10)).write(
        path, header(50), (make_frame(i, 3, rng) for i in range(50))
    )
    groups = pq.ParquetFile(path).metadata
    assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= 12


def test_same_frames_give_same_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        rng = np.random.default_rng(1)
        ParquetWriter(ParquetConfig()).write(
            tmp_path / name, header(9), [make_frame(i, 2, rng) for i in range(9)]
        )
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_text_alone_is_stored_with_dictionaries(tmp_path: Path) -> None:
    skeleton = Skeleton(("nose", "tail"), individuals=("anna", "bert"))
    points = np.random.default_rng(0).normal(100, 20, (50, 2, 2, 2))
    frames = [Frame(i, Instances.from_keypoints(p, identity=[0, 1])) for i, p in enumerate(points)]
    path = tmp_path / "clip.parquet"
    ParquetWriter(ParquetConfig()).write(path, header(50, skeleton), frames)
    columns = pq.ParquetFile(path).metadata.row_group(0)
    kept = {columns.column(i).path_in_schema: columns.column(i) for i in range(columns.num_columns)}
    with_dictionaries = {name for name, column in kept.items() if column.has_dictionary_page}
    assert with_dictionaries == {"status", "reason", "image", "identity"}


def test_a_gap_is_an_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="got frame 2 after frame 0"):
        ParquetWriter(ParquetConfig()).write(
            tmp_path / "p", header(2), [make_frame(0, 1, rng), make_frame(2, 1, rng)]
        )


def test_reads_only_its_own_tables(tmp_path: Path) -> None:
    own, foreign, text = tmp_path / "own.parquet", tmp_path / "foreign.parquet", tmp_path / "text.parquet"
    ParquetWriter(ParquetConfig()).write(own, header(0), [])
    pq.write_table(pa.table({"a": [1]}), foreign)
    text.write_text("no table")
    assert [ParquetWriter.reads(p) for p in (own, foreign, text, tmp_path / "none.parquet", tmp_path)] == [
        True,
        False,
        False,
        False,
        False,
    ]
    writer = ParquetWriter(ParquetConfig())
    with pytest.raises(DataError, match="not of predictions"):
        writer.read(foreign)
    with pytest.raises(DataError, match="not readable as Parquet"):
        writer.read(text)
    with pytest.raises(DataError, match="no such file"):
        writer.read(tmp_path / "none.parquet")
    schema = pq.read_schema(own)
    newer = json.dumps({**json.loads(schema.metadata[KEY]), "version": 99}).encode()
    pq.write_table(schema.empty_table().replace_schema_metadata({KEY: newer}), own)
    with pytest.raises(DataError, match="newer version"):
        writer.read(own)


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    rng = np.random.default_rng(0)
    ParquetWriter(ParquetConfig()).write(path, header(300), [make_frame(i, 3, rng) for i in range(300)])
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        list(ParquetWriter(ParquetConfig()).read(path))
    assert "\n" not in str(caught.value)


def test_a_column_whose_name_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    writer = ParquetWriter(ParquetConfig())
    writer.write(path, header(1), [make_frame(0, 1, np.random.default_rng(0))])
    path.write_bytes(path.read_bytes().replace(b"status", b"\xfftatus"))
    assert not writer.reads(path)
    with pytest.raises(DataError, match="not readable as Parquet") as caught:
        writer.read(path)
    assert "\n" not in str(caught.value)


def test_it_is_found_by_its_name() -> None:
    component = get_catalog().component("writer", "parquet")
    assert component.full_name == "core/parquet"
    assert component.factory() is ParquetWriter
    assert component.config_class() is ParquetConfig


def test_margins_and_probabilities_of_individuals_return_and_old_tables_are_read_without(
    tmp_path: Path,
) -> None:
    skeleton = Skeleton(("nose",), individuals=("anna", "bert", "carl"))
    points = np.ones((2, 1, 2))
    chances = np.array([[0.5, 0.25, 0.25], [np.nan] * 3], np.float32)
    named = Instances.from_keypoints(points, track=[4, 2], identity_probabilities=chances)
    named = replace(named, track_margins=np.array([0.25, np.nan], np.float32))
    frames = [
        Frame(0, Instances.empty(1)),
        Frame(1, named),
        Frame(2, Instances.from_keypoints(points[:1])),
        Frame(3, named.select([1, 0])),
    ]
    header = PredictionsHeader(skeleton, "v.mp4", 4, 20, 20, 25.0, "m", "r")
    path = tmp_path / "p.parquet"
    make_writer("parquet").write(path, header, frames)
    back = list(open_predictions(path))
    for frame, expected in ((back[1], named), (back[3], named.select([1, 0]))):
        for name in ("track_margins", "identity_probabilities"):
            one, other = getattr(frame.instances, name), getattr(expected, name)
            np.testing.assert_array_equal(one, other)
            assert one.dtype == np.float32
    assert np.isnan(back[2].instances.identity_probabilities).all()
    table = pq.read_table(path)
    assert table.column("identity_probabilities").to_pylist()[1:3] == [[0.5, 0.25, 0.25], None]
    old = table.drop_columns(["track_margin", "identity_probabilities"])
    pq.write_table(old, tmp_path / "old.parquet")
    (read, *_) = [f for f in open_predictions(tmp_path / "old.parquet") if f.index == 1]
    assert read.instances.track.tolist() == [4, 2]
    assert np.isnan(read.instances.track_margins).all()
    assert read.instances.identity_probabilities.shape == (2, 0)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory of the process")
def test_memory_does_not_grow_with_the_row_groups_that_were_read(tmp_path: Path) -> None:
    skeleton, rng = Skeleton(tuple(f"p{i}" for i in range(40))), np.random.default_rng(0)
    block = tmp_path / "block.parquet"
    frames = [make_frame(i, 1, rng, skeleton) for i in range(4000)]
    ParquetWriter(ParquetConfig(compression="none")).write(block, header(4000, skeleton), frames)
    table = pq.read_table(block)
    place = table.schema.get_field_index("frame")
    with pq.ParquetWriter(tmp_path / "long.parquet", table.schema, compression="none") as writer:
        for group in range(40):
            numbers = pa.array(np.arange(4000) + 4000 * group)
            writer.write_table(table.set_column(place, table.schema.field(place), numbers))
    del table

    def held() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    memory = [
        held() for f in ParquetWriter(ParquetConfig()).read(tmp_path / "long.parquet") if f.index % 4000 == 0
    ]
    # The file has 80 MiB.
    assert len(memory) == 40
    assert max(memory[10:]) - memory[2] < 20
