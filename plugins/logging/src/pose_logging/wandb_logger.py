"""Metrics and pictures at Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_core.interfaces import Logger, LoggerContext
from pose_core.structures import ByteArray
from pose_logging.config import WeightsAndBiasesConfig


class WeightsAndBiasesLogger(Logger):
    """Starts a run there, or goes on with one."""

    packages = {"wandb": "wandb"}

    def __init__(self, config: WeightsAndBiasesConfig, context: LoggerContext) -> None:
        super().__init__(config, context)
        # Imported late: Lightning takes long, and listing what there is must not.
        from lightning.pytorch import loggers

        self._logger = loggers.WandbLogger(
            name=config.name or context.name,
            save_dir=context.folder,
            offline=config.mode == "offline",
            id=config.id,
            project=config.project,
            entity=config.entity,
            group=config.group,
            tags=list(config.tags) or None,
            notes=config.notes,
        )

    def log_config(self, config: Mapping[str, Any]) -> None:
        """As the run's config; the run begins here."""
        self._logger.log_hyperparams(dict(config))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Over the steps of the training."""
        self._logger.log_metrics(dict(metrics), step)

    def log_image(self, name: str, image: ByteArray, step: int) -> None:
        """As it is."""
        self._logger.log_image(name, [image], step=step)

    def finish(self, completed: bool) -> None:
        """End the run, with its state."""
        self._logger.experiment.finish(exit_code=0 if completed else 1)
