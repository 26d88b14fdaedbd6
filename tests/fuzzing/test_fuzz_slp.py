"""1000 spoilt .slp files: projects with a video or with embedded images, and predictions."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from slp_projects import Animal, SlpProject, embedded_video, media_video

from pose_core.synthetic.videos import draw_number, write_numbered_video

from .hdf import spoil_h5
from .mutate import spoil_json
from .odd import NUMBERS
from .oracle import Example, check, fuzz

FAMILY = "slp"


@cache
def _video(folder: Path) -> bytes:
    write_numbered_video(folder / "made.mp4", 12)
    return (folder / "made.mp4").read_bytes()


def _make_project(rng: random.Random, predicted: bool, embedded: bool) -> SlpProject:
    numbers = np.random.default_rng(rng.randrange(1 << 30))

    def animal(track: int) -> Animal:
        return Animal(numbers.uniform(4, 44, (4, 2)), track, 0.5 if predicted else None)

    frames = [(0, frame, [animal(0), animal(1)]) for frame in (2, 3, 5, 7, 8, 11)]
    if not predicted:
        frames[1][2].append(Animal(numbers.uniform(4, 44, (4, 2)), 1, 0.5))
    project = SlpProject(
        tracks=["Ada", "Bea"],
        videos=[media_video("clip.mp4")],
        frames=frames,
        negative=[(0, 9)],
        suggestions=[(0, 10), (0, 3)],
        format=rng.choice((1.0, 1.2, 1.4)),
        padded=rng.random() < 0.5,
    )
    if embedded:
        project.embedded = {0: {frame: draw_number(frame, 64, 48) for frame in (2, 3, 5, 7, 8, 9, 10, 11)}}
        project.videos = [embedded_video(0, project.videos[0], 8)]
    return project


def make_slp(videos: Path, run: Path, rng: random.Random, folder: Path) -> Example:
    """One spoilt .slp file, and a training, a prediction or a drawing that reads it."""
    what = rng.choice(("train", "train", "predict", "render"))
    embedded = what != "render" and rng.random() < 0.4
    path = folder / "labels.slp"
    _make_project(rng, what == "render", embedded).write(path)
    (folder / "clip.mp4").write_bytes(_video(videos))
    about = _spoil(path, rng)
    if what == "render":
        return Example(["render", path, folder / "clip.mp4", "--out", folder / "out.mp4"], f"render: {about}")
    if what == "predict":
        options = ["--frames", "labelled"] if rng.random() < 0.5 else []
        command = ["predict", run, path, "--out", folder / "out", "--format", rng.choice(("slp", "parquet"))]
        return Example([*command, "--device", "cpu", *options], f"predict: {about}")
    options = ["--set", f"data.reader={{type: sleap, labels: {rng.choice(('user', 'all'))}}}"]
    command = ["train", path, "--model", "unet", "--out", folder / "out"]
    return Example([*command, *(options if rng.random() < 0.3 else [])], f"train: {about}")


def _spoil(path: Path, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return spoil_h5(path, rng)
    with h5py.File(path, "r+") as file:
        if kind < 0.7:
            group = file["metadata"]
            spoilt = spoil_json(json.loads(bytes(group.attrs["json"])), rng, gentle=0.7)
            group.attrs["json"] = np.bytes_(spoilt)
            return "metadata"
        if kind < 0.85:
            name = rng.choice(("videos_json", "tracks_json", "suggestions_json"))
            texts = [
                spoil_json(json.loads(text), rng, gentle=0.7).replace(b"\0", b"") for text in file[name][()]
            ]
            del file[name]
            file.create_dataset(name, data=np.array(texts, object), dtype=h5py.string_dtype())
            return name
        # A number of a table, which refers to a row of another.
        tables = ("frames", "instances", "points", "pred_points", "negative_frames")
        name = rng.choice([name for name in tables if len(file[name])])
        table = file[name][()]
        field = rng.choice(table.dtype.names)
        odd = rng.choice((*(n for n in NUMBERS if isinstance(n, int)), 0, 1, 5, 12, 2**31 - 1))
        with np.errstate(all="ignore"):
            table[field][rng.randrange(len(table))] = np.array(odd % 2**31).astype(table.dtype[field])
        file[name][...] = table
        return f"{name}.{field}"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the video, made once."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that predicts in no time."""
    from tiny_run import make_run

    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_slp(videos: Path, run: Path, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(1000, 1016), lambda rng, folder: make_slp(videos, run, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_1000_slp(videos: Path, run: Path, tmp_path: Path, part: int) -> None:
    numbers = range(250 * part, 250 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_slp(videos, run, rng, folder), tmp_path))
