"""The metric that selects the weights: what it chooses, in which of several processes, and what it needs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from typer.testing import CliRunner

import pose_core
from pose_core.cli.main import app
from pose_core.data.batches import PlainBatches
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError
from pose_core.evaluation.results import EvaluationResult
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import Predictions
from pose_core.runs.run_folder import Run
from pose_core.runs.snapshots import list_snapshots
from pose_core.specs import RunSpec
from pose_core.structures import Instances, Skeleton
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.task import PoseTask
from pose_core.training.validation_metrics import KeypointError, KeypointPrecision

AP = "train.select=ap"
SCRIPT = ((1.0, 4.0), (0.3, 20.0), (1.0, 8.0), (0.9, 24.0))
"""At each validation: the part of the animals that are off, and by how many pixels. Error: 4, 6, 8 and 21.6."""


class Scripted:
    """Stands for what the network finds: the labels, some of them moved, by the number of the validation."""

    def __init__(self) -> None:
        self.validations = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        validate = PoseTask.validate

        def counted(task: PoseTask, *arguments: Any) -> Any:
            self.validations += 1
            return validate(task, *arguments)

        monkeypatch.setattr(PoseTask, "validate", counted)
        monkeypatch.setattr(PoseTask, "find", lambda _, network, batch: self.find(batch))

    def find(self, batch: Any) -> Predictions:
        part, pixels = SCRIPT[self.validations - 1]
        off = torch.from_numpy(np.arange(len(batch.indices)) >= (1 - part) * len(batch.indices))
        points = batch.labels.keypoints[:, :1] + pixels * off[:, None, None, None] * torch.tensor([1.0, 0.0])
        found = Predictions.none(len(points), Skeleton(("red", "green")))
        return found.with_animals(points, torch.ones(points.shape[:-1]))


def train_scripted(
    project: Path, out: Path, settings: tuple[str, ...], by: str, epochs: int, how: str
) -> None:
    """Train by the command or in Python; a validation and a snapshot each epoch."""
    assignments = (
        *(*settings, "train.schedule=constant", "train.validate_every=1", "train.keep.every=1"),
        *("data.split.validation=0.3", "train.batch_size=16", "evaluation.sigmas=0.2"),
        *(("train.select=ap",) if by == "ap" else ()),
    )
    if how == "python":
        values = dict(each.split("=", 1) for each in assignments)
        resume = out.exists()
        pose_core.train(
            project, "unet", out=out, device="cpu", epochs=epochs, resume=resume,
            settings={key: json.loads(v) if v[0] in "[0123456789" else v for key, v in values.items()},
        )  # fmt: skip
        return
    options = [part for each in assignments for part in ("--set", each)]
    options += ["--resume"] if out.exists() else []
    arguments = ["train", str(project), "--model", "unet", "--out", str(out), "--device", "cpu"]
    ended = CliRunner().invoke(app, [*arguments, "--epochs", str(epochs), *options])
    assert ended.exit_code == 0, ended.output
    assert f"best validation {'AP' if by == 'ap' else 'error'}" in ended.output


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("how", ["command", "python"])
@pytest.mark.parametrize(("by", "epoch"), [("error", 1), ("ap", 2)])
def test_the_weights_of_the_epoch_that_the_metric_says_are_kept(
    blob_project: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: Any,
    how: str,
    by: str,
    epoch: int,
) -> None:
    out = tmp_path / "run"
    Scripted().install(monkeypatch)
    # In two parts: the second one must know what was best in the first.
    train_scripted(blob_project, out, tiny_settings, by, 2, how)
    train_scripted(blob_project, out, tiny_settings, by, 4, how)
    rows, best = history(out), Run.open(out).metrics()["best"]
    assert best["epoch"] == epoch
    errors = [float(row["validation_error_px"]) for row in rows]
    assert np.argmin(errors) == 0
    kept = load_file(out / "weights.safetensors")
    same = load_file(out / "snapshots" / f"epoch-000{epoch}.safetensors")
    other = load_file(out / "snapshots" / "epoch-0003.safetensors")
    assert all(torch.equal(kept[key], same[key]) for key in kept)
    assert not all(torch.equal(kept[key], other[key]) for key in kept)
    if by == "error":
        assert "validation_ap" not in rows[0]
        return
    precisions = [float(row["validation_ap"]) for row in rows]
    assert np.argmax(precisions) == 1
    assert precisions[1] > 0.5
    for number, metrics in list_snapshots(Run.open(out)).items():
        assert f"{metrics['validation_ap']:.6g}" == rows[number - 1]["validation_ap"]
    assert best["validation_ap"] == pytest.approx(precisions[1], rel=1e-5)
    assert best["validation_error_px"] == pytest.approx(errors[1], rel=1e-5)


@pytest.mark.parametrize(("by", "epochs"), [("error", 3), ("ap", 4)])
def test_early_stopping_counts_validations_by_the_same_metric(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path, monkeypatch: Any, by: str, epochs: int
) -> None:
    Scripted().install(monkeypatch)
    settings = (*tiny_settings, "train.early_stopping=2")
    train_scripted(blob_project, tmp_path / "run", settings, by, 4, "command")
    assert len(history(tmp_path / "run")) == epochs


def test_the_plateau_schedule_follows_the_metric(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path, monkeypatch: Any
) -> None:
    from pose_core.training.plateau import Plateau

    seen: list[float] = []
    monkeypatch.setattr(Plateau, "observe", lambda _, value: seen.append(value))
    Scripted().install(monkeypatch)
    settings = {
        "train.schedule": "plateau",
        "train.select": "ap",
        "train.validate_every": 1,
        "data.split.validation": 0.3,
    }
    settings |= {key: json.loads(v) for key, _, v in (each.partition("=") for each in tiny_settings)}
    pose_core.train(blob_project, "unet", out=tmp_path / "run", device="cpu", epochs=3, settings=settings)
    assert [f"{-value:.6g}" for value in seen] == [
        f"{float(row['validation_ap']):.6g}" for row in history(tmp_path / "run")
    ]


def test_of_equal_precision_the_smaller_error_decides() -> None:
    """AP is 0 for the first epochs of many a training."""
    from pose_core.training.best_checkpoint import BestCheckpoint

    metrics: Any = [KeypointPrecision.__new__(KeypointPrecision), KeypointError()]
    checkpoint: Any = type("Any", (), {"metrics": metrics})()

    def rank(ap: float, error: float) -> tuple[float, ...]:
        return BestCheckpoint._rank(checkpoint, {"validation_ap": ap, "validation_error_px": error})

    assert sorted([rank(0.0, 9.0), rank(0.0, 5.0), rank(0.2, 30.0)]) == [
        rank(0.2, 30.0),
        rank(0.0, 5.0),
        rank(0.0, 9.0),
    ]


def make_task(project: Path, settings: tuple[str, ...], model: str = "unet") -> PoseTask:
    prepared: Any = prepare(
        project, model, assignments=(*settings, AP), options=TrainOptions(epochs=1, device="cpu")
    )
    return PoseTask(prepared)


@pytest.fixture(scope="module")
def pairs_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One or two animals an image; one keypoint has no label."""
    folder = tmp_path_factory.mktemp("pairs") / "project"
    rng = np.random.default_rng(3)

    def examples() -> Iterator[Example]:
        for number in range(12):
            points = rng.uniform(6, 58, (1 + number % 2, 3, 2)).astype(np.float32)
            if number == 2:
                points[0, 1] = np.nan
            image = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
            yield Example(f"{number:02d}.png", image, Instances.from_keypoints(points))

    write_project(folder, Skeleton(("a", "b", "c"), individuals=("one", "two")), examples(), name="pairs")
    return folder


