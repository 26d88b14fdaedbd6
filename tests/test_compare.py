"""Runs beside each other: the same images for all, none of them trained on, keypoints by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pose_core
from pose_core.data.fingerprint import data_hash, hash_image
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, DataError
from pose_core.evaluation.compare import compare
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import Predictions
from pose_core.runs.run_folder import Run, build_model
from pose_core.specs import DataSpec, EvaluationSpec, ModelSpec, PreprocessSpec, RunSpec
from pose_core.structures import Instances, Skeleton

NAMES = ("red", "green", "blue")


def make_project(folder: Path, count: int, seed: int, names: tuple[str, ...] = NAMES) -> Path:
    """Images of one blob a keypoint, each in its channel of colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :80]

    def examples():
        for number in range(count):
            points = rng.uniform(16, 48, (3, 2))
            image = np.stack(
                [255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 32) for px, py in points], axis=-1
            )
            own = points[[NAMES.index(name) for name in names]]
            yield Example(
                f"{number:02d}.png", image.round().astype(np.uint8), Instances.from_keypoints(own[None])
            )

    write_project(folder, Skeleton(names), examples(), name=folder.name)
    return folder


class Centroids(torch.nn.Module):
    """A network that knows where each blob is, and is off by ``shift`` pixels times the brightest value's share."""

    size_multiple = 16
    device = torch.device("cpu")

    def __init__(self, names, shift):
        super().__init__()
        self.names, self.shift, self.skeleton = names, shift, Skeleton(names)

    def predict(self, images, initial=None):
        mass = images.double()
        height, width = images.shape[-2:]
        x = (mass * torch.arange(width)).sum((-1, -2)) / mass.sum((-1, -2))
        y = (mass * torch.arange(height)[:, None]).sum((-1, -2)) / mass.sum((-1, -2))
        points = torch.stack([x + self.shift, y], dim=-1).float()
        points = points[:, [NAMES.index(name) for name in self.names]][:, None]
        found = Predictions.none(len(images), self.skeleton)
        return found.with_animals(points, torch.full((len(images), 1, len(self.names)), 0.9))


def make_run(folder: Path, project: Path, train: range, test: range, **changes) -> Run:
    dataset = read_project(project)
    spec = RunSpec(
        skeleton=dataset.skeleton,
        data=DataSpec(source=str(project)),
        model=ModelSpec(
            preprocess=PreprocessSpec(scale=1.0, min_box=0.0),
            backbone={"type": "unet", "filters": 4, "max_stride": 8},
            heads={"keypoints": {"type": "heatmap"}},
        ),
        evaluation=EvaluationSpec(bootstrap=200),
    )
    images = dataset.images
    provenance = {
        "data": str(project),
        "data_hash": data_hash(dataset),
        "split": {
            "train": [images[i].name for i in train],
            "validation": [],
            "test": [images[i].name for i in test],
        },
        "image_hashes": {"train": [hash_image(images[i].image) for i in train], "validation": []},
        **changes,
    }
    run = Run.create(folder, spec, provenance)
    torch.manual_seed(0)
    run.save_weights(build_model(spec).state_dict(), best={"epoch": 1})
    return run


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", 12, 0)


@pytest.fixture
def shifts(monkeypatch):
    """Pixels by which the network of a run is off, by the name of its folder."""
    found = {}

    def load(run, *_):
        return Centroids(run.spec.skeleton.keypoints, found.get(run.path.name, 0.0))

    monkeypatch.setattr(Run, "load_model", load)
    return found


def test_differences_are_paired(project, shifts, tmp_path):
    first = make_run(tmp_path / "first", project, range(6), range(6, 12))
    second = make_run(tmp_path / "second", project, range(6), range(6, 12))
    shifts["second"] = 3.0
    result = compare([first, second], device="cpu")
    metrics = {name: run.metrics["mean_error"] for name, run in result.runs.items()}
    difference = result.runs["second"].differences["mean_error"]
    assert difference.value == pytest.approx(metrics["second"].value - metrics["first"].value)
    assert difference.value == pytest.approx(3.0, abs=0.3)
    # The blobs are hard to the same degree for both: the difference is surer than either.
    low, high = difference.interval
    assert low <= difference.value <= high
    assert low > 1
    assert result.runs["first"].differences == {}
    assert "ap" not in result.runs["first"].metrics
    assert len(result.images) == 6


