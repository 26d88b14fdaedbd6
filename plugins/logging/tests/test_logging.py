"""Loggers with settings: what they get, what they are made with, and how they fail."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import Logger, LoggerContext
from pose_core.specs import LoggerConfig, parse_component


def make(folder: Path, content: str | Mapping[str, Any]) -> Logger:
    config = parse_component("logger", LoggerConfig, content)
    made: Logger = (
        get_catalog().component("logger", config.type).factory()(config, LoggerContext(folder, folder.name))
    )
    return made


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_before_a_resume_are_replaced(tmp_path: Path) -> None:
    first = make(tmp_path, "csv")
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": 1.0}, step)
    second = make(tmp_path, "csv")
    second.log_metrics({"train/loss": 2.0, "validation/error_px": 0.5}, 20)
    assert read_table(tmp_path / "metrics.csv") == [
        {"step": "10", "train/loss": "1", "validation/error_px": ""},
        {"step": "20", "train/loss": "2", "validation/error_px": "0.5"},
    ]


class Recorder:
    """In the place of one of Lightning's loggers: takes only what that takes."""

    def __init__(self, real: type, calls: list[tuple[str, dict[str, Any]]]) -> None:
        self.real, self.calls = real, calls

    def __call__(self, **given: Any) -> Recorder:
        inspect.signature(self.real.__init__).bind(None, **given)
        self.calls.append(("made", given))
        return self

    def __getattr__(self, name: str) -> Any:
        inside = getattr(self.real, name)
        if isinstance(inside, property):
            return self if name == "experiment" else name

        def call(*given: Any, **named: Any) -> None:
            inspect.signature(inside).bind(None, *given, **named)
            self.calls.append((name, named))

        return call


def test_wandb_gets_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch import loggers

    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(loggers, "WandbLogger", Recorder(loggers.WandbLogger, calls))
    logger = make(
        tmp_path / "first", {"type": "wandb", "project": "mice", "tags": ["a", "b"], "mode": "offline"}
    )
    logger.log_config({"train": {"epochs": 2}})
    logger.log_metrics({"train/loss": 1.0}, 10)
    logger.log_image("pictures/batch", np.zeros((2, 2, 3), np.uint8), 10)
    assert [name for name, _ in calls] == ["made", "log_hyperparams", "log_metrics", "log_image"]
    given = calls[0][1]
    assert (given["project"], given["name"], given["tags"], given["offline"]) == (
        "mice",
        "first",
        ["a", "b"],
        True,
    )


def test_mlflow_gets_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch import loggers

    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(loggers, "MLFlowLogger", Recorder(loggers.MLFlowLogger, calls))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "first"
    with pytest.raises(ConfigError, match="name a server or database by tracking_uri"):
        make(folder, "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    make(folder, {"type": "mlflow", "experiment": "mice", "tags": {"who": "me"}})
    make(folder, {"type": "mlflow", "tracking_uri": "http://localhost:5001"}).finish(completed=False)
    made = [given for name, given in calls if name == "made"]
    assert [given["tracking_uri"] for given in made] == ["http://localhost:5000", "http://localhost:5001"]
    assert (made[0]["experiment_name"], made[0]["run_name"], made[0]["tags"]) == (
        "mice",
        "first",
        {"who": "me"},
    )
    assert calls[-1][0] == "finalize"
