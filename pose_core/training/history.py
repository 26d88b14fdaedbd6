"""Write history.csv, one row a validation."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from pose_core.io.files import write_whole


class History:
    """The table of a run's training, kept in memory and on disk.

    Args:
        path: of history.csv.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []

    def resume(self, last_epoch: int) -> None:
        """Take over the rows on disk up to an epoch."""
        # A killed run may have written more after its last checkpoint; those epochs are trained again.
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= last_epoch]

    def add(self, row: Mapping[str, float | int | None]) -> None:
        """Append a row and write the file."""
        self.rows.append({key: _format_value(value) for key, value in row.items()})
        # The whole file each time: a later row may bring new columns, and a kill must not leave half a row.
        text = io.StringIO()
        writer = csv.DictWriter(
            text, fieldnames=list(dict.fromkeys(key for r in self.rows for key in r)), lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())


def _format_value(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
