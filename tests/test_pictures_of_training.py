"""Pictures of what training shows a network, before it, during it and after it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import pose_core
from pose_core.cli.main import app
from pose_core.data.batches import collate
from pose_core.errors import ConfigError, DataError
from pose_core.model.build import build_model
from pose_core.pictures import batch as drawn_batch
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.training.prepare import prepare
from pose_core.training.task import TASKS

ORANGE, BLUE = (230, 159, 0), (86, 180, 233)


def options(settings: tuple[str, ...]) -> dict[str, Any]:
    """Settings of the command as those of Python."""
    return {key: json.loads(value) for key, _, value in (line.partition("=") for line in settings)}


def find_colour(picture: Path, colour: tuple[int, int, int]) -> int:
    """How many pixels have nearly this colour."""
    image = cv2.imread(str(picture))[..., ::-1].astype(int)
    return int((np.abs(image - np.array(colour)).max(axis=2) < 12).sum())


def test_targets_lie_where_the_keypoints_of_the_input_are(
    blob_project: Path, tiny_settings: tuple[str, ...]
) -> None:
    prepared = prepare(blob_project, "unet", assignments=tiny_settings)
    assert isinstance(prepared.spec, RunSpec)
    samples = TASKS["poses"](prepared).samples(prepared.split.train[:3], augment=True)
    batch = collate([samples[number] for number in range(3)])
    model = build_model(prepared.spec)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[Any] = []
    original = drawn_batch.draw_output

    def watch(axes: Any, image: Any, shown: Any, others: Any, label: int | None = None) -> str:
        seen.append(shown)
        return original(axes, image, shown, others, label)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn_batch, "draw_output", watch)
        drawn_batch.draw_training_batch(model, batch, ["a", "b", "c"], prepared.spec.finds)
    # Nothing of it changes the network.
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    heatmaps = [shown for shown in seen if shown.name == "heatmap"]
    assert [shown.name for shown in seen] == ["heatmap", "locref"] * 3
    for number, shown in enumerate(heatmaps):
        for keypoint, point in enumerate(batch.labels.keypoints[number, 0].numpy()):
            if not np.isfinite(point).all():
                continue
            row, column = np.unravel_index(shown.values[keypoint].argmax(), shown.values[keypoint].shape)
            x, y = (
                grid.offset + grid.stride * cell
                for grid, cell in zip(shown.grids, (column, row), strict=True)
            )
            assert np.abs(point - [x, y]).max() <= shown.grids[0].stride / 2 + 1e-3


@pytest.mark.long
def test_the_command_draws_a_project_and_python_the_same(
    pose: Any, blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    sets = [part for setting in tiny_settings for part in ("--set", setting)]
    out = tmp_path / "new" / "batch.png"
    arguments = [
        "show-batch",
        blob_project,
        "--model",
        "unet",
        *sets,
        "--images",
        "2",
        "--seed",
        "3",
        "--out",
        out,
    ]
    process = pose(*arguments)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [str(out)]
    # The blobs of both keypoints, in the colours that the legend has.
    assert min(find_colour(out, ORANGE), find_colour(out, BLUE)) > 50
    same, other = tmp_path / "same.png", tmp_path / "other.png"
    given: dict[str, Any] = {"images": 2, "settings": options(tiny_settings)}
    assert pose_core.draw_batch(blob_project, same, "unet", seed=3, **given) == same
    pose_core.draw_batch(blob_project, other, "unet", seed=4, **given)
    assert out.read_bytes() == same.read_bytes() != other.read_bytes()


def test_what_cannot_be_shown_is_one_line(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    assert "must be a file that ends in .png" in pose.refuses(
        "show-batch", blob_project, "--out", "batch.jpg"
    )
    with pytest.raises(ConfigError, match="images=0: must be from 1 to 50"):
        pose_core.draw_batch(blob_project, tmp_path / "a.png", images=0)


@pytest.fixture(scope="module")
def runs(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same training without pictures and with them."""
    folder = tmp_path_factory.mktemp("runs")
    shared: dict[str, Any] = {"epochs": 3, "device": "cpu"}
    settings = options(tiny_settings) | {"train.validate_every": 1, "train.loggers": ["tensorboard"]}
    pose_core.train(blob_project, "unet", out=folder / "plain", settings=settings, **shared)
    settings |= {"train.pictures.every": 2, "train.pictures.images": 2}
    pose_core.train(blob_project, "unet", out=folder / "drawn", settings=settings, **shared)
    return folder / "plain", folder / "drawn"


