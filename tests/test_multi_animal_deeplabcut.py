"""A DeepLabCut project of three animals and two unique body parts, from its label files to DeepLabCut's
tables."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from pose_core.catalog import get_catalog
from pose_core.data.projects import read_project
from pose_core.formats.parquet import ParquetWriter
from pose_core.prediction.predict import predict
from pose_core.structures import FloatArray, Frame
from pose_core.synthetic.encode import write_video

WIDTH, HEIGHT = 128, 96
FRAMES = 30
PARTS = ["head", "tail"]
INDIVIDUALS = ["ann", "bob", "cy"]
UNIQUE = ["corner", "lamp"]
HEAD, TAIL = (230, 30, 30), (30, 230, 30)
NOBODY, NOTHING = 4, 7
"""Frames without animals: of the first the unique body parts are labelled, of the second nothing is."""


def paint(animals: FloatArray, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """(N, 2, 2) heads and tails, NaN where absent -> RGB."""
    image = rng.integers(90, 120, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for animal in animals:
        for point, colour in zip(animal, (HEAD, TAIL), strict=True):
            if np.isfinite(point).all():
                cv2.circle(
                    image, [round(float(v) * 16) for v in point], 5 * 16, colour, -1, cv2.LINE_AA, shift=4
                )
    return image


def make_scenes(frames: int, seed: int) -> FloatArray:
    """(F, 3, 2, 2): each animal in its own third of the image; bob is absent from every third frame."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-4, 4, (frames, 3, 2)) + np.array([[24, 30], [64, 64], [104, 30]])
    angle = rng.uniform(0, 2 * np.pi, (frames, 3))
    half = 8 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    points = np.stack([centre + half, centre - half], axis=2)
    points[::3, 1] = np.nan
    points[[NOBODY, NOTHING]] = np.nan
    return points.astype(np.float32)


