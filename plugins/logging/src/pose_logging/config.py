"""What a user can write about these loggers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pose_core.specs import LoggerConfig


class TensorBoardConfig(LoggerConfig):
    """TensorBoard."""

    folder: str = Field(
        "tensorboard",
        min_length=1,
        description="For its event files, within the run folder unless it is absolute.",
    )


class WeightsAndBiasesConfig(LoggerConfig):
    """Weights & Biases."""

    project: str = Field("pose", min_length=1, description="Project that the run belongs to.")
    entity: str | None = Field(None, description="User or team; null: that of the login.")
    name: str | None = Field(None, description="Of the run; null: the name of the run folder.")
    group: str | None = Field(None, description="What runs of one experiment are grouped by.")
    tags: tuple[str, ...] = Field((), description="Of the run.")
    notes: str | None = Field(None, description="A description of the run.")
    mode: Literal["online", "offline"] = Field(
        "online", description="offline: kept in the run folder, for 'wandb sync' later."
    )
    id: str | None = Field(
        None, description="Of the run there; a training that is resumed goes on with the run of this id."
    )

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        """Without a login."""
        return {"mode": "offline"}


class MlflowConfig(LoggerConfig):
    """MLflow."""

    experiment: str = Field("pose", min_length=1, description="Experiment that the run belongs to.")
    name: str | None = Field(None, description="Of the run; null: the name of the run folder.")
    tracking_uri: str | None = Field(
        None,
        description="Server or database; null: what the variable MLFLOW_TRACKING_URI says.",
    )
    artifact_location: str | None = Field(
        None,
        description="Where a new experiment keeps pictures; null: MLflow's choice, without a server ./mlruns.",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Of the run, by name.")
    id: str | None = Field(
        None, description="Of the run there; a training that is resumed goes on with the run of this id."
    )


class CsvConfig(LoggerConfig):
    """A CSV file."""

    file: str = Field(
        "metrics.csv",
        min_length=1,
        description="Within the run folder unless it is absolute; NAME in it stands for the name of the run.",
    )