@pytest.fixture(scope="module")
def pairs_task(pairs_project: Path, tiny_settings: tuple[str, ...]) -> PoseTask:
    return make_task(pairs_project, (*tiny_settings, "data.split.validation=0.6"))


@hypothesis.settings(max_examples=40)
@given(processes=st.integers(1, 4), seed=st.integers(0, 10_000), batch=st.integers(1, 5))
def test_shares_of_several_processes_give_what_one_gives(
    pairs_task: PoseTask, processes: int, seed: int, batch: int
) -> None:
    """Whatever is found, with equal scores too: the law that several processes rely on."""
    task = pairs_task
    rows = task.prepared.split.validation
    assert len(rows) > 4
    shares = [rows[process::processes] for process in range(processes)]

    def evidence(shown: tuple[int, ...], size: int) -> list[Any]:
        network: Any = None
        collected = []
        for part in PlainBatches(task.samples(shown, augment=False), size) if shown else ():
            drawn = [np.random.default_rng((seed, int(row))) for row in part.indices]
            points = torch.from_numpy(np.stack([rng.normal(0, 3, (3, 3, 2)) for rng in drawn])).float()
            points[:, :1] += part.labels.keypoints[:, :1].nan_to_num(0)
            scores = torch.from_numpy(np.stack([rng.integers(0, 4, 3) / 4 for rng in drawn])).float()
            found = Predictions.none(len(points), task.prepared.dataset.skeleton)
            found = found.with_animals(points, torch.ones(points.shape[:-1]), scores)
            collected.append(task.metrics[0].collect(network, part, found))
        return collected

    together = [each for share in shares for each in evidence(share, batch)]
    assert task.metrics[0].compute(together) == task.metrics[0].compute(evidence(rows, len(rows)))


