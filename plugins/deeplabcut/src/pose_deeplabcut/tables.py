"""A table of labels in memory, whatever file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_deeplabcut.columns import Columns

_FAR = 1e9
"""Pixels; no image is so long."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels as they stand in one file.

    Attributes:
        path: of the file.
        columns: C of them.
        images: what names each row's image: one string, or ``("labeled-data", video, image)``.
        values: (R, C) float64, NaN where a cell is empty.
        rows: how each row is called in messages (``row 3``, ``line 6``).
    """

    path: Path
    columns: Columns
    images: list[tuple[str, ...]]
    values: npt.NDArray[np.float64]
    rows: Sequence[str]

    def checked(self) -> LabelTable:
        """This table, if every value is a position in an image or missing.

        Raises:
            DataError: names file, row and column.
        """
        far = np.argwhere(np.abs(self.values) > _FAR)
        if len(far):
            row, column = far[0]
            what = "infinite" if np.isinf(self.values[row, column]) else f"{self.values[row, column]:g}, in no image"
            raise DataError(f"{self.path}: {self.rows[row]}, column {self.column_name(column)}: is {what}")
        return self

    def column_name(self, column: int) -> str:
        """One column for a message: ``'snout x'``."""
        return repr(" ".join(self.columns.tuples[column][1:]))