def test_training_draws_every_so_many_validations_and_at_its_end(runs: tuple[Path, Path]) -> None:
    plain, drawn = runs
    assert not (plain / "pictures").exists()
    names = [f"epoch_{epoch:04d}_{what}.png" for epoch in (2, 3) for what in ("batch", "maps")]
    assert sorted(p.name for p in (drawn / "pictures").iterdir()) == names
    # Augmented anew each time.
    batches = [(drawn / "pictures" / name).read_bytes() for name in names[::2]]
    assert batches[0] != batches[1]


def test_pictures_change_nothing_of_a_training(runs: tuple[Path, Path]) -> None:
    plain, drawn = (load_file(run / "weights.safetensors") for run in runs)
    assert plain.keys() == drawn.keys()
    assert all(torch.equal(plain[name], drawn[name]) for name in plain)


def test_tensorboard_gets_the_pictures(runs: tuple[Path, Path]) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags = []
    for run in runs:
        events = accumulator.EventAccumulator(str(run / "tensorboard"))
        events.Reload()
        tags.append({tag: len(events.Images(tag)) for tag in events.Tags()["images"]})
    assert tags == [{}, {"pictures/batch": 2, "pictures/maps": 2}]


def test_a_run_shows_the_batches_of_its_training(runs: tuple[Path, Path], tmp_path: Path) -> None:
    plain, _ = runs
    out = pose_core.draw_batch(plain, tmp_path / "batch.png", images=1)
    assert find_colour(out, ORANGE) > 20
    with pytest.raises(ConfigError, match="model: a run has its own; leave it out"):
        pose_core.draw_batch(plain, tmp_path / "batch.png", "unet")
    gone = Run.open(plain, RunSpec)
    data = gone.spec.data.model_copy(update={"source": str(tmp_path / "gone")})
    moved = Run.create(tmp_path / "moved", gone.spec.model_copy(update={"data": data}), gone.provenance)
    with pytest.raises(DataError, match="the labelled project of this run is no longer there"):
        pose_core.draw_batch(moved.path, tmp_path / "batch.png")


@pytest.mark.long
def test_evaluation_draws_the_images_with_the_largest_errors_first(runs: tuple[Path, Path]) -> None:
    run, _ = runs
    folder = run / "evaluation" / "test" / "images"
    # Within this process: another one would load torch once more.
    result = CliRunner().invoke(app, ["evaluate", str(run), "--device", "cpu", "--draw", "2"])
    assert result.exit_code == 0, result.output
    two = sorted(p.name for p in folder.iterdir())
    measured = pose_core.evaluate(run, device="cpu", draw="all")
    every = sorted(p.name for p in folder.iterdir())
    assert len(every) == measured.counts.images > len(two) == 2
    assert every[:2] == two
    # The order is that of the mean errors in the table.
    with (folder.parent / "errors.csv").open(newline="") as file:
        errors: dict[str, list[float]] = {}
        for row in csv.DictReader(file):
            errors.setdefault(Path(row["image"]).stem, []).append(float(row["error"]))
    worst = sorted(errors, key=lambda name: -float(np.mean(errors[name])))
    assert [name[5:-4] for name in every] == worst
    assert cv2.imread(str(folder / every[0])).shape[1] > 500
    with pytest.raises(ConfigError, match="draw=0: must be a number of images, at least 1, or all"):
        pose_core.evaluate(run, device="cpu", draw=0)
