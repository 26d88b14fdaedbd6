"""Hold the labels of one file in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_deeplabcut.columns import Columns

_FAR = 1e9
"""Pixels; no image is that large."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The labels of one file.

    Attributes:
        path: of the file.
        columns: C of them.
        images: name of each row's image: one string, or ``("labeled-data", video, image)``.
        values: (R, C) float64, NaN where a cell is empty.
        rows: name of each row in messages (``row 3``, ``line 6``).
        notes: what was read though it is not as it should be.
    """

    path: Path
    columns: Columns
    images: list[tuple[str, ...]]
    values: npt.NDArray[np.float64]
    rows: Sequence[str]
    notes: tuple[str, ...] = ()

    def check(self) -> LabelTable:
        """Check that every value is a position in an image or missing; return this table.

        Raises:
            DataError: names file, row and column.
        """
        # float("inf") and 1e300 are numbers to every reader; NaN compares false and stays.
        far = np.argwhere(np.abs(self.values) > _FAR)
        if len(far):
            row, column = far[0]
            what = (
                "infinite"
                if np.isinf(self.values[row, column])
                else f"{self.values[row, column]:g}, outside of any image"
            )
            raise DataError(f"{self.path}: {self.rows[row]}, column {self.column_name(column)}: is {what}")
        return self

    def column_name(self, column: int) -> str:
        """Name a column for a message: ``'snout x'``."""
        return repr(" ".join(self.columns.tuples[column][1:]))