@pytest.mark.long  # two processes that import torch train and are measured
def test_two_processes_measure_what_one_does_and_evaluate_says_it(
    pose: Any, blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Of the weights of each snapshot: two processes shared the images, one has them all."""
    out = tmp_path / "run"
    more = (
        "data.split.validation=0.3",
        "train.validate_every=3",
        "train.keep.every=3",
        "evaluation.sigmas=0.4",
        AP,
    )
    options = [part for each in more for part in ("--set", each)]
    process = pose.train(blob_project, out, "--devices", "2", "--epochs", "9", "--batch-size", "2", *options)
    assert process.returncode == 0, process.stderr
    rows = {int(row["epoch"]): row for row in history(out)}
    assert float(rows[9]["validation_ap"]) > 0
    task = make_task(blob_project, (*tiny_settings, *more[:-1]))
    batches = PlainBatches(task.samples(task.prepared.split.validation, augment=False), 5)
    for epoch in list_snapshots(Run.open(out)):
        run: Run[RunSpec] = replace(Run.open(out).of(RunSpec), snapshot=epoch)
        evidence = task.validate(run.load_model(torch.device("cpu")).eval(), batches, torch.device("cpu"))
        for at, metric in enumerate(task.metrics):
            value = metric.compute([each[at] for each in evidence])
            assert float(rows[epoch][metric.key]) == pytest.approx(value, rel=2e-5), (epoch, metric.key)
    best = Run.open(out).metrics()["best"]
    measured = pose_core.evaluate(out, "validation", device="cpu")
    assert isinstance(measured, EvaluationResult)
    assert measured.oks.ap.value == pytest.approx(best["validation_ap"], abs=1e-6)


@pytest.mark.long
def test_crops_and_detectors_have_a_precision_too(
    pairs_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Of the poses in crops around labelled boxes, and of boxes: as ``pose evaluate`` says afterwards."""
    small = {"model.preprocess.size": [32, 32], "model.backbone.filters": 4, "model.backbone.max_stride": 8}
    small |= {"model.backbone.output_stride": 2, "evaluation.sigmas": 0.8, "data.split.validation": 0.4}
    small |= {
        "stages.detector.network.size": [64, 64],
        "stages.detector.train.select": "ap",
        "train.select": "ap",
    }
    small |= {"stages.detector.train.validate_every": 1, "train.validate_every": 1}
    run = pose_core.train(
        pairs_project, "top_down_unet", out=tmp_path / "run", device="cpu", epochs=2, settings=small,
        batch_size=4, detector="ssdlite",
    )  # fmt: skip
    best = run.metrics()["best"]
    measured = pose_core.evaluate(run, "validation", device="cpu", labelled_boxes=True)
    assert isinstance(measured, EvaluationResult)
    assert best["validation_ap"] > 0
    assert measured.oks.ap.value == pytest.approx(best["validation_ap"], abs=1e-6)
    detector = run.stages["detector"]
    boxes = pose_core.evaluate(detector.path, "validation", device="cpu")
    assert detector.metrics()["best"]["validation_box_ap"] == pytest.approx(boxes.ap, abs=1e-6)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def dots_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One keypoint an animal and no boxes: OKS has nothing to measure distances by."""
    folder = tmp_path_factory.mktemp("dots") / "project"
    image = np.zeros((32, 32, 3), np.uint8)
    examples = [
        Example(f"{n}.png", image, Instances.from_keypoints(np.full((1, 1, 2), n, np.float32)))
        for n in range(10)
    ]
    write_project(folder, Skeleton(("dot",)), iter(examples), name="dots")
    return folder


@pytest.mark.long
def test_what_has_no_precision_is_refused_before_anything_is_trained(
    pose: Any, blob_project: Path, dots_project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    def refused(project: Path, *settings: str) -> str:
        options = [part for each in settings for part in ("--set", each)]
        line: str = pose.refuses("train", project, "--model", "unet", "--out", out, *options)
        assert not out.exists()
        return line

    line = refused(dots_project, AP)
    assert "train.select: ap: no validation image has an animal with labelled keypoints and an area" in line
    assert "select by error" in line
    assert "there are no validation images" in refused(blob_project, AP, "data.split.validation=0")
    assert "the sigma of red is 0" in refused(blob_project, AP, "evaluation.sigmas={red: 0, green: 0.1}")
    assert "no sigma for green" in refused(blob_project, AP, "evaluation.sigmas={red: 0.1}")
    assert "train.select" in refused(blob_project, "train.select=map")
    with pytest.raises(ConfigError, match=r"train\.select: ap: no validation image has an animal"):
        pose_core.train(dots_project, "unet", out=out, settings={"train.select": "ap"}, device="cpu")
    # By the error it trains.
    assert prepare(dots_project, "unet").spec.train.select == "error"


@pytest.mark.long
def test_a_resumed_training_cannot_change_what_selects(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert pose.train(blob_project, out, "--epochs", "1").returncode == 0
    line = pose.refuses(*pose.train_arguments(blob_project, out, "--resume", "--epochs", "2", "--set", AP))
    assert "other values of train.select" in line


def test_only_the_keypoints_that_are_evaluated_count(
    blob_project: Path, tiny_settings: tuple[str, ...]
) -> None:
    """Of those that are not, an error costs nothing, and no sigma is needed."""
    subset = ("evaluation.keypoints=[red]", "evaluation.sigmas={red: 0.1}")
    task = make_task(blob_project, (*tiny_settings, *subset))
    dataset = read_project(blob_project)
    batch = next(iter(PlainBatches(task.samples(task.prepared.split.validation, augment=False), 8)))
    points = batch.labels.keypoints.clone()
    points[:, :, 1] += 40
    found = Predictions.none(len(points), dataset.skeleton).with_animals(
        points, torch.ones(points.shape[:-1])
    )
    network: Any = None
    metric = task.metrics[0]
    assert metric.compute([metric.collect(network, batch, found)]) == pytest.approx(1.0)
    points[:, :, 0] += 40
    moved = found.with_animals(points, torch.ones(points.shape[:-1]))
    assert metric.compute([metric.collect(network, batch, moved)]) == 0.0
