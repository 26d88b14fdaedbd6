"""Text as people save it: encodings, marks, line ends, separators; detection agrees with reading."""

from __future__ import annotations

import codecs
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pose_core.data.projects import read_project
from pose_core.errors import DataError
from pose_core.io.text import TextTable, detect_encoding, read_start, read_text
from pose_core.pipeline.box_file import read_boxes

LABELS = "image,individual,keypoint,x,y\nimages/a.png,animal,nose,1.5,2\nimages/a.png,animal,tail,3,4.25\n"
MARKED = {
    "utf-8": b"",
    "utf-8 with mark": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}


def encode(text: str, name: str, marked: bool = True) -> bytes:
    return MARKED[name] * marked + text.encode(name.removesuffix(" with mark"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((12, 20, 3), np.uint8))
    (tmp_path / "project.yaml").write_text("keypoints: [nose, tail]\n")
    (tmp_path / "labels.csv").write_text(LABELS)
    return tmp_path


def points(project: Path) -> list[list[float]]:
    found: list[list[float]] = read_project(project).images[0].instances.keypoints[0].tolist()
    return found


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", MARKED)
def test_a_label_file_however_it_is_saved(project: Path, ends: str, separator: str, name: str) -> None:
    text = LABELS.replace(",", separator).replace("\n", ends)
    (project / "labels.csv").write_bytes(encode(text, name))
    (project / "project.yaml").write_bytes(encode(f"keypoints: [nose, tail]{ends}", name))
    assert points(project) == [[1.5, 2], [3, 4.25]]


def test_decimal_commas_where_cells_are_separated_otherwise(project: Path) -> None:
    (project / "labels.csv").write_text(LABELS.replace(",", ";").replace(".5", ",5").replace(".25", ",25"))
    assert points(project) == [[1.5, 2], [3, 4.25]]
    (project / "labels.csv").write_text("sep=;\n" + LABELS.replace(",", ";"))
    assert points(project) == [[1.5, 2], [3, 4.25]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LABELS.replace("tail,3", "tail,3_0"), "line 3: x is '3_0', not a number"),
        (LABELS.replace("tail,3", 'tail,"3,0"'), "line 3: x is '3,0', not a number"),
        (LABELS.replace("3,4.25", "-1,-1"), "line 3: x and y are -1, which is no position; delete the row"),
        (LABELS.replace("3,4.25", "NA,NA"), "line 3: x is 'NA', not a number; delete the row"),
        (LABELS.replace(",", "|"), "line 1: unknown column"),
    ],
)
def test_what_is_not_taken_is_refused_with_its_line(project: Path, content: str, message: str) -> None:
    (project / "labels.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        read_project(project)
    assert message in str(caught.value)


def test_all_wrong_lines_are_counted_and_ten_named(project: Path) -> None:
    rows = [f"images/{i}.png,animal,nose,{'x' if i % 2 else 1},2" for i in range(40)]
    (project / "labels.csv").write_text("\n".join([LABELS.split("\n")[0], *rows]))
    with pytest.raises(DataError) as caught:
        read_project(project)
    assert "line 3: x is 'x'" in str(caught.value)
    assert "(20 such lines: 3, 5, 7, 9, 11, 13, 15, 17, 19, 21 and 10 more)" in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift_jis"])
def test_another_encoding_is_refused_with_its_line(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "labels.csv"
    letter = "あ" if encoding == "shift_jis" else "ü"
    file.write_bytes(f"one\r\ntwo\rthree\n{letter}{letter}\n".encode(encoding))
    with pytest.raises(
        DataError, match=r"labels\.csv: line 4, byte 1 \((FC|82)\) is not UTF-8; save it as CSV in UTF-8"
    ):
        read_text(file)
    # The advice.
    file.write_text(f"{letter}", encoding="utf-8")
    assert read_text(file) == letter


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\0"), min_size=2),
    name=st.sampled_from(list(MARKED)),
    marked=st.booleans(),
)
def test_text_comes_back(tmp_path: Path, text: str, name: str, marked: bool) -> None:
    """With its mark any text; without one any that begins with ASCII, as our formats do."""
    text = text if marked else f"im{text}"
    (tmp_path / "t").write_bytes(encode(text, name, marked))
    assert read_text(tmp_path / "t") == text
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert read_start(tmp_path / "t").removeprefix("\ufeff") == plain


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    assert detect_encoding(content)
    said = "t.csv"
    try:
        list(TextTable(file, lambda cells: "x" in cells))
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    assert "t.csv" in said
    read_start(file)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_boxes_too(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "boxes.csv"
    file.write_bytes("frame,x1,y1,x2,y2\r\n0,1,2,3,4\r\n".replace(",", separator).encode("utf-16"))
    boxes, scores = read_boxes(file).by_frame[0]
    assert boxes.tolist() == [[1, 2, 3, 4]]
    assert scores.tolist() == [1]
