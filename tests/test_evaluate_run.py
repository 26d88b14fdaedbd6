"""From a run folder to metrics.json: the wiring, on a model whose answers are known, and on a real one."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from listening import Listener
from typer.testing import CliRunner

from pose_core.cli.evaluate import evaluate
from pose_core.data.fingerprint import data_hash
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, DataError, RunError
from pose_core.evaluation.run import evaluate_poses
from pose_core.formats.parquet import ParquetPredictions
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import Predictions
from pose_core.runs.run_folder import Run, build_model
from pose_core.specs import DataSpec, EvaluationSpec, ModelSpec, PreprocessSpec, RunSpec, TrainSpec
from pose_core.structures import Instances, Skeleton

NAMES = ("red", "green", "blue")


def blobs(points, width, height):
    """An image with one Gaussian blob for each keypoint, in the channel of its colour."""
    y, x = np.mgrid[:height, :width]
    channels = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 4.0**2)) for px, py in points]
    return np.stack([np.round(255 * c).astype(np.uint8) for c in channels], axis=-1)


class Centroids(torch.nn.Module):
    """A network that knows the answer: the centre of mass of each colour."""

    size_multiple = 16
    device = torch.device("cpu")
    skeleton = Skeleton(NAMES)

    def __init__(self, shift=0.0, scores=(0.9, 0.9, 0.9)):
        super().__init__()
        self.shift, self.scores, self.batches = shift, torch.tensor(scores), []

    def predict(self, images, initial=None):
        self.batches.append(tuple(images.shape))
        assert images.dtype == torch.uint8
        mass = images.double()
        height, width = images.shape[-2:]
        x = (mass * torch.arange(width)).sum((-1, -2)) / mass.sum((-1, -2))
        y = (mass * torch.arange(height)[:, None]).sum((-1, -2)) / mass.sum((-1, -2))
        points = torch.stack([x + self.shift, y], dim=-1).float()[:, None]
        found = Predictions.none(len(images), Skeleton(NAMES))
        return found.with_animals(points, self.scores.expand(len(images), 1, 3))


@pytest.fixture
def project(tmp_path):
    """12 images of two sizes."""
    rng = np.random.default_rng(0)
    examples = []
    for number in range(12):
        width, height = ((160, 120), (130, 101))[number % 2]
        points = rng.uniform([30, 30], [width - 30, height - 30], (1, 3, 2))
        image = blobs(points[0], width, height)
        examples.append(Example(f"clip/{number:03d}.png", image, Instances.from_keypoints(points)))
    write_project(tmp_path / "project", Skeleton(NAMES), examples, name="blobs")
    return tmp_path / "project"


@pytest.fixture
def no_plots(monkeypatch):
    """Drawing takes longer than everything else; one test draws."""
    for name in ("plot_predictions", "plot_error_by_keypoint", "plot_error_curve"):
        monkeypatch.setattr(f"pose_core.evaluation.output.{name}", lambda *_: False)


@pytest.fixture
def run(project, tmp_path):
    """A run of a small network that was never trained."""
    return make_run(project, tmp_path / "run")


def make_run(project, folder, **model):
    dataset = read_project(project)
    spec = RunSpec(
        skeleton=dataset.skeleton,
        data=DataSpec(source=str(project)),
        model=ModelSpec(
            **{
                "preprocess": PreprocessSpec(scale=0.5, min_box=0.0),
                "backbone": {"type": "unet", "filters": 4, "max_stride": 8},
                "heads": {"keypoints": {"type": "heatmap"}},
                **model,
            }
        ),
        evaluation=EvaluationSpec(bootstrap=50),
        train=TrainSpec(seed=3),
    )
    names = [image.name for image in dataset.images]
    split = {"train": names[:6], "validation": [], "test": names[6:]}
    run = Run.create(folder, spec, {"split": split, "data_hash": data_hash(dataset), "seed": 0})
    torch.manual_seed(0)
    run.save_weights(build_model(spec).state_dict(), best={"epoch": 1})
    return run


@pytest.fixture
def predicted(monkeypatch, no_plots):
    """The predictions that an evaluation leaves."""

    def frames(run, model, **options):
        monkeypatch.setattr(Run, "load_model", lambda *_: model)
        result = evaluate_poses(run, device="cpu", **options)
        return list(ParquetPredictions(Path(result.folder) / "predictions.parquet"))

    return frames


def test_predictions_are_in_pixels_of_the_image_files_whatever_the_batch(project, run, predicted):
    dataset = read_project(project)
    results = []
    for batch_size in (1, 2, 8):
        model, listener = Centroids(), Listener()
        frames = predicted(run, model, batch_size=batch_size, reporter=listener)
        assert listener.steps[-1][1:] == (6, 6)
        # Images of different sizes never share a batch; sizes are halved, rounded up and padded to multiples
        # of 16.
        assert {b[-2:] for b in model.batches} == {(64, 80)}
        results.append(np.stack([f.instances.keypoints for f in frames]))
        for index, (row, frame) in enumerate(zip(range(6, 12), frames, strict=True)):
            assert frame.index == index
            assert frame.image == str(dataset.images[row].image)
            truth = dataset.images[row].instances.keypoints
            np.testing.assert_allclose(frame.instances.keypoints, truth, atol=0.1)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def changed(run, part, **values):
    section = getattr(run.spec, part).model_copy(update=values)
    return Run(run.path, run.spec.model_copy(update={part: section}))


def test_keypoints_below_the_inference_threshold_are_missing(run, predicted):
    frame = predicted(changed(run, "inference", threshold=0.5), Centroids(scores=(0.9, 0.4, 0.6)))[0]
    assert np.isnan(frame.instances.keypoints[0, :, 0]).tolist() == [False, True, False]
    assert frame.instances.keypoint_scores[0].tolist() == pytest.approx([0.9, 0, 0.6])


def test_crops_around_labelled_animals_are_put_together_to_images(tmp_path, predicted):
    skeleton = Skeleton(NAMES, individuals=("one", "two"))
    points = np.array([[[20, 20], [60, 20], [40, 60]], [[220, 120], [260, 120], [240, 160]]], np.float32)
    image = np.maximum(blobs(points[0], 300, 200), blobs(points[1], 300, 200))
    write_project(
        tmp_path / "p", skeleton, [Example("a.png", image, Instances.from_keypoints(points))], name="two"
    )
    run = make_run(
        tmp_path / "p",
        tmp_path / "run",
        method="top_down",
        preprocess=PreprocessSpec(size=(96, 96), scale=1.0, min_box=0.0),
    )
    # Nothing else supplies boxes, so the labels do.
    (frame,) = predicted(run, Centroids(), split="all")
    np.testing.assert_allclose(frame.instances.keypoints, points, atol=0.5)
    result = evaluate_poses(run, "all", device="cpu", labelled_boxes=True)
    assert any("around the labelled boxes" in note for note in result.notes)
    assert Path(result.folder).name == "all"


def test_an_image_that_cannot_be_read_is_an_error(run, project, predicted):
    next((project / "images").rglob("007.png")).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"007\.png"):
        predicted(run, Centroids())


def test_sources_that_the_model_has_no_use_for_are_refused(run):
    with pytest.raises(ConfigError, match=r"labelled_boxes: .* needs no boxes; leave it out"):
        evaluate_poses(run, device="cpu", labelled_boxes=True)
    with pytest.raises(ConfigError, match="detektor: is no source of what stages need; there are boxes, "):
        evaluate_poses(run, device="cpu", detektor="x")


def test_evaluation_of_a_run_leaves_figures_tables_predictions_and_plots(run, monkeypatch):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids(shift=2.0))
    result = evaluate_poses(run, device="cpu")
    # 2 px at half the scale are 4 px of the image.
    assert result.error.mean.value == pytest.approx(4, abs=0.05)
    assert result.counts.images == 6
    metrics = run.metrics()
    assert metrics["test"] == result.to_json()
    assert metrics["test"]["mean_error"] == pytest.approx(4, abs=0.05)
    assert metrics["test"]["bootstrap"] == {"resamplings": 50, "seed": 3, "confidence": 0.95}
    assert metrics["best"] == {"epoch": 1}
    assert "weights_sha256" in metrics
    folder = run.path / "evaluation" / "test"
    assert sorted(p.name for p in folder.iterdir()) == [
        "error_by_keypoint.png",
        "error_curve.png",
        "errors.csv",
        "keypoints.csv",
        "predictions.parquet",
        "predictions.png",
    ]
    assert not list((run.path / "evaluation").glob(".*"))
    stored = ParquetPredictions(folder / "predictions.parquet")
    assert stored.header.frames == 6
    assert [f.image for f in stored] == [str(i.image) for i in read_project(run.spec.data.source).images[6:]]
    rows = list(csv.DictReader((folder / "errors.csv").read_text().splitlines()))
    assert len(rows) == 18
    for row in rows:
        off = np.hypot(float(row["x"]) - float(row["label_x"]), float(row["y"]) - float(row["label_y"]))
        assert off == pytest.approx(float(row["error"]), abs=1e-3)
    keypoints = list(csv.DictReader((folder / "keypoints.csv").read_text().splitlines()))
    assert [k["keypoint"] for k in keypoints] == list(NAMES)
    assert float(keypoints[0]["mean_error"]) == pytest.approx(4, abs=0.1)


def test_evaluating_again_replaces_the_split_and_keeps_the_others(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    evaluate_poses(run, "train", device="cpu")
    first = evaluate_poses(run, device="cpu").to_json()
    stray = run.path / "evaluation" / "test" / "old.png"
    stray.write_text("from before")
    assert evaluate_poses(run, device="cpu").to_json() == first
    assert not stray.exists()
    assert set(run.metrics()) >= {"train", "test", "best"}


def test_a_real_network_runs_through(run, no_plots):
    result = evaluate_poses(run, device="cpu", batch_size=3)
    assert result.counts.images == 6
    assert result.error.mean.value > 0
    json.dumps(result.to_json(), allow_nan=False)


def test_data_that_are_not_those_of_the_run_are_named(run, project, tmp_path, no_plots):
    moved = tmp_path / "moved"
    shutil.move(project, moved)
    with pytest.raises(
        DataError, match=r"project: the labelled project of this run is no longer there; pass data=PATH"
    ):
        evaluate_poses(run, device="cpu")
    with pytest.raises(DataError, match="data must name the labelled project"):
        evaluate_poses(run, data=tmp_path / "nowhere", device="cpu")
    assert evaluate_poses(run, data=moved, device="cpu").notes == ()

    other = tmp_path / "other"
    points = np.full((1, 3, 2), 50.0)
    image = Example("clip/000.png", blobs(points[0], 100, 100), Instances.from_keypoints(points))
    write_project(other, Skeleton(NAMES), [image], name="other")
    with pytest.raises(
        DataError, match=r"6 of the 6 images of the test split are not in it, the first is .*006\.png"
    ):
        evaluate_poses(run, data=other, device="cpu")

    skeleton = Skeleton(("red", "green", "pink"))
    write_project(tmp_path / "third", skeleton, [image], name="third")
    with pytest.raises(
        DataError, match="its keypoints are red, green, pink, but the run was trained on red, green, blue"
    ):
        evaluate_poses(run, data=tmp_path / "third", device="cpu")


def test_changed_labels_are_noted(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    provenance = json.loads((run.path / "provenance.json").read_text())
    (run.path / "provenance.json").write_text(json.dumps({**provenance, "data_hash": "0"}))
    assert any(
        "changed since training" in note for note in evaluate_poses(Run.open(run.path), device="cpu").notes
    )


def test_splits_that_cannot_be_evaluated(run):
    with pytest.raises(
        DataError, match=r"the validation split has no images; there are train \(6 images\), test \(6"
    ):
        evaluate_poses(run, "validation", device="cpu")
    with pytest.raises(ConfigError, match="split 'tset' is unknown; write train, validation, test or all"):
        evaluate_poses(run, "tset", device="cpu")
    (run.path / "provenance.json").write_text("{}")
    with pytest.raises(RunError, match=r"provenance.json: does not name the images of the test split"):
        evaluate_poses(Run.open(run.path), device="cpu")


def test_a_folder_that_cannot_be_written_is_one_line(run, monkeypatch):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    (run.path / "evaluation").write_text("a file in the way")
    with pytest.raises(RunError, match="cannot be written") as caught:
        evaluate_poses(run, device="cpu")
    assert "\n" not in str(caught.value)
    assert "test" not in run.metrics()


def test_a_disk_that_fills_up_leaves_the_old_results(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    evaluate_poses(run, device="cpu")
    before = {p.name: p.read_bytes() for p in (run.path / "evaluation" / "test").iterdir()}
    assert "keypoints.csv" in before

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pose_core.evaluation.output.plot_error_curve", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate_poses(run, device="cpu")
    assert {p.name: p.read_bytes() for p in (run.path / "evaluation" / "test").iterdir()} == before
    assert [p.name for p in (run.path / "evaluation").iterdir()] == ["test"]


def command(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_prints_a_table(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids(shift=2.0))
    said = command(run.path, "--device", "cpu").stdout
    assert "6 test images, 6 labelled animals, 18 labelled keypoints" in said
    assert "4.0" in next(line for line in said.splitlines() if line.startswith("mean error"))
    for name in (*NAMES, "PCK@0.05", "AP75", "RMS error"):
        assert name in said
    assert str(run.path / "evaluation" / "test") in said


def test_the_command_prints_nothing_but_json(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    printed = json.loads(command(run.path, "--device", "cpu", "--json", "--split", "train").stdout)
    assert printed == run.metrics()["train"]
    assert printed["split"] == "train"


def test_sigmas_of_the_command_line_replace_those_of_the_run(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    said = command(run.path, "--device", "cpu", "--json", "--sigma", "0.05", "--sigma", "green=0.2").stdout
    assert json.loads(said)["oks_sigmas"] == {"red": 0.05, "green": 0.2, "blue": 0.05}
    for option, reason in (
        ("gren=0.2", "did you mean green"),
        ("much", "write a number such as 0.05, or KEYPOINT=0.05"),
        ("green=x", "write a number such as 0.05, or KEYPOINT=0.05"),
        ("-1", "must be a number above 0, not -1"),
    ):
        error = command(run.path, f"--sigma={option}").exception
        assert isinstance(error, ConfigError)
        assert reason in str(error)


def test_undefined_figures_are_shown_with_their_reason(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids())
    said = command(run.path, "--device", "cpu", "--sigma", "0").stdout
    assert "undefined: AP, AP50, AP75, AR: the OKS sigma of red, green, blue is 0" in said


def test_why_average_precision_is_low_is_shown(run, monkeypatch, no_plots):
    monkeypatch.setattr(Run, "load_model", lambda *_: Centroids(shift=30.0))
    said = command(run.path, "--device", "cpu").stdout
    assert "why AP is low: predictions are on average 60 px from the labels" in said


def test_a_folder_that_is_no_run(tmp_path):
    assert isinstance(command(tmp_path).exception, RunError)
    assert isinstance(command(tmp_path / "none").exception, RunError)


def test_evaluation_does_not_touch_the_project(run, project, no_plots):
    before = {p: p.stat().st_mtime_ns for p in project.rglob("*")}
    evaluate_poses(run, device="cpu")
    assert {p: p.stat().st_mtime_ns for p in project.rglob("*")} == before
