"""Read DeepLabCut's CSV tables: three or four header rows, then a row for each image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.io.text import TextTable
from pose_deeplabcut.columns import MULTI_LEVELS, SINGLE_LEVELS, Columns
from pose_deeplabcut.tables import LabelTable

# What pandas takes for a missing value (its documentation of ``read_csv``), and so DeepLabCut.
_MISSING = {"", "NA", "N/A", "n/a", "<NA>", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "None"}
# Those that spreadsheets write for a formula without a value.
_MISSING |= {"#N/A", "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}


class CsvRows:
    """A CSV table, read row by row.

    Args:
        path: of the file.
        fill: take cells that a row lacks at its end for empty ones, as pandas does; else they are refused,
            as a file that was cut off has such a row.

    Attributes:
        columns: of the table.
        text: its cells as text.
        short: lines of the rows that were filled, of those that were read so far.

    Raises:
        DataError: the file cannot be read or has no such header.
    """

    def __init__(self, path: Path, fill: bool = False) -> None:
        self.path = path
        self.text = TextTable(path, lambda cells: cells[:1] == [SINGLE_LEVELS[0]], escaped_rows=1)
        self.short: list[int] = []
        self._fill = fill
        self._lines = iter(self.text)
        header = [row for _, row in zip(range(len(MULTI_LEVELS)), self._lines, strict=False)]
        names = tuple(row[0].strip() for _, row in header)
        if names[:3] == SINGLE_LEVELS:
            levels: tuple[str, ...] = SINGLE_LEVELS
        elif names == MULTI_LEVELS:
            levels = MULTI_LEVELS
        else:
            raise DataError(
                f"{path}: line 1: must begin with the rows {', '.join(SINGLE_LEVELS)} of DeepLabCut, with "
                "commas, semicolons or tabs between the cells"
            )
        self._pending = header[len(levels) :]
        rows = [row for _, row in header[: len(levels)]]
        # Spreadsheets end all rows with empty cells where one row was longer once.
        filled = max((i + 1 for row in rows for i, cell in enumerate(row) if cell.strip()), default=0)
        rows = [row[:filled] for row in rows]
        # Tables whose rows are named by three cells (labeled-data,
        # video, image) have two empty ones in the header.
        self._names = next((i for i, cell in enumerate(rows[0]) if i and cell.strip()), len(rows[0]))
        for row in rows:
            if len(row) != filled:
                raise DataError(f"{path}: row {row[0]!r} of the header has {len(row)} cells, not {filled}")
        cells = [[cell.strip() for cell in row[self._names :]] for row in rows]
        if not cells[0]:
            raise DataError(f"{path}: has no columns")
        self.columns = Columns.parse(list(zip(*cells, strict=True)), str(path))

    def __iter__(self) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
        """Yield line number, the cells that name the row, and the other cells; skip empty lines."""
        width = self._names + len(self.columns.tuples)
        for number, (line, row) in enumerate(chain(self._pending, self._lines)):
            if len(row) > width and not any(cell.strip() for cell in row[width:]):
                row = row[:width]
            if len(row) != width:
                if len(row) > width or len(row) < self._names or not self._fill:
                    raise DataError(
                        f"{self.path}: line {line} has {len(row)} cells, but the header has {width}"
                    )
                self.short.append(line)
                row = row + [""] * (width - len(row))
            names, cells = tuple(row[: self._names]), row[self._names :]
            # pandas puts the names of the index into a row of its own, if it has any.
            if number == 0 and not any(cells) and "." not in names[-1] and not names[-1].strip().isdigit():
                continue
            yield line, names, cells


def parse_numbers(table: CsvRows, rows: list[tuple[int, list[str]]]) -> npt.NDArray[np.float64]:
    """Parse the cells of some rows as numbers, NaN where empty.

    Args:
        table: that the rows are of, with C columns.
        rows: line number and C cells of each.

    Returns:
        (R, C) float64.

    Raises:
        DataError: a cell is not a number; names file, line and column.
    """
    # The fast way first; cell by cell only to read "NA" or to find the cell that is wrong.
    parse = table.text.parse_number
    try:
        values = [[parse(cell) if cell else np.nan for cell in cells] for _, cells in rows]
    except ValueError:
        values = [_parse_row(table, line, cells) for line, cells in rows]
    return np.array(values, np.float64).reshape(len(rows), len(table.columns.tuples))


def _parse_row(table: CsvRows, line: int, cells: list[str]) -> list[float]:
    values = []
    for column, cell in zip(table.columns.tuples, cells, strict=True):
        text = cell.strip()
        try:
            values.append(np.nan if text in _MISSING else table.text.parse_number(text))
        except ValueError:
            hint = "; decimals need a point" if text.replace(",", "", 1).isdigit() else ""
            raise DataError(
                f"{table.path}: line {line}, column {' '.join(column[1:])!r}: {cell!r} is not a number{hint}"
            ) from None
    return values


def read_csv(path: Path) -> LabelTable:
    """Read a CSV file of labels; cells that rows lack at their end are not labelled, with a note.

    Raises:
        DataError: the file cannot be read, or is not such a table; names line and column.
    """
    table = CsvRows(path, fill=True)
    rows = list(table)
    values = parse_numbers(table, [(line, cells) for line, _, cells in rows])
    lines = [f"line {line}" for line, _, _ in rows]
    notes = []
    if short := table.short:
        count = "1 row has" if len(short) == 1 else f"{len(short)} rows have"
        notes.append(
            f"{path}: {count} fewer cells than the header, the first is line {short[0]}; what is missing "
            "counts as not labelled"
        )
    # The name of the scorer is not needed to read labels.
    if table.text.escaped:
        notes.append(f"{path}: its scorer is not in UTF-8, and is read as {table.text.escaped.strip()}")
    return LabelTable(
        path, table.columns, [names for _, names, _ in rows], values, lines, tuple(notes)
    ).check()
