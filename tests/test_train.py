"""Training through the command, as a user would: what it leaves behind, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pose_core.data.images import read_image
from pose_core.data.projects import read_project
from pose_core.training.fit import train_network
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare


@pytest.fixture(scope="module")
def trained(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of the tiny network."""
    out = tmp_path_factory.mktemp("trained") / "run"
    prepared = prepare(
        blob_project,
        "unet",
        assignments=tiny_settings,
        options=TrainOptions(epochs=60, device="cpu"),
    )
    train_network(prepared, out)
    return out


def test_a_run_folder_is_complete_and_holds_no_pickle(trained: Path) -> None:
    assert {"config.yaml", "weights.safetensors", "metrics.json", "history.csv", "provenance.json"} <= {
        p.name for p in trained.iterdir()
    }
    assert (trained / "training_curves.png").stat().st_size > 1000
    assert not [p for p in trained.iterdir() if p.suffix in (".pt", ".pth", ".pkl", ".pickle")]
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["model"]["backbone"]["type"] == "unet/unet"
    assert config["skeleton"]["keypoints"] == ["red", "green"]
    assert "auto" not in json.dumps(
        [config["train"]["epochs"], config["augmentation"], config["model"]["preprocess"]]
    )
    provenance = json.loads((trained / "provenance.json").read_text())
    assert provenance["reader"] == "core/project"
    assert {"data_hash", "seed", "split", "pose_core", "plugins", "torch"} <= set(provenance)
    parts = provenance["split"]
    assert len({name for part in parts.values() for name in part}) == sum(map(len, parts.values())) == 32


def test_the_loss_falls_and_the_network_finds_the_discs(trained: Path, blob_project: Path) -> None:
    with (trained / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    best = json.loads((trained / "metrics.json").read_text())["best"]
    assert best["validation_error_px"] == pytest.approx(
        min(float(r["validation_error_px"]) for r in rows), rel=1e-4
    )
    import pose_core

    dataset = read_project(blob_project)
    estimator = pose_core.load(trained, device="cpu")
    test = json.loads((trained / "provenance.json").read_text())["split"]["test"]
    records = [i for i in dataset.images if i.name in test]
    frames: list[Any] = estimator.predict(np.stack([read_image(r.image) for r in records]))
    errors = [
        np.linalg.norm(f.instances.keypoints - r.instances.keypoints, axis=-1)
        for f, r in zip(frames, records, strict=True)
    ]
    assert np.mean(errors) < 2.0


def test_an_existing_run_is_not_overwritten(pose: Any, trained: Path, blob_project: Path) -> None:
    before = (trained / "weights.safetensors").read_bytes()
    assert "add --resume to go on with it" in pose.refuses(*pose.train_arguments(blob_project, trained))
    line = pose.refuses(*pose.train_arguments(blob_project, trained, "--resume", "--seed", "5"))
    assert "other values of" in line
    assert "train.seed" in line
    assert (trained / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "unnet"], "did you mean unet?"),
        (
            ["--model", "unet", "--set", "train.epochz=3"],
            "train.epochz: unknown key; did you mean epochs? (--set train.epochz)",
        ),
        (["--model", "unet", "--device", "tpu"], "device 'tpu' is unknown"),
        (["--model", "unet", "--batch-size", "0"], "--batch-size: must be greater than 0"),
        (["--model", "unet", "--max-time", "soon"], "must be a time such as 90s"),
        (["--model", "unet", "--precision", "16-mixed", "--device", "cpu"], "16-mixed needs a GPU"),
        (["--model", "unet", "--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--weights", "resnet_50_imagenet"], "no model is named"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(
    pose: Any, blob_project: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert message in pose.refuses("train", blob_project, "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()


def test_a_disabled_plugin_says_what_is_missing(pose: Any, blob_project: Path, trained: Path) -> None:
    line = pose.refuses(
        "train", blob_project, "--out", "r", "--model", "unet", env={"POSE_DISABLE_PLUGINS": "unet"}
    )
    assert "its plugin 'unet' is disabled: named in POSE_DISABLE_PLUGINS" in line
    line = pose.refuses("evaluate", trained, env={"POSE_DISABLE_PLUGINS": "unet"})
    assert f"{trained}: its plugin 'unet' is disabled: named in POSE_DISABLE_PLUGINS" in line


@pytest.mark.long
def test_two_processes_train_one_model(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = pose.train(blob_project, out, "--devices", "2", "--epochs", "4", "--batch-size", "4")
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("trained; next") == 1
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    # 23 training images in batches of 4, which two processes share, make 6 steps an epoch.
    assert [int(r["step"]) for r in rows][-1] == 24
    assert pose("evaluate", out, "--json").returncode == 0


def test_tensorboard_is_an_option(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = pose.train(blob_project, out, "--epochs", "2", "--set", "train.loggers=[tensorboard]")
    assert process.returncode == 0, process.stderr
    assert list(out.rglob("events.out.tfevents.*"))


def test_a_file_may_name_the_model_and_change_it(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model:\n  name: unet\n  backbone: {filters: 4, max_stride: 8}\n")
    process = pose(
        "train", blob_project, "--config", "my.yaml", "--out", "run", "--epochs", "1", "--device", "cpu"
    )
    assert process.returncode == 0, process.stderr
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["backbone"]["filters"] == 4
