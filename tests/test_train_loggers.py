"""Loggers of a training: what they get, what is refused, and what their failure does."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pose_logging.csv_logger import CsvLogger
from safetensors.torch import load_file

import pose_core
from pose_core.errors import ConfigError


def train(
    project: Path,
    out: Path,
    assignments: tuple[str, ...],
    loggers: list[Any],
    epochs: int,
    resume: bool = False,
) -> Path:
    settings = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in assignments)}
    # Constant: under a cosine, a training that learns only later that it has a third epoch is another one.
    settings |= {"train.validate_every": 1, "train.loggers": loggers, "train.schedule": "constant"}
    pose_core.train(project, "unet", out=out, device="cpu", settings=settings, epochs=epochs, resume=resume)
    return out


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_training_is_logged_and_goes_on_in_the_same_files(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    loggers = [{"type": "csv", "file": str(tmp_path / "of-NAME.csv")}, "tensorboard"]
    out = tmp_path / "run"
    for epochs in (2, 3):
        train(blob_project, out, tiny_settings, loggers, epochs, resume=epochs == 3)
    history, logged = read_table(out / "history.csv"), read_table(tmp_path / "of-run.csv")
    assert [row["step"] for row in logged] == [row["step"] for row in history]
    names = {
        "train/loss": "loss",
        "validation/error_px": "validation_error_px",
        "learning_rate": "learning_rate",
    }
    for ours, theirs in names.items():
        assert [row[ours] for row in logged] == [row[theirs] for row in history]
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [int(row["step"]) for row in history]
    assert "config/text_summary" in events.Tags()["tensors"]
    # Nothing of it changes the training.
    plain = train(blob_project, tmp_path / "plain", tiny_settings, [], 3)
    one, other = (load_file(run / "weights.safetensors") for run in (out, plain))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("loggers", "said"),
    [
        (
            "[tensorbord]",
            r"train\.loggers\.0: no logger 'tensorbord' is installed; did you mean tensorboard\?",
        ),
        ("[{type: wandb, projekt: mice}]", r"train\.loggers\.0\.projekt: .*did you mean project"),
        ("[{type: csv, file: nowhere/metrics.csv}]", r"nowhere: no such folder; make it first"),
    ],
)
def test_a_wrong_logger_is_refused_in_one_line(
    blob_project: Path, tmp_path: Path, loggers: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        pose_core.train(
            blob_project,
            "unet",
            out=tmp_path / "run",
            epochs=1,
            settings={"train.loggers": yaml.safe_load(loggers)},
        )


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_said_with_what_installs_it(
    name: str, blob_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == name else find(module))
    said = rf"train\.loggers: logging/{name} needs {name}, which is not installed: pip install {name}"
    with pytest.raises(ConfigError, match=said):
        pose_core.train(
            blob_project, "unet", out=tmp_path / "run", epochs=1, settings={"train.loggers": [{"type": name}]}
        )
    assert not (tmp_path / "run").exists()


def test_a_logger_that_fails_on_the_way_stops_no_training(
    blob_project: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: CsvLogger, metrics: Mapping[str, float], step: int) -> None:
        raise ConnectionError("the server\nis gone")

    monkeypatch.setattr(CsvLogger, "log_metrics", fail)
    with caplog.at_level("INFO", "pose_core"):
        run = train(blob_project, tmp_path / "run", tiny_settings, ["csv"], 2)
    said = [line for line in caplog.messages if "gets nothing more" in line]
    assert said == ["train.loggers: logging/csv gets nothing more: the server is gone"]
    assert len(read_table(run / "history.csv")) == 2