def test_a_run_beside_its_copy_differs_by_nothing(project, shifts, tmp_path):
    run = make_run(tmp_path / "run", project, range(6), range(6, 12))
    shifts.update(run=2.0, copy=2.0)
    shutil.copytree(run.path, tmp_path / "copy")
    result = pose_core.compare([run.path, str(tmp_path / "copy")], device="cpu")
    for difference in result.runs["copy"].differences.values():
        assert difference.value == 0
        assert difference.interval == (0, 0)


def test_images_that_a_run_was_trained_on_are_left_out_by_their_files(project, shifts, tmp_path):
    first = make_run(tmp_path / "first", project, range(6), range(6, 12))
    # Trained on a copy of the project under another name, on two of the test images of the first.
    shutil.copytree(project, tmp_path / "copy")
    second = make_run(tmp_path / "second", tmp_path / "copy", range(6, 8), range(8, 12))
    result = compare([first, second], device="cpu")
    dataset = read_project(project)
    assert result.images == tuple(image.name for image in dataset.images[8:])
    assert "2 of 6 test images" in result.notes[0]
    assert str(second.path) in result.notes[0]


def test_where_nothing_is_new_to_all_it_is_refused(project, shifts, tmp_path):
    first = make_run(tmp_path / "first", project, range(6), range(6, 12))
    second = make_run(tmp_path / "second", project, range(6, 12), range(6))
    with pytest.raises(
        DataError, match=r"each of the 6 test images .*6 by .*second; name images that are new"
    ):
        compare([first, second], device="cpu")
    new = make_project(tmp_path / "new", 5, 7)
    assert len(compare([first, second], new, device="cpu").images) == 5


def test_keypoints_are_compared_by_name(project, shifts, tmp_path):
    other = make_project(tmp_path / "other", 4, 3, ("blue", "red"))
    first = make_run(tmp_path / "first", project, range(6), range(6, 12))
    second = make_run(tmp_path / "second", other, range(4), range(0))
    result = compare([first, second], device="cpu")
    assert result.keypoints == ("red", "blue")
    assert any("not compared: green" in note for note in result.notes)
    # The same answers in another order: no difference.
    assert result.runs["second"].differences["mean_error"].value == pytest.approx(0, abs=1e-6)
    odd = make_project(tmp_path / "odd", 4, 11, ("green",))
    third = make_run(tmp_path / "third", other, range(4), range(0))
    with pytest.raises(DataError, match="no keypoint is in the labels and in all runs"):
        compare([second, third], odd, device="cpu")


def test_a_run_that_does_not_know_its_images(project, shifts, tmp_path):
    known = make_run(tmp_path / "known", project, range(6), range(6, 12))
    nothing = {"train": [], "validation": [], "test": []}
    unknown = make_run(tmp_path / "unknown", project, range(0), range(0), split=nothing)
    with pytest.raises(DataError, match="unknown: does not know which images"):
        compare([known, unknown], device="cpu")
    new = make_project(tmp_path / "new", 5, 7)
    assert any("does not know" in note for note in compare([known, unknown], new, device="cpu").notes)


def test_what_is_no_comparison_is_refused(project, tmp_path):
    run = make_run(tmp_path / "run", project, range(6), range(6, 12))
    with pytest.raises(ConfigError, match="two runs or more"):
        compare([run])
    with pytest.raises(ConfigError, match="is there twice"):
        compare([run, run.path])


@pytest.mark.long
def test_the_command_prints_and_writes(pose, project, tmp_path):
    """With networks that were never trained: a real process, no stand-in."""
    for name in ("first", "second"):
        make_run(tmp_path / name, project, range(6), range(6, 12))
    out = tmp_path / "out"
    done = pose("compare", "first", "second", "--out", out, "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((out / "comparison.json").read_text())
    assert printed["first"] == "first"
    assert len((out / "comparison.csv").read_text().splitlines()) == 3
    with Image.open(out / "comparison.png") as picture:
        assert picture.width > 400
    table = pose("compare", "first", "second", "--device", "cpu")
    assert "6 images, 18 labelled keypoints" in table.stdout
    assert "difference to first" in table.stdout
    assert "is there twice" in pose.refuses("compare", "first", "first")
