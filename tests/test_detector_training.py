"""Detectors through the command line: alone, with a pose network, resumed, given, and used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_core.data.boxes import CropRule
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import Labels
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.structures import ImageFile, Instances, LabelledImage, Skeleton
from pose_core.training.validation import box_overlap, sum_box_errors

DETECTOR = ("network.size=[64,64]", "train.batch_size=8")
WITHIN = tuple(f"stages.detector.{setting}" for setting in DETECTOR)
POSE = (
    "model.preprocess.size=[32,32]",
    "model.backbone.filters=4",
    "model.backbone.max_stride=8",
    "model.backbone.output_stride=2",
)


def settings(*assignments: str) -> list[str]:
    return [part for assignment in assignments for part in ("--set", assignment)]


def history(run: Path) -> list[str]:
    return (run / "history.csv").read_text().splitlines()[1:]


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """None, one or two animals of two keypoints an image, 20 images of 64 x 64."""
    folder = tmp_path_factory.mktemp("animals") / "project"
    rng = np.random.default_rng(0)

    def example(number: int) -> Example:
        image = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
        points = [[[14, 20 + number], [26, 22]], [[40, 44], [52, 40 + number / 2]]][: 1 + number % 2]
        for one in points:
            (x1, y1), (x2, y2) = np.min(one, axis=0).astype(int), np.max(one, axis=0).astype(int)
            image[y1 - 3 : y2 + 4, x1 - 3 : x2 + 4] = (220, 40, 40)
        return Example(f"{number:02d}.png", image, Instances.from_keypoints(np.array(points, np.float32)))

    skeleton = Skeleton(("a", "b"), individuals=("one", "two"))
    write_project(folder, skeleton, (example(n) for n in range(20)), name="animals")
    return folder


@pytest.mark.long
def test_detector_and_pose_network_train_with_one_command_and_predict(
    pose: Any, animals: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ["train", animals, "--model", "top_down_unet", "--detector", "ssdlite", "--out", run]
    command += ["--device", "cpu", "--epochs", "2", *settings(*WITHIN, *POSE)]
    process = pose(*command)
    assert process.returncode == 0, process.stderr
    assert "training detector: torchvision/ssdlite, 2 epochs, 8 images a step" in process.stderr
    opened = Run.open(run, RunSpec)
    detector = Run.open(opened.stages["detector"].path, DetectorRunSpec)
    assert detector.spec.train.epochs == opened.spec.train.epochs == 2
    assert len(history(detector.path)) == len(history(run)) == 1
    assert detector.finished
    assert detector.spec.skeleton == opened.spec.skeleton
    assert detector.spec.min_box == opened.spec.model.preprocess.min_box
    assert "validation_box_error" in detector.metrics()["best"]
    assert detector.provenance["split"] == opened.provenance["split"]
    assert (run / "stages" / "detector" / "training_curves.png").is_file()

    again = pose(*command)
    assert again.returncode == 2
    assert "already holds a run; add --resume" in again.stderr
    resumed = pose(*command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "training detector" not in resumed.stderr

    evaluated = pose("evaluate", run, "--json", "--device", "cpu")
    assert evaluated.returncode == 0, evaluated.stderr
    metrics = json.loads(evaluated.stdout)
    assert {"ap", "mean_error", "labelled_boxes"} <= set(metrics)
    assert metrics["labelled_boxes"]["counts"]["missed"] == 0
    assert Path(metrics["folder"]).name == "test"
    assert Path(metrics["labelled_boxes"]["folder"]).name == "test-labelled-boxes"

    images = animals / "images"
    predicted = pose("predict", run, images, "--out", "predicted", "--device", "cpu")
    assert predicted.returncode == 0, predicted.stderr
    pose("predict", run, images, "--out", "predicted", "--device", "cpu")
    other = pose(
        "predict", run, images, "--out", "predicted", "--device", "cpu", "--boxes", boxes_file(tmp_path)
    )
    assert other.returncode == 2
    assert "was made with another sources" in other.stderr


def boxes_file(folder: Path) -> Path:
    path = folder / "boxes.csv"
    path.write_text("frame,x1,y1,x2,y2\n0,10,16,30,26\n3,10,16,30,26\n3,36,36,56,48\n")
    return path


@pytest.mark.long
def test_a_detector_alone_is_trained_measured_and_given_to_a_pose_network(
    pose: Any, animals: Path, tmp_path: Path
) -> None:
    alone, run = tmp_path / "detector", tmp_path / "run"
    process = pose(
        "train",
        animals,
        "--detector",
        "ssdlite",
        "--out",
        alone,
        "--device",
        "cpu",
        "--epochs",
        "2",
        *settings(*DETECTOR),
    )
    assert process.returncode == 0, process.stderr
    assert "best validation box error" in process.stderr
    measured = pose("evaluate", alone, "--json", "--device", "cpu")
    assert measured.returncode == 0, measured.stderr
    metrics = json.loads(measured.stdout)
    assert 0 <= metrics["ap"] <= metrics["ap50"] <= 1
    assert metrics["animals"] > 0
    assert "box AP" in pose("evaluate", alone, "--device", "cpu").stdout
    refused = pose("predict", alone, animals / "images", "--out", "x")
    assert refused.returncode == 2
    assert "holds a detector, not a pose network" in refused.stderr

    arguments = [
        "train",
        animals,
        "--model",
        "top_down_unet",
        "--device",
        "cpu",
        "--epochs",
        "1",
        *settings(*POSE),
    ]
    without = pose(*arguments, "--out", tmp_path / "bare")
    assert without.returncode == 0, without.stderr
    unknown = pose("predict", tmp_path / "bare", animals / "images", "--out", "x", "--device", "cpu")
    assert unknown.returncode == 2
    assert "needs boxes, and nothing supplies them: add --boxes" in unknown.stderr
    lent = pose(
        "predict",
        tmp_path / "bare",
        animals / "images",
        "--out",
        "lent",
        "--device",
        "cpu",
        "--detector",
        alone,
    )
    assert lent.returncode == 0, lent.stderr
    boxed = pose(
        "predict", tmp_path / "bare", animals / "images", "--out", "boxed", "--device", "cpu",
        "--boxes", boxes_file(tmp_path),
    )  # fmt: skip
    assert boxed.returncode == 0, boxed.stderr
    from pose_core.interfaces.prediction_files import core_writer

    (file,) = (tmp_path / "boxed").glob("*.parquet")
    assert [len(f.instances) for f in core_writer().read(file)][:5] == [1, 0, 0, 2, 0]

    given = pose(*arguments, "--detector", alone, "--out", run)
    assert given.returncode == 0, given.stderr
    assert (run / "stages" / "detector" / "weights.safetensors").read_bytes() == (
        alone / "weights.safetensors"
    ).read_bytes()
    assert set(Run.open(run).stages) == {"detector"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "unet", "--detector", "ssdlite"],
            "--detector: unet/unet needs no boxes; leave it out",
        ),
        (["--model", "top_down_unet", "--detector", "ssdlit"], "did you mean ssdlite"),
        (
            ["--model", "top_down_unet", "--detector", "ssdlite", "--set", "train.devices=2"],
            "train detector first .* then give --detector",
        ),
        (
            ["--detector", "ssdlite", "--set", "stages.detector.train.epochs=1"],
            r"stand at the top: .* \(--set stages.detector.train.epochs\)",
        ),
        (
            ["--detector", "ssdlite", "--set", "network.sise=[64,64]"],
            "network.sise: unknown key; did you mean size",
        ),
        (
            [
                "--model",
                "top_down_unet",
                "--detector",
                "ssdlite",
                "--set",
                "stages.detector.train.max_time=9s",
                "--max-time",
                "5s",
            ],
            "leave nothing",
        ),
    ],
)
def test_mistakes_are_named(
    pose: Any, animals: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    import re

    process = pose(
        "train", animals, *arguments, "--out", tmp_path / "run", "--device", "cpu", *settings(*POSE)[:0]
    )
    assert process.returncode == 2
    error = process.stderr.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert re.search(message, error), error
    assert "Traceback" not in process.stderr


def test_small_boxes_are_enlarged_and_known_ones_kept() -> None:
    points = np.full((3, 2, 2), np.nan, np.float32)
    points[0] = [[10, 10], [50, 20]]
    points[1, 0] = [30, 40]
    instances = Instances.from_keypoints(points)
    record = LabelledImage.create(ImageFile(Path("x.png")), "x.png", 100, 100, instances)
    boxes = CropRule(Skeleton(("a", "b")), 20).around_labels(record)
    np.testing.assert_allclose(boxes[0], [10, 10, 50, 20])
    np.testing.assert_allclose(boxes[1], [20, 30, 40, 50])
    assert np.isnan(boxes[2]).all()
    drawn = replace(instances, boxes=instances.boxes + np.array([-1, -1, 1, 1], np.float32))
    record = LabelledImage.create(ImageFile(Path("x.png")), "x.png", 100, 100, drawn)
    np.testing.assert_allclose(CropRule(Skeleton(("a", "b")), 20).around_labels(record)[1], [29, 39, 31, 41])


def test_box_error_is_zero_for_exact_boxes_and_one_for_none() -> None:
    truth = [[0.0, 0, 10, 10], [20, 20, 40, 30]]
    from pose_core.data.batches import Batch

    boxes = torch.tensor(truth)[None]
    labels = Labels.from_keypoints(torch.full((1, 2, 1, 2), torch.nan), boxes=boxes)
    batch = Batch(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), labels, torch.eye(3)[None], torch.zeros(1))

    def error(found: Any, scores: Any) -> float:
        boxes = torch.tensor(found, dtype=torch.float32)[None]
        total, count = sum_box_errors(boxes, torch.tensor(scores)[None], batch)
        return total / count

    nan = [float("nan")] * 4
    assert error([*truth, nan], [1.0, 1.0, 0.0]) == pytest.approx(0, abs=1e-6)
    assert error([nan], [0.0]) == 1
    assert error([truth[0]], [1.0]) == pytest.approx(0.5)
    # A sure false box costs as much as a missed animal, an unsure one less.
    assert error([*truth, [50, 50, 60, 60]], [1.0, 1.0, 1.0]) == pytest.approx(0.5)
    assert error([*truth, [50, 50, 60, 60]], [1.0, 1.0, 0.2]) == pytest.approx(0.1)
    assert box_overlap(boxes[0][:1], torch.tensor([[5.0, 0, 15, 10]])) == pytest.approx(1 / 3)


def test_a_run_of_a_detector_says_so(animals: Path, tmp_path: Path) -> None:
    from pose_core.errors import RunError

    with pytest.raises(RunError, match="no such run folder"):
        Run.open(tmp_path / "nothing", DetectorRunSpec)


def test_a_crop_teaches_its_own_animal_only() -> None:
    from pose_core.model.build import build_model
    from pose_core.specs.resolve import Layer, choose_model, resolve

    data = Layer({"skeleton": {"keypoints": ["a"]}, "data": {"source": "nowhere"}})
    small = {
        "preprocess": {"size": [64, 64]},
        "backbone": {"filters": 4, "max_stride": 8, "output_stride": 2},
    }
    model = build_model(
        resolve(choose_model("top_down_unet", multi_animal=True), data, [Layer({"model": small})])
    )
    points = torch.tensor([[[[20.0, 20.0]], [[44.0, 40.0]]]])
    labels = Labels.from_keypoints(points, identity=torch.tensor([[1, 0]]))
    outputs = model(model.normalise(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)))
    neighbour = Labels(**{**vars(labels), "keypoints": torch.where(points > 40, points - 8, points)})
    both = [
        model.losses(outputs, given)["keypoints.heatmap"] for given in (labels, labels.of_first(), neighbour)
    ]
    assert both[0] == both[1] == both[2]
    assert model.targets(labels).identity.tolist() == [[1]]
