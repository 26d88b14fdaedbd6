"""Metrics and pictures at MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from pose_core.errors import ConfigError
from pose_core.interfaces import Logger, LoggerContext
from pose_core.structures import ByteArray
from pose_logging.config import MlflowConfig


class MlflowLogger(Logger):
    """Starts a run there, or goes on with one."""

    packages = {"mlflow": "mlflow"}

    def __init__(self, config: MlflowConfig, context: LoggerContext) -> None:
        super().__init__(config, context)
        # Imported late: Lightning takes long, and listing what there is must not.
        from lightning.pytorch import loggers

        uri = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            raise ConfigError(
                "train.loggers: mlflow: name a server or database by tracking_uri (or the variable "
                "MLFLOW_TRACKING_URI), such as http://localhost:5000 or sqlite:////home/me/mlflow.db"
            )
        self._logger = loggers.MLFlowLogger(
            experiment_name=config.experiment,
            run_name=config.name or context.name,
            tracking_uri=uri,
            artifact_location=config.artifact_location,
            tags=dict(config.tags),
            run_id=config.id,
        )

    def log_config(self, config: Mapping[str, Any]) -> None:
        """As the file config.json of the run, which begins here."""
        # Not as parameters: MLflow refuses a second value of one, as a resumed training may have.
        self._logger.experiment.log_text(self._logger.run_id, json.dumps(config, indent=2), "config.json")

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Over the steps of the training."""
        self._logger.log_metrics(dict(metrics), step)

    def log_image(self, name: str, image: ByteArray, step: int) -> None:
        """As a PNG among the artifacts of the run."""
        self._logger.experiment.log_image(self._logger.run_id, image, f"{name}-{step:07d}.png")

    def finish(self, completed: bool) -> None:
        """End the run, with its state."""
        self._logger.finalize("success" if completed else "failed")
