"""2000 spoilt tables: labels of our own and DeepLabCut's, boxes, predictions; and the images that they
name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .conftest import Material, copy
from .hdf import spoil_h5
from .mutate import put, spoil_bytes, spoil_csv, spoil_lines, spoil_place
from .oracle import Example, check, fuzz

FAMILY = "labels"


def make_labels(material: Material, rng: random.Random, folder: Path) -> Example:
    """One spoilt table (or image) and a command that reads it."""
    return rng.choices(
        (_own, _deeplabcut_csv, _deeplabcut_h5, _boxes, _image, _predictions), (6, 5, 4, 2, 2, 2)
    )[0](material, rng, folder)


def _csv(data: bytes, rng: random.Random) -> bytes:
    return rng.choices((spoil_csv, spoil_bytes, spoil_lines), (7, 2, 2))[0](data, rng)


def _train(project: Path, folder: Path, about: str, *options: str) -> Example:
    return Example(["train", project, "--model", "unet", "--out", folder / "out", *options], about)


def _own(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.own, material.own_multi)), folder / "project")
    file = project / "labels.csv"
    if rng.random() < 0.03:
        return _train(project, folder, f"labels.csv {spoil_place(file, rng)}")
    put(file, _csv(file.read_bytes(), rng))
    return _train(project, folder, "labels.csv")


def _deeplabcut_csv(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.dlc, material.dlc_multi)), folder / "project")
    file = project / "labeled-data" / rng.choice(("mouse", "rat", "vole")) / "CollectedData_Ada.csv"
    put(file, _csv(file.read_bytes(), rng))
    reader = ("--set", "data.reader={type: deeplabcut, labels: csv}")
    asked = reader if file.parent.name != "vole" and rng.random() < 0.7 else ()
    if asked:
        return _train(project, folder, "DeepLabCut CSV, preferred", *asked)
    return _train(project, folder, "DeepLabCut CSV")


def _deeplabcut_h5(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.dlc, material.dlc_multi)), folder / "project")
    file = project / "labeled-data" / rng.choice(("mouse", "rat")) / "CollectedData_Ada.h5"
    about = spoil_h5(file, rng)
    if rng.random() < 0.7:
        file.with_suffix(".csv").unlink()
    return _train(project, folder, f"DeepLabCut HDF5: {about}")


def _boxes(material: Material, rng: random.Random, folder: Path) -> Example:
    rows = "".join(f"{i},{i},{i + 1.5},{i + 20},{i + 21},0.{i}\n" for i in range(9))
    put(folder / "boxes.csv", _csv(f"frame,x1,y1,x2,y2,score\n{rows}".encode(), rng))
    video = material.predictions / "video.mp4"
    command = ["predict", material.crops, video, "--boxes", folder / "boxes.csv", "--out", folder / "out"]
    return Example([*command, "--device", "cpu"], "boxes")


def _image(material: Material, rng: random.Random, folder: Path) -> Example:
    source, name = rng.choice(
        ((material.own, "images/clip/3.png"), (material.dlc, "labeled-data/rat/img001.png"))
    )
    project = copy(source, folder / "project")
    file = project / name
    if rng.random() < 0.3:
        return _train(project, folder, f"image {spoil_place(file, rng)}")
    data = bytearray(file.read_bytes())
    if rng.random() < 0.5:  # width, height, depth, colour ... of the PNG header
        data[16 + rng.randrange(13)] = rng.choice((0, 1, 127, 255))
        put(file, bytes(data))
    else:
        put(file, spoil_bytes(bytes(data), rng))
    return _train(project, folder, "image")


def _predictions(material: Material, rng: random.Random, folder: Path) -> Example:
    source = rng.choice(sorted(p for p in material.predictions.iterdir() if p.suffix in (".csv", ".h5")))
    file = folder / source.name
    put(file, source.read_bytes())
    if file.suffix == ".h5":
        about = spoil_h5(file, rng)
    else:
        put(file, _csv(file.read_bytes(), rng))
        about = "CSV"
    video = material.predictions / "video.mp4"
    return Example(["render", file, video, "--out", folder / "out.mp4"], f"predictions: {about}")


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_labels(material: Material, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2000, 2016), lambda rng, folder: make_labels(material, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_2000_labels(material: Material, tmp_path: Path, part: int) -> None:
    numbers = range(500 * part, 500 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_labels(material, rng, folder), tmp_path))
