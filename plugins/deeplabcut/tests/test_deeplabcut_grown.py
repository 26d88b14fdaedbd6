"""Projects that grow, tables as people save them, and labels with one flaw."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_deeplabcut.project import ProjectReader

from pose_core.data.projects import read_project
from pose_core.errors import DataError

FILES = ("h5", "csv")


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_project(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def label(project: Any, video: str, drop: list[str], images: int, files: str, **rename: str) -> pd.DataFrame:
    """Label a folder whose table lacks some body parts, or has them under other names."""
    frame = project.label(images, video=video)
    kept = [c for c in frame.columns if c[-2] not in drop]
    frame = frame[kept]
    frame.columns = pd.MultiIndex.from_tuples(
        [(*c[:-2], rename.get(c[-2], c[-2]), c[-1]) for c in kept], names=frame.columns.names
    )
    project.labels("h5", video).unlink()
    project.labels("csv", video).unlink()
    project.write(frame, video, h5="fixed" if files == "h5" else None, csv=files == "csv")
    return frame


class TestBodyPartsAddedLater:
    @pytest.mark.parametrize("files", FILES)
    def test_where_a_folder_lacks_them_they_are_not_labelled(self, single: Any, files: str) -> None:
        single.configure(bodyparts=["nose", "leftpaw", "rightpaw", "tail", "tip"])
        label(single, "a", ["tail", "tip"], 6, files)
        label(single, "b", ["tip"], 3, files)
        label(single, "c", [], 2, files)
        found = read_project(single.root)
        points = np.concatenate([image.instances.keypoints for image in found.images])
        assert (~np.isnan(points[..., 0])).sum(axis=0).tolist() == [11, 11, 11, 5, 2]
        notes = [n for n in found.notes if "no columns" in n]
        assert notes == [
            f"labeled-data/{folder}: has no columns for body part {part!r}, which counts as not labelled there"
            for folder, part in (("a", "tail"), ("a", "tip"), ("b", "tip"))
        ]

    @pytest.mark.parametrize("files", FILES)
    def test_unique_ones_and_those_of_some_individuals(self, multi: Any, files: str) -> None:
        label(multi, "a", ["lamp"], 4, files)
        frame = label(multi, "b", [], 3, files)
        frame = frame.drop(columns=[c for c in frame.columns if c[1:3] == ("minnie", "ear_L")])
        multi.write(frame, "b", h5="fixed" if files == "h5" else None, csv=files == "csv")
        found = read_project(multi.root)
        unique = np.stack([image.unique_keypoints for image in found.images])
        assert (~np.isnan(unique[..., 0])).sum(axis=0).tolist() == [7, 3]
        notes = [n for n in found.notes if "no columns" in n]
        assert notes == [
            "labeled-data/a: has no columns for body part 'lamp' of 'single', which counts as not labelled there",
            "labeled-data/b: has no columns for body part 'ear_L' of 'minnie', which counts as not labelled there",
        ]

    @pytest.mark.parametrize("files", FILES)
    @pytest.mark.parametrize(
        ("name", "typo"), [("tail", "tial"), ("rightpaw", "RightPaw"), ("leftpaw", "left_paw")]
    )
    def test_a_column_of_nearly_that_name_is_a_mistake(
        self, single: Any, files: str, name: str, typo: str
    ) -> None:
        single.configure(bodyparts=["nose", "leftpaw", "rightpaw", "tail"])
        label(single, "a", [], 3, files)
        label(single, "b", [], 3, files, **{name: typo})
        line = refusal(single.root)
        assert f"no columns for body part {name!r}, which config.yaml lists (is it {typo!r}?)" in line
        # The advice: the same name in both.
        label(single, "b", [], 3, files)
        assert len(read_project(single.root).images) == 6

    def test_one_that_no_folder_has(self, single: Any) -> None:
        label(single, "a", [], 3, "csv")
        label(single, "b", ["nose"], 3, "csv")
        single.configure(bodyparts=["nose", "leftpaw", "rightpaw", "whisker", "crown"])
        line = refusal(single.root)
        assert (
            "config.yaml: lists the body parts 'whisker', 'crown', which no label file has columns for"
            in line
        )
        single.configure(bodyparts=["nose", "leftpaw", "rightpaw"])
        assert len(read_project(single.root).images) == 6

    def test_a_folder_of_another_project(self, single: Any) -> None:
        label(single, "a", [], 3, "csv")
        label(single, "b", [], 3, "csv", nose="eye", leftpaw="fin", rightpaw="gill")
        assert "has columns for none of the body parts of config.yaml, but for eye, fin, gill" in refusal(
            single.root
        )

    def test_half_a_pair_of_columns(self, single: Any) -> None:
        frame = single.label(h5=None)
        single.write(frame.drop(columns=[frame.columns[3]]), h5=None)
        single.labels("h5").unlink(missing_ok=True)
        assert "body part 'leftpaw' has a column for x only" in refusal(single.root)


class TestTables:
    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("mark", ["", "utf-8-sig", "utf-16"])
    def test_however_they_are_saved(self, single: Any, ends: str, separator: str, mark: str) -> None:
        frame = single.label(h5=None, index="slashes")
        file = single.labels("csv")
        text = file.read_text().replace(",", separator).replace("\n", ends)
        file.write_bytes(text.encode(mark or "utf-8"))
        found = read_project(single.root)
        points = np.concatenate([image.instances.keypoints for image in found.images])
        np.testing.assert_array_equal(points.reshape(len(points), -1), frame.to_numpy(np.float32))

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    def test_the_project_is_recognised_however_its_config_is_saved(
        self, single: Any, encoding: str, ends: str
    ) -> None:
        single.label()
        text = single.config_file.read_text().replace("\n", ends)
        single.config_file.write_bytes(text.encode(encoding))
        assert ProjectReader.accepts(single.root)
        assert len(read_project(single.root).images) == 4

    def test_decimal_commas_with_semicolons(self, single: Any) -> None:
        frame = single.label(h5=None, index="slashes")
        text = single.labels("csv").read_text().split("\n")
        rows = [
            row.partition(",")[0] + ";" + row.partition(",")[2].replace(",", ";").replace(".", ",")
            for row in text
            if row
        ]
        single.labels("csv").write_text("\n".join(rows))
        points = np.concatenate([image.instances.keypoints for image in read_project(single.root).images])
        np.testing.assert_array_equal(points.reshape(len(points), -1), frame.to_numpy(np.float32))

    @pytest.mark.parametrize("cut", [1, 2, 4])
    def test_missing_cells_at_the_end_of_rows(self, multi: Any, cut: int) -> None:
        frame = multi.label(h5=None, index="slashes")
        lines = multi.labels("csv").read_text().splitlines()
        for row in (5, 7):
            lines[row] = ",".join(lines[row].split(",")[:-cut])
            frame.iloc[row - 4, -cut - cut % 2 :] = np.nan
        multi.labels("csv").write_text("\n".join(lines))
        found = read_project(multi.root)
        np.testing.assert_array_equal(
            np.stack([image.unique_keypoints for image in found.images]).reshape(4, 4),
            frame.to_numpy(np.float32)[:, 12:],
        )
        (note,) = [n for n in found.notes if "fewer cells" in n]
        assert "2 rows have fewer cells than the header, the first is line 6" in note

    def test_empty_cells_beyond_the_last_column(self, single: Any) -> None:
        single.label(h5=None)
        file = single.labels("csv")
        file.write_text("".join(f"{line},,\n" for line in file.read_text().splitlines()) + ",,,,\n")
        assert len(read_project(single.root).images) == 4

    @pytest.mark.parametrize(
        "cell",
        [
            "",
            "nan",
            "NaN",
            "NA",
            "N/A",
            "n/a",
            "None",
            "null",
            "NULL",
            "<NA>",
            "#N/A",
            "-nan",
            "1.#QNAN",
            " NA ",
        ],
    )
    def test_spellings_of_not_labelled(self, single: Any, cell: str) -> None:
        frame = single.label(h5=None)
        for value in frame.iloc[1, 2:4]:
            single.edit_csv(str(value), cell)
        (row,) = read_project(single.root).images[1].instances.keypoints
        assert np.isnan(row).all(axis=1).tolist() == [False, True, False]

    @pytest.mark.parametrize("cell", ["x", "?", "missing", "1_5", "--", "0x1"])
    def test_what_is_none_of_them(self, single: Any, cell: str) -> None:
        frame = single.label(h5=None)
        single.edit_csv(str(frame.iloc[1, 2]), cell)
        assert f"line 5, column 'leftpaw x': {cell!r} is not a number" in refusal(single.root)


@pytest.mark.parametrize("files", FILES)
@pytest.mark.parametrize(
    ("value", "kind"), [((104.0, 30.0), "outside"), ((-6, 30), "outside"), ((-1, -1), "coded")]
)
def test_one_bad_label(single: Any, files: str, value: tuple[float, float], kind: str) -> None:
    frame = single.label(20, h5=None, csv=False)
    frame.iloc[3, 2:4] = value
    single.write(frame, h5="fixed" if files == "h5" else None, csv=files == "csv")
    found = read_project(single.root)
    assert len(found.images) == 20
    assert sum(int((~np.isnan(i.instances.keypoints[..., 0])).sum()) for i in found.images) == 59
    said = {
        "outside": "1 label outside its image left out, the first is ",
        "coded": "counted as not labelled",
    }[kind]
    (note,) = [n for n in found.notes if said in n]
    assert f"labeled-data/mouse/img003.png leftpaw at ({value[0]:g}, {value[1]:g}) of 64 x 48" in note


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_spoilt_table_is_read_or_refused_in_one_line(single: Any, data: st.DataObject) -> None:
    if not single.folder().exists():
        single.label(h5=None)
        (single.root / "whole.csv").write_bytes(single.labels("csv").read_bytes())
    text = bytearray((single.root / "whole.csv").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        piece = data.draw(
            st.sampled_from(
                [b"", b",", b";", b"\t", b"\r", b"\n", b'"', b"nan", codecs.BOM_UTF8, b"\xff", b"\0"]
            )
        )
        text[at : at + data.draw(st.integers(0, 3))] = piece
    single.labels("csv").write_bytes(bytes(text))
    said, images = "", ()
    try:
        images = read_project(single.root).images
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    assert all(np.isfinite(i.instances.keypoints).any() for i in images if len(i.instances))
