"""Metrics and pictures in TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pose_core.interfaces import Logger, LoggerContext
from pose_core.structures import ByteArray
from pose_logging.config import TensorBoardConfig


class TensorBoardLogger(Logger):
    """Writes event files into a folder of the run."""

    packages = {"tensorboard": "tensorboard"}

    def __init__(self, config: TensorBoardConfig, context: LoggerContext) -> None:
        super().__init__(config, context)
        # Imported late: Lightning takes long, and listing what there is must not.
        from lightning.pytorch import loggers

        # Without a version, which would be one more folder ("version_0") within the run.
        self._logger = loggers.TensorBoardLogger(
            save_dir=context.folder,
            name=str(context.folder / config.folder),
            version="",
            default_hp_metric=False,
        )

    def log_config(self, config: Mapping[str, Any]) -> None:
        """As a text, in the form of JSON."""
        # Four blanks: TensorBoard shows text as Markdown.
        lines = json.dumps(config, indent=2).splitlines()
        self._logger.experiment.add_text("config", "\n".join(f"    {line}" for line in lines))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """As scalars."""
        self._logger.log_metrics(dict(metrics), step)

    def log_image(self, name: str, image: ByteArray, step: int) -> None:
        """As it is."""
        self._logger.experiment.add_image(name, image, step, dataformats="HWC")

    def finish(self, completed: bool) -> None:
        """Write what is left."""
        self._logger.experiment.close()
