"""Several seeds in one command: a run each, a summary, finished runs kept."""

from __future__ import annotations

import json
import statistics

import pytest

import pose_core
from pose_core.errors import ConfigError


def test_each_seed_is_a_run_and_a_resumed_command_keeps_the_finished_ones(pose, blob_project, tmp_path):
    out = tmp_path / "seeds"
    short = ("--epochs", "1", "--seeds")
    trained = pose.train(blob_project, out, *short, "0,3", "--set", "evaluation.bootstrap=0")
    assert trained.returncode == 0, trained.stderr
    summary = json.loads((out / "seeds.json").read_text())
    assert list(summary["runs"]) == ["0", "3"]
    errors = [run["metrics"]["mean_error"] for run in summary["runs"].values()]
    assert summary["summary"]["mean_error"]["mean"] == pytest.approx(statistics.fmean(errors))
    assert summary["summary"]["mean_error"]["standard_deviation"] == pytest.approx(statistics.stdev(errors))
    assert errors[0] != errors[1]
    splits = [
        json.loads((out / f"seed-{seed}" / "provenance.json").read_text())["split"]["test"] for seed in (0, 3)
    ]
    assert splits[0] != splits[1]
    lines = trained.stdout.splitlines()
    assert any(line.startswith("standard deviation") for line in lines)

    weights = [(out / f"seed-{seed}" / "weights.safetensors").read_bytes() for seed in (0, 3)]
    more = pose.train(blob_project, out, *short, "0,3,4", "--set", "evaluation.bootstrap=0", "--resume")
    assert more.returncode == 0, more.stderr
    assert [(out / f"seed-{seed}" / "weights.safetensors").read_bytes() for seed in (0, 3)] == weights
    assert list(json.loads((out / "seeds.json").read_text())["runs"]) == ["0", "3", "4"]


def test_what_is_no_list_of_seeds_is_refused(pose, blob_project, tmp_path):
    start = ("train", blob_project, "--out", tmp_path / "run", "--seeds")
    assert "write whole numbers with commas" in pose.refuses(*start, "a,b")
    assert "--seed and --seeds" in pose.refuses(*start, "0,1", "--seed", "3")
    with pytest.raises(ConfigError, match="3 is there twice"):
        pose_core.train_seeds(blob_project, out=tmp_path / "run", seeds=[3, 3])
    with pytest.raises(ConfigError, match="names no seed"):
        pose_core.train_seeds(blob_project, out=tmp_path / "run", seeds=[])
    with pytest.raises(ConfigError, match="-1 is below 0"):
        pose_core.train_seeds(blob_project, out=tmp_path / "run", seeds=[-1])
    with pytest.raises(ConfigError, match="seed and seeds"):
        pose_core.train_seeds(blob_project, out=tmp_path / "run", seeds=[0], seed=1)
    assert not (tmp_path / "run").exists()
