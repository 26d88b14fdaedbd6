"""Labels that crossed computers: every reader finds their images by one function, and keeps their names."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_core.data.projects import read_project
from pose_core.data.split import make_split
from pose_core.errors import DataError
from pose_core.pipeline.box_file import read_boxes
from pose_core.specs import SplitSpec
from pose_core.structures import LabelledDataset

Maker = Callable[[Path, list[str], list[str]], Path]
"""Makes a project: its folder, the images on disk, their names in the labels; returns what is read."""


def write_images(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        image = np.full((48, 64, 3), 40 + 10 * number, np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def make_core(folder: Path, disk: list[str], named: list[str]) -> Path:
    write_images(folder, [f"images/{name}" for name in disk])
    (folder / "project.yaml").write_text("keypoints: [nose]\n")
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "individual", "keypoint", "x", "y"])
        for number, name in enumerate(named):
            table.writerow([f"images/{name}", "animal", "nose", 5 + number, 7])
    return folder


def make_deeplabcut(folder: Path, disk: list[str], named: list[str]) -> Path:
    write_images(folder, [f"labeled-data/clip/{name}" for name in disk])
    (folder / "config.yaml").write_text("Task: t\nscorer: me\ndate: May1\nbodyparts:\n- nose\nskeleton: []\n")
    with (folder / "labeled-data/clip/CollectedData_me.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerows([["scorer", "me", "me"], ["bodyparts", "nose", "nose"], ["coords", "x", "y"]])
        for number, name in enumerate(named):
            table.writerow([f"labeled-data/clip/{name}", 5 + number, 7])
    return folder


def make_coco(folder: Path, disk: list[str], named: list[str]) -> Path:
    write_images(folder, disk)
    content = {
        "images": [{"id": i, "file_name": n, "width": 64, "height": 48} for i, n in enumerate(named)],
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose"]}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": [5 + i, 7, 2]} for i in range(len(named))
        ],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


MAKERS = {"core": make_core, "deeplabcut": make_deeplabcut, "coco": make_coco}


def check(dataset: LabelledDataset, named: list[str], files: list[str]) -> None:
    """Each label is that of its image, under the name that the labels give it."""
    assert [image.name.rpartition("/")[2] for image in dataset.images] == named
    for number, image in enumerate(dataset.images):
        assert image.image.path.name == files[number]
        assert image.instances.keypoints[0].tolist() == [[5 + number, 7]]


@pytest.mark.parametrize("format", MAKERS)
@pytest.mark.parametrize(
    ("disk", "named", "what"),
    [
        (["a0.png", "a1.png"], ["A0.PNG", "a1.PNG"], "letter case"),
        (["IMG 1.Png", "x.PNG"], ["img 1.png", "X.png"], "letter case"),
        (["maüse.png", "é.png"], ["MAÜSE.png", "É.png"], "letter case"),
        (["e\u0301.png", "n\u0303.png"], ["\u00e9.png", "\u00f1.png"], "form of accents"),
        (
            ["\u1112\u1161\u11ab.png"],
            [unicodedata.normalize("NFC", "\u1112\u1161\u11ab.png")],
            "form of accents",
        ),
    ],
)
def test_names_that_read_the_same_are_found(
    format: str, disk: list[str], named: list[str], what: str, tmp_path: Path
) -> None:
    dataset = read_project(MAKERS[format](tmp_path / "p", disk, named))
    check(dataset, named, disk)
    count = f"{len(disk)} images are" if len(disk) > 1 else "1 image is"
    assert f"{count} called otherwise on this disk ({what}), such as {disk[0]}" in dataset.notes
    assert not any("left out" in note for note in dataset.notes)


@pytest.mark.parametrize("format", MAKERS)
@pytest.mark.parametrize("name", ["t12:30.png", "x%d.png", "-a.png", "[b]*.png", "two\nlines.png", "鼠.png"])
def test_any_letters_are_a_name(format: str, name: str, tmp_path: Path) -> None:
    dataset = read_project(MAKERS[format](tmp_path / "p", [name, "b.png"], [name, "b.png"]))
    check(dataset, [name, "b.png"], [name, "b.png"])
    assert not any("otherwise" in note or "end of the name" in note for note in dataset.notes)


@pytest.mark.parametrize("format", MAKERS)
@pytest.mark.parametrize(
    ("disk", "named"),
    [(["a.png", "A.png"], ["a.PNG"]), (["É.png", "é.PNG"], ["é.png"]), (["x.png", "X.PNG"], ["x.PNG"])],
)
def test_two_candidates_are_named(format: str, disk: list[str], named: list[str], tmp_path: Path) -> None:
    project = MAKERS[format](tmp_path / "p", disk, named)
    with pytest.raises(DataError, match="may be") as caught:
        read_project(project)
    assert all(name in str(caught.value) for name in (*disk, *named))


@pytest.mark.parametrize("format", MAKERS)
@pytest.mark.parametrize(
    "named", [["a.png", "A.png"], ["A.png", "a.png"], ["A.PNG", "a.Png"]], ids=["first", "second", "both"]
)
def test_two_labelled_images_do_not_become_one(format: str, named: list[str], tmp_path: Path) -> None:
    project = MAKERS[format](tmp_path / "p", ["a.png"], named)
    with pytest.raises(DataError, match="are both") as caught:
        read_project(project)
    assert all(repr(name)[1:-1] in str(caught.value) for name in named)
    if format == "coco":
        assert "images 0 and 1: " in str(caught.value)


@pytest.mark.parametrize(
    "prefix", ["D:\\rig\\p\\images\\", "/home/ana/p/images/", "\\\\server\\lab\\images\\", "E:images\\"]
)
@pytest.mark.parametrize("format", ["core", "coco"])
def test_absolute_names_of_another_computer(format: str, prefix: str, tmp_path: Path) -> None:
    disk = ["0.png", "1.png"]
    named = [prefix + name for name in disk]
    project = MAKERS[format](
        tmp_path / "p", [f"images/{n}" for n in disk] if format == "coco" else disk, named
    )
    if format == "core":
        labels = (project / "labels.csv").read_text()
        (project / "labels.csv").write_text(labels.replace(f"images/{prefix}", prefix))
    dataset = read_project(project)
    assert [image.image.path.name for image in dataset.images] == disk
    assert any("2 images were found by the end of the name" in note for note in dataset.notes)


def test_the_core_reads_nothing_outside_of_the_project(tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere", ["0.png"])
    for name in (str(tmp_path / "elsewhere" / "0.png"), "../elsewhere/0.png", "..\\elsewhere\\0.png"):
        project = make_core(tmp_path / f"p{len(name)}", ["a.png"], ["a.png"])
        with (project / "labels.csv").open("a") as file:
            file.write(f"{name},animal,nose,1,2\n")
        with pytest.raises(DataError, match=r"line 3: image .*project's folder"):
            read_project(project)


# Names that formats prescribe.


@pytest.mark.parametrize(
    ("format", "old", "new"),
    [
        ("core", "project.yaml", "Project.YAML"),
        ("core", "labels.csv", "Labels.csv"),
        ("deeplabcut", "config.yaml", "Config.yaml"),
        ("deeplabcut", "labeled-data", "Labeled-Data"),
    ],
)
def test_a_projects_own_files_in_another_letter_case(format: str, old: str, new: str, tmp_path: Path) -> None:
    project = MAKERS[format](tmp_path / "p", ["a.png"], ["a.png"])
    (project / old).rename(project / new)
    dataset = read_project(project)
    assert len(dataset.images) == 1
    assert any(f"{new}: is taken for {old} (letter case)" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("collecteddata_me.csv", "letter case"),
        ("CollectedData_me.CSV", "letter case"),
        ("COLLECTEDDATA_me.h5", "letter case"),
        ("labels_me.csv", "its name does not begin with CollectedData_"),
    ],
)
def test_files_that_nearly_hold_labels_are_named(name: str, why: str, tmp_path: Path) -> None:
    project = make_deeplabcut(tmp_path / "p", ["a.png"], ["a.png"])
    labels = project / "labeled-data" / "clip" / "CollectedData_me.csv"
    (project / "labeled-data" / "b").mkdir()
    (project / "labeled-data" / "b" / name).write_bytes(labels.read_bytes())
    notes = read_project(project).notes
    assert "folders without labels: b" in notes
    assert f"b: {name} is not taken for labels ({why})" in notes
    labels.unlink()
    with pytest.raises(DataError, match=f"{name} is not taken for labels"):
        read_project(project)


# Tables that name images.


@pytest.mark.parametrize(
    ("listed", "disk"), [("A.PNG", "a.png"), ("\u00e9.png", "e\u0301.png"), ("straße.png", "STRASSE.png")]
)
def test_tables_of_boxes_and_split_files_name_images_as_labels_do(
    listed: str, disk: str, tmp_path: Path
) -> None:
    (tmp_path / "boxes.csv").write_text(f"image,x1,y1,x2,y2\n{listed},1,2,3,4\n", encoding="utf-8")
    table = read_boxes(tmp_path / "boxes.csv")
    boxes, _ = table.padded([0], [f"elsewhere/{disk}"])
    assert boxes.tolist() == [[[1, 2, 3, 4]]]
    (tmp_path / "boxes.csv").write_text(
        f"image,x1,y1,x2,y2\n{listed},1,2,3,4\n{disk},5,6,7,8\n", encoding="utf-8"
    )
    boxes, _ = read_boxes(tmp_path / "boxes.csv").padded([0], [disk])
    assert boxes.tolist() == [[[5, 6, 7, 8]]], "the name itself is meant, where it is there"

    dataset = read_project(make_core(tmp_path / "p", [disk, "b.png"], [disk, "b.png"]))
    (tmp_path / "split.yaml").write_text(
        f"train: ['images/{listed}']\ntest: [images/b.png]\n", encoding="utf-8"
    )
    split = make_split(dataset, SplitSpec(file=str(tmp_path / "split.yaml")), 0)
    assert (split.train, split.test) == ((0,), (1,))


# Text in other encodings.


@pytest.mark.parametrize(
    ("encoding", "word"), [("latin-1", "tête"), ("cp1252", "œil"), ("gbk", "鼻子"), ("shift-jis", "鼻")]
)
@pytest.mark.parametrize("format", ["core", "deeplabcut"])
def test_other_encodings_are_refused_with_line_and_byte(
    format: str, encoding: str, word: str, tmp_path: Path
) -> None:
    project = MAKERS[format](tmp_path / "p", ["a.png"], ["a.png"])
    (file,) = project.rglob("*.csv")
    config = project / ("project.yaml" if format == "core" else "config.yaml")
    config.write_text(config.read_text().replace("nose", word), encoding="utf-8")
    content = file.read_text().replace("nose", word).encode(encoding)
    file.write_bytes(content)
    line = next(i for i, row in enumerate(content.split(b"\n")) if not row.isascii())
    row = content.split(b"\n")[line]
    at = next(i for i, byte in enumerate(row) if byte > 127)
    with pytest.raises(DataError) as caught:
        read_project(project)
    expected = f"line {line + 1}, byte {at + 1} ({row[at]:02X}) is not UTF-8; save it as CSV in UTF-8"
    assert str(caught.value) == f"{file}: {expected}"


@pytest.mark.parametrize("scorer", ["Ren\u00e9e".encode("latin-1"), "王".encode("gbk"), b"\xff\xfe"])
def test_a_scorer_in_another_encoding_keeps_no_label_from_being_read(scorer: bytes, tmp_path: Path) -> None:
    project = make_deeplabcut(tmp_path / "p", ["a.png"], ["a.png"])
    (file,) = project.rglob("*.csv")
    file.write_bytes(file.read_bytes().replace(b"scorer,me,me", b"scorer," + scorer + b"," + scorer))
    dataset = read_project(project)
    check(dataset, ["a.png"], ["a.png"])
    shown = "".join(chr(b) if b < 128 else f"\\x{b:02x}" for b in scorer)
    assert f"{file}: its scorer is not in UTF-8, and is read as {shown}" in dataset.notes


@pytest.mark.parametrize("folder", [b"pr\xe9", b"p::q", b"p%d [1]\n"])
def test_projects_in_folders_of_any_name(folder: bytes, tmp_path: Path) -> None:
    for format, maker in MAKERS.items():
        dataset = read_project(maker(tmp_path / format / os.fsdecode(folder), ["a.png"], ["a.png"]))
        check(dataset, ["a.png"], ["a.png"])
