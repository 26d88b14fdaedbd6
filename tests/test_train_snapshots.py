"""Snapshots: kept while training, and taken by every command that uses weights."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import pose_core
from pose_core.cli.main import app
from pose_core.errors import ConfigError, RunError
from pose_core.runs.run_folder import Run
from pose_core.runs.snapshots import choose_snapshot, list_snapshots


def train(project: Path, out: Path, assignments: tuple[str, ...], epochs: int, **more: Any) -> Run[Any]:
    settings = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in assignments)}
    # Constant: under a cosine, a training that learns only later of more epochs is another one.
    settings |= {"train.schedule": "constant", "train.validate_every": 2}
    resume = more.pop("resume", False)
    pose_core.train(
        project, "unet", out=out, device="cpu", settings=settings | more, epochs=epochs, resume=resume
    )
    return Run.open(out)


def run_command(arguments: list[str]) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def run(blob_project: Path, tiny_settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 9 epochs that keeps the newest three snapshots."""
    out = tmp_path_factory.mktemp("kept") / "run"
    train(blob_project, out, tiny_settings, 9, **{"train.keep": {"every": 3, "most": 3}})
    return out


def files(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "snapshots").iterdir())


def test_snapshots_are_of_the_validations_that_are_due(run: Path) -> None:
    # Validated at 2, 4, 6, 8 and 9; due at 4 (for 3), 6 and 9; one more would push the oldest out.
    assert files(run) == [f"epoch-000{epoch}.safetensors" for epoch in (4, 6, 9)]
    kept = list_snapshots(Run.open(run))
    assert list(kept) == [4, 6, 9]
    with (run / "history.csv").open(newline="") as file:
        history = {int(row["epoch"]): row for row in csv.DictReader(file)}
    for epoch, metrics in kept.items():
        for name, value in metrics.items():
            assert f"{value:.6g}" == history[epoch][name]
    best = Run.open(run).metrics()["best"]["epoch"]
    if best in kept:
        one, other = (Run.open(run), choose_snapshot(Run.open(run), best))
        assert all(torch.equal(t, other.read_weights()[n]) for n, t in one.read_weights().items())


def test_a_resumed_training_keeps_the_same_and_drops_the_oldest(
    blob_project: Path, tiny_settings: tuple[str, ...], run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    keep = {"train.keep": {"every": 3, "most": 3}}
    train(blob_project, out, tiny_settings, 6, **keep)
    assert list(list_snapshots(Run.open(out))) == [4, 6]
    train(blob_project, out, tiny_settings, 9, resume=True, **keep)
    assert files(out) == files(run)
    for name in files(run):
        one, other = (load_file(folder / "snapshots" / name) for folder in (run, out))
        assert all(torch.equal(one[key], other[key]) for key in one)
    # What is kept does not change a training, so it may differ.
    train(blob_project, out, tiny_settings, 11, resume=True, **{"train.keep": {"every": 1, "most": 2}})
    assert list(list_snapshots(Run.open(out))) == [10, 11]


def test_nothing_is_kept_unless_asked(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    opened = train(blob_project, tmp_path / "run", tiny_settings, 1)
    assert not (tmp_path / "run" / "snapshots").exists()
    with pytest.raises(ConfigError, match=r"has no snapshots; train with train\.keep\.every"):
        choose_snapshot(opened, "last")


def test_each_way_of_asking_gives_its_weights(run: Path) -> None:
    asked = {"best": "weights", "last": "snapshots/epoch-0009", "4": "snapshots/epoch-0004"}
    for name, file in asked.items():
        expected = load_file(run / f"{file}.safetensors")
        weights = pose_core.load(run, "cpu", snapshot=name).run.load_model().state_dict()
        assert all(torch.equal(weights[key], tensor) for key, tensor in expected.items())
    for wrong in (5, "first", "-1"):
        with pytest.raises(
            ConfigError, match=f"{wrong}.* has no such snapshot; there are best, last, 4, 6, 9"
        ):
            pose_core.load(run, "cpu", snapshot=wrong)


def test_metrics_of_a_snapshot_stand_beside_those_of_the_best(run: Path) -> None:
    best = pose_core.evaluate(run, device="cpu")
    early = pose_core.evaluate(run, device="cpu", snapshot=4)
    metrics = Run.open(run).metrics()
    assert metrics["test"] == json.loads(json.dumps(best.to_json()))
    assert metrics["test-epoch-0004"] == json.loads(json.dumps(early.to_json()))
    assert (run / "evaluation" / "test-epoch-0004").is_dir()
    assert "of the weights of epoch 4, not of the best ones" in early.notes
    assert best.error.mean.value != early.error.mean.value


@pytest.mark.long
def test_commands_take_snapshots(run: Path, tmp_path: Path, blob_project: Path) -> None:
    ended = run_command(["evaluate", str(run), "--snapshot", "all", "--device", "cpu"])
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:] if line.strip()][-4:] == ["best", "4", "6", "9"]
    assert "MEAN ERROR" in ended.stdout
    ended = run_command(["evaluate", str(run), "--snapshot", "all", "--device", "cpu", "--json"])
    assert list(json.loads(ended.stdout)) == ["best", "4", "6", "9"]
    ended = run_command(["compare", str(run), "--snapshot", "all", "--device", "cpu", "--json"])
    assert ended.exit_code == 0, ended.output
    assert list(json.loads(ended.stdout)["runs"]) == [
        "run",
        "run epoch 4",
        "run epoch 6",
        "run epoch 9",
    ]
    images = str(blob_project / "images")
    for snapshot, again in (("4", False), ("4", True), ("last", False)):
        command = ["predict", str(run), images, "--out", str(tmp_path / snapshot), "--snapshot", snapshot]
        ended = run_command([*command, "--device", "cpu"])
        assert ended.exit_code == 0, ended.output
        # A result is that of its weights: the same ones need not predict again.
        assert ("is complete" in ended.stderr) == again


def test_a_damaged_snapshot_is_one_line(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "snapshots" / "epoch-0004.safetensors").write_bytes(b"spoilt")
    with pytest.raises(RunError, match=r"epoch-0004\.safetensors: altered since training"):
        pose_core.load(tmp_path / "run", "cpu", snapshot=4)
    Run.open(tmp_path / "run").update_metrics(snapshots=[1])
    with pytest.raises(RunError, match=r"metrics\.json: snapshots: damaged"):
        pose_core.load(tmp_path / "run", "cpu", snapshot=4)