def write_labels(project: Path, points: FloatArray, unique: FloatArray) -> None:
    """CollectedData in DeepLabCut's four levels, HDF5 and CSV, and the images; and config.yaml."""
    folder = project / "labeled-data" / "arena"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"img{i:03d}.png" for i in range(len(points))]
    for name, animals in zip(names, points, strict=True):
        cv2.imwrite(str(folder / name), paint(animals, rng)[..., ::-1])
    whose = [(i, part) for i in INDIVIDUALS for part in PARTS] + [("single", part) for part in UNIQUE]
    columns = pd.MultiIndex.from_tuples(
        [("Ada", *name, axis) for name in whose for axis in ("x", "y")],
        names=["scorer", "individuals", "bodyparts", "coords"],
    )
    values = np.concatenate([points.reshape(len(points), -1), unique.reshape(len(points), -1)], axis=1)
    index = pd.MultiIndex.from_tuples([("labeled-data", "arena", name) for name in names])
    table = pd.DataFrame(values.astype(np.float64), columns=columns, index=index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.to_hdf(folder / "CollectedData_Ada.h5", key="df_with_missing", mode="w")
    table.to_csv(folder / "CollectedData_Ada.csv")
    config = {
        "Task": "arena",
        "scorer": "Ada",
        "date": "Jan7",
        "multianimalproject": True,
        "identity": True,
        "project_path": "/gone",
        "video_sets": {},
        "individuals": INDIVIDUALS,
        "uniquebodyparts": UNIQUE,
        "multianimalbodyparts": PARTS,
        "bodyparts": "MULTI!",
        "skeleton": [PARTS],
    }
    (project / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FloatArray, FloatArray]:
    """The project, its animals (F, 3, 2, 2) and its unique body parts (F, 2, 2)."""
    project = tmp_path_factory.mktemp("arena") / "arena-Ada-Jan7"
    points = make_scenes(FRAMES, 0)
    points[5, 2, 1] = np.nan  # a hidden tail
    unique = np.tile(np.float32([[[3, 4], [120, 90]]]), (FRAMES, 1, 1))
    unique[::4, 1] = np.nan
    unique[NOTHING] = np.nan
    write_labels(project, points, unique)
    return project, points, unique


SETTINGS = (
    "model.preprocess.size=[48,48]",
    "model.backbone.filters=6",
    "model.backbone.max_stride=8",
    "model.backbone.output_stride=2",
    # As in DeepLabCut, whose top-down models do not tell who an animal is.
    "model.heads.identity=null",
    "train.batch_size=16",
    "train.optimizer.lr=0.003",
    "train.validate_every=5",
    "evaluation.bootstrap=20",
)
NOTE = "has no head for keypoints that exist once"


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The ``pose`` command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pose_core", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(
    arena: tuple[Path, FloatArray, FloatArray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run on the project, and what its training said."""
    run = tmp_path_factory.mktemp("runs") / "run"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    said = command(
        *("train", arena[0], "--model", "top_down_unet", "--out", run, "--device", "cpu", "--epochs", "20"),
        *settings,
    )
    return run, said


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, FloatArray]:
    """A video, a file of boxes, and the animals (F, 3, 2, 2). Frame 2 has a fourth, unsure box, on the
    ground."""
    folder = tmp_path_factory.mktemp("video")
    points, rng = make_scenes(9, 1), np.random.default_rng(2)
    write_video(folder / "clip.mp4", [paint(animals, rng) for animals in points])
    lines = ["frame,x1,y1,x2,y2,score"]
    for frame, animals in enumerate(points):
        for number, animal in enumerate(animals):
            if np.isfinite(animal).all():
                (x1, y1), (x2, y2) = animal.min(axis=0) - 5, animal.max(axis=0) + 5
                lines.append(f"{frame},{x1},{y1},{x2},{y2},{0.9 - number / 10}")
    lines.append("2,60,5,76,21,0.1")
    (folder / "boxes.csv").write_text("\n".join(lines))
    return folder / "clip.mp4", folder / "boxes.csv", points


@pytest.mark.parametrize("labels", ["h5", "csv"])
def test_what_is_read(arena: tuple[Path, FloatArray, FloatArray], labels: str) -> None:
    project, points, unique = arena
    if labels == "csv":
        reader = get_catalog().component("reader", "deeplabcut")
        dataset = read_project(project, reader.config_class()(type=reader.full_name, labels="csv"))
    else:
        dataset = read_project(project)
    assert dataset.skeleton.individuals == tuple(INDIVIDUALS)
    assert dataset.skeleton.unique_keypoints == tuple(UNIQUE)
    assert dataset.skeleton.identified
    assert len(dataset.images) == FRAMES - 1
    assert any(
        f"1 image without any label left out, the first is labeled-data/arena/img{NOTHING:03d}" in n
        for n in dataset.notes
    )
    for image in dataset.images:
        frame = int(image.image.path.stem[3:])
        there = np.flatnonzero(np.isfinite(points[frame]).any(axis=(1, 2)))
        assert image.instances.identity.tolist() == there.tolist()
        np.testing.assert_allclose(image.instances.keypoints, points[frame][there], atol=1e-4)
        np.testing.assert_allclose(image.unique_keypoints, unique[frame], atol=1e-4)
    assert len(next(i for i in dataset.images if i.image.path.stem == f"img{NOBODY:03d}").instances) == 0


@pytest.mark.long
def test_training_says_what_the_model_cannot_learn(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, said = trained
    assert f"{NOTE} a frame: corner, lamp" in said.stdout + said.stderr
    assert any(NOTE in note for note in json.loads((run / "provenance.json").read_text())["notes"])


@pytest.mark.long
def test_evaluation_does_not_count_what_the_model_cannot_find(
    arena: tuple[Path, FloatArray, FloatArray], trained: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    run, _ = trained
    _, points, _ = arena
    metrics = json.loads(command("evaluate", run, "--device", "cpu", "--split", "all", "--json").stdout)
    labelled = np.isfinite(points).all(axis=-1)
    counts = metrics["counts"]
    assert (counts["images"], counts["animals"]) == (FRAMES - 1, int(labelled.any(axis=2).sum()))
    assert (counts["matched"], counts["missed"], counts["false_positives"]) == (counts["animals"], 0, 0)
    assert (counts["keypoints"], counts["missing"]) == (int(labelled.sum()), 0)
    assert [k["name"] for k in metrics["keypoints"]] == PARTS
    assert any(NOTE in note and "corner, lamp" in note for note in metrics["notes"])
    assert metrics["mean_error"] < 2
    assert metrics["ap50"] > 0.8


def check_frames(frames: list[Frame], points: FloatArray) -> None:
    """Each frame has as many animals as the project at most, each on a true one; their names are not made
    up."""
    assert [frame.index for frame in frames] == list(range(len(points)))
    for frame, animals in zip(frames, points, strict=True):
        there = animals[np.isfinite(animals).all(axis=(1, 2))]
        found = frame.instances
        # The fourth box of frame 2 is the least sure one; where an animal is absent it is kept.
        assert len(found) == min(len(there) + (frame.index == 2), len(INDIVIDUALS))
        for number, animal in enumerate(there):
            assert np.linalg.norm(found.keypoints[number] - animal, axis=-1).max() < 5
        assert np.isnan(frame.unique_keypoints).all()
        assert not frame.unique_scores.any()


@pytest.mark.long
def test_a_video_in_all_formats(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
    video: tuple[Path, Path, FloatArray],
    tmp_path: Path,
) -> None:
    run, _ = trained
    clip, boxes, points = video
    command(
        "predict", run, clip, "--boxes", boxes, "--out", tmp_path, "--device", "cpu", "--format", "dlc-h5"
    )
    for name in ("dlc-csv", "coco", "parquet"):
        predict(run, [clip], tmp_path, boxes=boxes, format=name, device="cpu")
    made = {
        path.suffix: path
        for path in tmp_path.iterdir()
        if path.suffix in (".h5", ".csv", ".json", ".parquet")
    }
    counts = [min(int(np.isfinite(a).all(axis=(1, 2)).sum()) + (i == 2), 3) for i, a in enumerate(points)]
    assert 0 in counts
    assert 3 in counts

    parquet = list(ParquetWriter(_config("parquet")).read(made[".parquet"]))
    check_frames(parquet, points)
    assert all((frame.instances.identity == -1).all() for frame in parquet)

    whose = [(i, part) for i in INDIVIDUALS for part in PARTS] + [("single", part) for part in UNIQUE]
    table = pd.read_hdf(made[".h5"])
    assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
    assert [c[1:] for c in table.columns] == [(*w, c) for w in whose for c in ("x", "y", "likelihood")]
    same = pd.read_csv(made[".csv"], header=[0, 1, 2, 3], index_col=0)
    np.testing.assert_allclose(table.to_numpy(), same.to_numpy(), atol=1e-3)
    values = table.to_numpy().reshape(len(points), 8, 3)
    for frame, (row, count) in enumerate(zip(values, counts, strict=True)):
        assert np.isfinite(row[:6].reshape(3, -1)).all(axis=1).sum() == count
        assert np.isnan(row[:6]).all(axis=(1,)).sum() == 6 - 2 * count
        found = parquet[frame].instances.keypoints
        np.testing.assert_allclose(row[: 2 * count, :2].reshape(-1, 2, 2), found, atol=1e-3)
        assert np.isnan(row[6:, :2]).all()
    for name, suffix in (("dlc-h5", ".h5"), ("dlc-csv", ".csv")):
        writer = get_catalog().component("writer", name)
        check_frames(list(writer.factory()(_config(name)).read(made[suffix])), points)

    results = json.loads(made[".json"].read_text())
    assert np.bincount([r["image_id"] for r in results], minlength=len(points)).tolist() == counts
    assert all(len(r["keypoints"]) == 6 and r["category_id"] == 1 for r in results)


def _config(writer: str) -> Any:
    component = get_catalog().component("writer", writer)
    return component.config_class()(type=component.full_name)
