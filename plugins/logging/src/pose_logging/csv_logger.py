"""Metrics in a CSV file, where the user wants it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from pose_core.errors import ConfigError
from pose_core.interfaces import Logger, LoggerContext
from pose_core.io.files import write_whole
from pose_logging.config import CsvConfig

STEP = "step"


class CsvLogger(Logger):
    """Writes one row a validation, under the names that all loggers get.

    ``history.csv`` of the run has the same numbers, and the training itself goes on with it; this file is for other
    programs, and may lie elsewhere.
    """

    def __init__(self, config: CsvConfig, context: LoggerContext) -> None:
        super().__init__(config, context)
        self.path = context.folder / Path(config.file.replace("NAME", context.name))
        if not self.path.parent.is_dir():
            raise ConfigError(f"train.loggers: csv: {self.path.parent}: no such folder; make it first")
        self.rows: list[dict[str, str]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if row.get(STEP, "").isdigit()]

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add a row; those of this step and later are from before a resume, and go."""
        self.rows = [row for row in self.rows if int(row[STEP]) < step]
        self.rows.append({STEP: str(step), **{name: f"{value:.6g}" for name, value in metrics.items()}})
        names = dict.fromkeys(name for row in self.rows for name in row)
        text = io.StringIO()
        # The whole file each time: a later row may bring new columns, and a kill must not leave half a row.
        writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())
