"""Several seeds in one command: a run each, a summary, finished runs kept."""

from __future__ import annotations

import json
import statistics

import pytest
import yaml

import pose_core
from pose_core.cli.train import _show_seeds
from pose_core.errors import ConfigError


@pytest.fixture
def no_plots(monkeypatch):
    """Drawing takes longer than everything else, and is not what is asked here."""
    for name in ("plot_predictions", "plot_error_by_keypoint", "plot_error_curve"):
        monkeypatch.setattr(f"pose_core.evaluation.output.{name}", lambda *_: False)


@pytest.mark.long
def test_each_seed_is_a_run_and_resuming_keeps_the_finished_ones(
    blob_project, tmp_path, tiny_settings, no_plots, capsys
):
    pairs = (
        setting.split("=", 1) for setting in (*tiny_settings, "evaluation.bootstrap=0", "train.workers=0")
    )
    settings = {key: yaml.safe_load(value) for key, value in pairs}
    out = tmp_path / "seeds"
    shared = {"out": out, "epochs": 1, "device": "cpu", "settings": settings}
    result = pose_core.train_seeds(blob_project, "unet", seeds=[0, 3], **shared)
    summary = json.loads((out / "seeds.json").read_text())
    assert summary == result.to_json()
    assert list(summary["runs"]) == ["0", "3"]
    errors = [run["metrics"]["mean_error"] for run in summary["runs"].values()]
    assert errors[0] != errors[1]
    assert summary["summary"]["mean_error"]["mean"] == pytest.approx(statistics.fmean(errors))
    assert summary["summary"]["mean_error"]["standard_deviation"] == pytest.approx(statistics.stdev(errors))
    splits = [result.runs[seed].provenance["split"]["test"] for seed in (0, 3)]
    assert splits[0] != splits[1]
    assert [result.runs[seed].metrics()["test"]["mean_error"] for seed in (0, 3)] == errors

    _show_seeds(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("RUN")
    assert [line.split("  ")[0] for line in lines[2:6]] == ["seed-0", "seed-3", "mean", "standard deviation"]
    assert f"{errors[1]:.3f}" in lines[3]

    files = [out / f"seed-{seed}" / "weights.safetensors" for seed in (0, 3)]
    before = [file.read_bytes() for file in files]
    more = pose_core.train_seeds(blob_project, "unet", seeds=[0, 3, 4], resume=True, **shared)
    assert [file.read_bytes() for file in files] == before
    assert {seed: more.metrics[seed] for seed in (0, 3)} == result.metrics
    assert list(more.runs) == [0, 3, 4]


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
