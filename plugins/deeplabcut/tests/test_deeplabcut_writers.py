"""Writing predictions as DeepLabCut does, and reading them back."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pose_deeplabcut.config import CsvWriterConfig, H5WriterConfig
from pose_deeplabcut.plain_pickle import load_plain
from pose_deeplabcut.writers import CsvWriter, H5Writer

from pose_core.catalog import get_catalog
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, Writer
from pose_core.structures import Frame, Instances, Skeleton

MOUSE = Skeleton(keypoints=("snout", "leftear", "rightear"))
PAIR = Skeleton(
    keypoints=("nose", "tail"),
    individuals=("mickey", "minnie", "donald"),
    unique_keypoints=("corner", "lamp"),
)
SCORER = "DLC_Resnet50_openfieldOct30shuffle1_snapshot_best"
METADATA = {"deeplabcut.task": "openfield", "deeplabcut.date": "Oct30", "deeplabcut.multianimal": "false"}


def header(skeleton: Skeleton, frames: int = 0, **changes: Any) -> PredictionsHeader:
    made = PredictionsHeader(
        skeleton=skeleton,
        source="videos/m3v1mp4.mp4",
        frames=frames,
        width=640,
        height=480,
        fps=30.0,
        model="resnet/resnet_50",
        run="runs/first",
        metadata=METADATA,
    )
    return replace(made, **changes)


def predictions(skeleton: Skeleton, count: int, seed: int = 0, image: str | None = None) -> Iterator[Frame]:
    """Frames with none to all of the animals, some keypoints missing, and one frame in ten not decodable."""
    rng = np.random.default_rng(seed)
    k, u = skeleton.num_keypoints, len(skeleton.unique_keypoints)
    for index in range(count):
        name = image.format(index) if image else None
        if index % 10 == 9:
            yield Frame.absent(index, skeleton, "cannot be decoded", name)
            continue
        n = index % (skeleton.num_individuals + 1)
        points = rng.uniform(0, 600, (n, k, 2)).astype(np.float32)
        if n:
            points[0, index % k] = np.nan
        unique = rng.uniform(0, 600, (u, 2)).astype(np.float32)
        scores = rng.uniform(0, 1, u).astype(np.float32)
        if u:
            unique[0], scores[0] = np.nan, 0
        yield Frame(
            index,
            Instances.from_keypoints(points, keypoint_scores=rng.uniform(0, 1, (n, k))),
            unique_keypoints=unique,
            unique_scores=scores,
            image=name,
        )


def writers() -> list[Writer]:
    return [H5Writer(H5WriterConfig(type="dlc-h5")), CsvWriter(CsvWriterConfig(type="dlc-csv"))]


def load(path: Path, levels: int) -> pd.DataFrame:
    if path.suffix == ".h5":
        return pd.read_hdf(path)
    return pd.read_csv(path, header=list(range(levels)), index_col=0)


def write(writer: Writer, folder: Path, skeleton: Skeleton, frames: list[Frame], **changes: Any) -> Path:
    path = folder / f"out{writer.extension}"
    writer.write(path, header(skeleton, len(frames), **changes), iter(frames))
    return path


@pytest.fixture(params=["dlc-h5", "dlc-csv"])
def writer(request: pytest.FixtureRequest) -> Writer:
    return writers()[["dlc-h5", "dlc-csv"].index(request.param)]


class TestLayout:
    def test_single_animal(self, writer: Writer, tmp_path: Path) -> None:
        frames = list(predictions(MOUSE, 25))
        table = load(write(writer, tmp_path, MOUSE, frames), 3)
        assert table.columns.names == ["scorer", "bodyparts", "coords"]
        assert table.columns.tolist() == [
            (SCORER, part, coord) for part in MOUSE.keypoints for coord in ("x", "y", "likelihood")
        ]
        assert table.index.tolist() == list(range(25))
        assert table.index.dtype == np.int64
        assert set(table.dtypes) == {np.dtype(np.float64)}
        # What analysis code does with it.
        snout = table[SCORER]["snout"]
        sure = snout["likelihood"] > 0.6
        expected = [
            i for i, f in enumerate(frames) if len(f.instances) and f.instances.keypoint_scores[0, 0] > 0.6
        ]
        assert sure[sure].index.tolist() == expected
        assert not snout.loc[sure, "x"].isna().any()
        seen = frames[1].instances
        np.testing.assert_array_equal(table.loc[1].to_numpy().reshape(3, 3)[:, :2], seen.keypoints[0])
        np.testing.assert_array_equal(table.loc[1].to_numpy().reshape(3, 3)[:, 2], seen.keypoint_scores[0])

    def test_multi_animal(self, writer: Writer, tmp_path: Path) -> None:
        frames = list(predictions(PAIR, 25))
        table = load(write(writer, tmp_path, PAIR, frames), 4)
        assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
        names = [(i, part) for i in PAIR.individuals for part in PAIR.keypoints]
        names += [("single", part) for part in PAIR.unique_keypoints]
        assert table.columns.tolist() == [(SCORER, *n, c) for n in names for c in ("x", "y", "likelihood")]
        values = table.to_numpy().reshape(25, -1, 3)
        for row, frame in zip(values, frames, strict=True):
            n = len(frame.instances)
            np.testing.assert_array_equal(row[: n * 2, :2], frame.instances.keypoints.reshape(-1, 2))
            np.testing.assert_array_equal(row[: n * 2, 2], frame.instances.keypoint_scores.reshape(-1))
            assert np.isnan(row[n * 2 : 6]).all()
            if frame.missing is None:
                np.testing.assert_array_equal(row[6:, :2], frame.unique_keypoints)

    def test_a_missing_keypoint_has_likelihood_0_and_an_absent_animal_none(
        self, writer: Writer, tmp_path: Path
    ) -> None:
        points = np.array([[[1, 2], [np.nan, np.nan], [5, 6]]], np.float32)
        frames = [
            Frame(0, Instances.from_keypoints(points)),
            Frame(1, Instances.empty(3)),
            Frame.absent(2, MOUSE, "broken"),
        ]
        table = load(write(writer, tmp_path, MOUSE, frames), 3).to_numpy()
        np.testing.assert_array_equal(table[0], [1, 2, 1, np.nan, np.nan, 0, 5, 6, 1])
        np.testing.assert_array_equal(table[1], [np.nan, np.nan, 0] * 3)
        assert np.isnan(table[2]).all()

    def test_pandas_does_not_lose_a_first_row_without_values(self, writer: Writer, tmp_path: Path) -> None:
        """It takes one in a CSV file for the names of the index."""
        frames = [Frame.absent(0, PAIR, "broken"), *list(predictions(PAIR, 3))[1:]]
        path = write(writer, tmp_path, PAIR, frames)
        assert load(path, 4).index.tolist() == [0, 1, 2]
        assert len(list(writer.read(path))) == 3

    def test_one_animal_of_a_multi_animal_project(self, writer: Writer, tmp_path: Path) -> None:
        metadata = {**METADATA, "deeplabcut.multianimal": "true"}
        table = load(write(writer, tmp_path, MOUSE, list(predictions(MOUSE, 3)), metadata=metadata), 4)
        assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]

    def test_images_are_named(self, writer: Writer, tmp_path: Path) -> None:
        # The names get longer and longer, beyond what the first rows had room for.
        frames = [
            replace(frame, image=f"frames/sub/{'ä' * (frame.index // 10)}{frame.index}.png")
            for frame in predictions(MOUSE, 1200)
        ]
        path = write(writer, tmp_path, MOUSE, frames, source="frames", fps=0.0)
        table = load(path, 3)
        assert table.index.tolist() == [f"sub/{'ä' * (i // 10)}{i}.png" for i in range(1200)]
        read = list(writer.read(path))
        assert [f.image for f in read] == table.index.tolist()
        assert [f.index for f in read] == list(range(1200))
        np.testing.assert_array_equal(read[1101].instances.keypoints, frames[1101].instances.keypoints)

    def test_no_frames(self, writer: Writer, tmp_path: Path) -> None:
        path = write(writer, tmp_path, MOUSE, [])
        assert load(path, 3).shape == (0, 9)
        assert list(writer.read(path)) == []

    def test_more_columns_than_an_hdf5_attribute_can_name(self, writer: Writer, tmp_path: Path) -> None:
        crowd = Skeleton(
            keypoints=tuple(f"keypoint_with_a_long_name_{i}" for i in range(60)),
            individuals=tuple(f"animal{i}" for i in range(40)),
        )
        frames = list(predictions(crowd, 5))
        table = load(write(writer, tmp_path, crowd, frames), 4)
        assert table.shape == (5, 7200)
        np.testing.assert_array_equal(
            table.loc[3].to_numpy().reshape(40, 60, 3)[:3, :, :2], frames[3].instances.keypoints
        )

    def test_hdf5_as_pandas_2_wrote_it(self, tmp_path: Path, openfield_project: Path) -> None:
        """Attribute by attribute: pandas 3 writes some that pandas 2, which DeepLabCut needs, cannot load."""
        path = write(writers()[0], tmp_path, MOUSE, list(predictions(MOUSE, 3)))
        theirs = openfield_project / "labeled-data" / "m4s1" / "CollectedData_Pranav.h5"
        with h5py.File(path) as mine, h5py.File(theirs) as reference:
            for where in ("/", "df_with_missing", "df_with_missing/table"):
                ours, known = (h5py.AttributeManager(file[where]) for file in (mine, reference))
                assert set(ours) == set(known)
                for name in known:
                    a, b = ours.get_id(name), known.get_id(name)
                    assert a.get_type().get_class() == b.get_type().get_class() or name == "FIELD_0_FILL"
                    assert a.get_space().get_simple_extent_type() == b.get_space().get_simple_extent_type()
                    if isinstance(b.get_type(), h5py.h5t.TypeStringID) and name != "FIELD_0_FILL":
                        assert a.get_type().get_cset() == b.get_type().get_cset()
            mine, reference = mine["df_with_missing"].attrs, reference["df_with_missing"].attrs
            for name in ("info", "index_cols", "data_columns", "metadata", "values_cols"):
                assert load_plain(mine[name]) == load_plain(reference[name])
            for name in (
                "pandas_type",
                "table_type",
                "nan_rep",
                "pandas_version",
                "encoding",
                "errors",
                "levels",
            ):
                assert mine[name] == reference[name]

    def test_the_csv_is_what_pandas_makes_of_the_h5(self, tmp_path: Path) -> None:
        frames = list(predictions(PAIR, 30))
        h5, csv = (write(w, tmp_path, PAIR, frames) for w in writers())
        pd.read_hdf(h5).to_csv(tmp_path / "pandas.csv", lineterminator="\n")
        theirs = (tmp_path / "pandas.csv").read_text().splitlines()
        ours = csv.read_text().splitlines()
        # But for the first row, which pandas would lose: there "nan" stands in one empty cell.
        assert (ours[:4], ours[5:]) == (theirs[:4], theirs[5:])
        assert ours[4].replace("nan", "") == theirs[4]

    def test_the_same_frames_give_the_same_bytes(self, writer: Writer, tmp_path: Path) -> None:
        first = write(writer, tmp_path, PAIR, list(predictions(PAIR, 30))).read_bytes()
        time.sleep(1.1)
        assert write(writer, tmp_path, PAIR, list(predictions(PAIR, 30))).read_bytes() == first


class TestNames:
    def test_scorer_and_stem(self, writer: Writer) -> None:
        assert writer.stem(header(MOUSE)) == f"m3v1mp4{SCORER}"

    def test_without_a_deeplabcut_project_the_run_names_it(self, writer: Writer) -> None:
        assert (
            writer.stem(header(MOUSE, metadata={}, model="unet"))
            == "m3v1mp4DLC_Unet_firstshuffle1_snapshot_best"
        )

    def test_the_user_names_the_scorer(self, tmp_path: Path) -> None:
        writer = H5Writer(H5WriterConfig(type="dlc-h5", scorer="mine"))
        assert writer.stem(header(MOUSE)) == "m3v1mp4mine"
        table = pd.read_hdf(write(writer, tmp_path, MOUSE, list(predictions(MOUSE, 2))))
        assert set(table.columns.get_level_values("scorer")) == {"mine"}

    def test_a_folder_with_dots(self, writer: Writer, tmp_path: Path) -> None:
        (tmp_path / "day.1").mkdir()
        assert writer.stem(header(MOUSE, source=str(tmp_path / "day.1"))) == f"day.1{SCORER}"

    def test_the_components_have_bare_names_of_their_own(self) -> None:
        for name, factory in (("dlc-h5", H5Writer), ("dlc-csv", CsvWriter)):
            assert get_catalog().component("writer", name).factory() is factory


class TestIndividuals:
    def frame(self, index: int = 0, **changes: Any) -> Frame:
        points = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
        return Frame(
            index,
            Instances.from_keypoints(points, **changes),
            unique_keypoints=np.zeros((2, 2), np.float32),
            unique_scores=np.ones(2, np.float32),
        )

    @pytest.mark.parametrize(
        ("changes", "slots"),
        [
            ({}, [0, 1]),
            ({"identity": [2, 0]}, [2, 0]),
            ({"identity": [-1, 0]}, [1, 0]),
            ({"track": [2, 1]}, [2, 1]),
            ({"track": [2, 1], "identity": [0, 2]}, [0, 2]),
            # Both look like minnie; the surer one is.
            ({"identity": [1, 1], "scores": [0.3, 0.9]}, [0, 1]),
        ],
    )
    def test_where_animals_are_written(
        self, writer: Writer, tmp_path: Path, changes: dict[str, Any], slots: list[int]
    ) -> None:
        path = write(writer, tmp_path, PAIR, [self.frame(**changes)])
        table = load(path, 4)
        for animal, slot in enumerate(slots):
            x = table.iloc[0][SCORER, PAIR.individuals[slot], "nose", "x"]
            assert x == 4 * animal
        (read,) = writer.read(path)
        assert sorted(read.instances.identity.tolist()) == sorted(slots)

    def test_more_animals_than_individuals(self, writer: Writer, tmp_path: Path) -> None:
        crowd = Instances.from_keypoints(np.zeros((4, 2, 2), np.float32))
        frames = [self.frame(0), replace(self.frame(1), instances=crowd)]
        with pytest.raises(
            DataError, match=r"frame 1 has 4 animals, but the project has 3 individuals.*parquet"
        ):
            write(writer, tmp_path, PAIR, frames)

    def test_more_tracks_than_individuals(self, writer: Writer, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="frame 0 has track 7"):
            write(writer, tmp_path, PAIR, [self.frame(track=[7, 0])])

    def test_frames_out_of_order(self, writer: Writer, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="got frame 2 instead of frame 1"):
            write(writer, tmp_path, PAIR, [self.frame(0), self.frame(2)])


class TestReadingBack:
    @given(seed=st.integers(0, 1000), count=st.integers(0, 12), multi=st.booleans())
    def test_what_was_written(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, multi: bool
    ) -> None:
        skeleton = PAIR if multi else MOUSE
        frames = list(predictions(skeleton, count, seed))
        folder = tmp_path_factory.getbasetemp()
        for writer in writers():
            path = write(writer, folder, skeleton, frames)
            assert type(writer).reads(path)
            stream = writer.read(path)
            assert stream.header.frames == count
            assert stream.header.skeleton.keypoints == skeleton.keypoints
            assert stream.header.skeleton.individuals == skeleton.individuals
            assert stream.header.skeleton.unique_keypoints == skeleton.unique_keypoints
            assert stream.header.model == SCORER
            for _ in range(2):
                read = list(stream)
                assert [f.index for f in read] == [f.index for f in frames]
                for a, b in zip(read, frames, strict=True):
                    np.testing.assert_array_equal(a.instances.keypoints, b.instances.keypoints)
                    np.testing.assert_array_equal(a.instances.keypoint_scores, b.instances.keypoint_scores)
                    np.testing.assert_array_equal(a.unique_keypoints, b.unique_keypoints)
                    np.testing.assert_array_equal(a.unique_scores, b.unique_scores)

    def test_the_name_of_the_video(self, writer: Writer, tmp_path: Path) -> None:
        path = write(writer, tmp_path, MOUSE, list(predictions(MOUSE, 2)))
        named = path.with_name(writer.stem(header(MOUSE)) + writer.extension)
        path.rename(named)
        assert writer.read(named).header.source == "m3v1mp4"
        assert writer.read(named).header.skeleton.symmetry == (("leftear", "rightear"),)

    @pytest.mark.parametrize("form", ["fixed", "table"])
    def test_files_of_other_programs(self, tmp_path: Path, form: str) -> None:
        """As DeepLabCut's tracker writes them: -1 or NaN for what is not there, float32."""
        columns = pd.MultiIndex.from_product(
            [["DLC"], ["a", "b"], ["nose", "tail"], ["x", "y", "likelihood"]],
            names=["scorer", "individuals", "bodyparts", "coords"],
        )
        values = np.arange(36, dtype=np.float32).reshape(3, 12)
        values[:, 2::3] = 0.5
        values[0, :6], values[1, 6:] = -1, np.nan
        table = pd.DataFrame(values, columns=columns)
        table.to_hdf(tmp_path / "clipDLC_el.h5", key="df_with_missing", format=form)
        stream = writers()[0].read(tmp_path / "clipDLC_el.h5")
        assert stream.header.source == "clip"
        frames = list(stream)
        assert [f.instances.identity.tolist() for f in frames] == [[1], [0], [0, 1]]
        np.testing.assert_array_equal(frames[0].instances.keypoints, [[[6, 7], [9, 10]]])
        assert (frames[2].instances.keypoint_scores == 0.5).all()

    def test_labels_are_no_predictions(self, single: Any) -> None:
        single.label(index="slashes", h5="table")
        for writer, extension in zip(writers(), ("h5", "csv"), strict=True):
            assert not type(writer).reads(single.labels(extension))
            with pytest.raises(DataError, match="holds labels, not predictions"):
                writer.read(single.labels(extension))

    def test_other_files(self, writer: Writer, tmp_path: Path) -> None:
        for name in ("a.h5", "a.csv", "a.txt"):
            (tmp_path / name).write_text("a,b\n1,2\n")
            assert not type(writer).reads(tmp_path / name)
        assert not type(writer).reads(tmp_path / "nowhere.h5")


class TestResources:
    def test_memory_does_not_grow_with_the_number_of_frames(self, writer: Writer, tmp_path: Path) -> None:
        frame = next(predictions(MOUSE, 2))
        peaks = []
        for count in (2000, 8000):
            tracemalloc.start()
            writer.write(tmp_path / "out", header(MOUSE, count), (frame.renumbered(i) for i in range(count)))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.1 * peaks[0]

    @pytest.mark.skipif(sys.platform == "win32", reason="file size limits exist on POSIX only")
    def test_a_full_disk_is_an_os_error(self, tmp_path: Path) -> None:
        """Without care the HDF5 library crashes the whole process when it cannot clean up."""
        script = f"""
import resource, signal
from pathlib import Path
import numpy as np
from pose_deeplabcut.columns import Columns
from pose_deeplabcut.hdf_table import TableFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with TableFile(Path({str(tmp_path / "out.h5")!r}), Columns(("a", "b", "c"), [("s", "nose", "x")]), False) as table:
        for start in range(0, 100_000, 1000):
            table.append(range(start, start + 1000), np.zeros((1000, 1)))
except OSError as error:
    print("refused", error.errno)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("refused"), done.stdout
