"""Read DeepLabCut's CSV tables: three or four header rows, then a row for each image."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.escapes import escape_text
from pose_core.io.text_files import describe_not_utf8
from pose_deeplabcut.columns import MULTI_LEVELS, SINGLE_LEVELS, Columns
from pose_deeplabcut.tables import LabelTable

# What pandas, spreadsheets and hand-made tables write for a missing value.
_EMPTY = frozenset({"", "nan", "NaN", "NA", "None"})


class CsvRows:
    """A CSV table, read row by row.

    Args:
        path: of the file.

    Attributes:
        columns: of the table.
        note: about a scorer that is not in UTF-8; None for all other files.

    Raises:
        DataError: the file cannot be read or has no such header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note: str | None = None
        self._lines = self._read_rows()
        header = [row for _, row in zip(range(len(MULTI_LEVELS)), self._lines, strict=False)]
        names = tuple(row[0].strip() for _, row in header)
        if names[:3] == SINGLE_LEVELS:
            levels: tuple[str, ...] = SINGLE_LEVELS
        elif names == MULTI_LEVELS:
            levels = MULTI_LEVELS
        else:
            first = header[0][1][0] if header else ""
            # Excel separates cells by semicolons in countries with decimal commas.
            hint = "; save it with commas between the cells" if ";" in first else ""
            raise DataError(
                f"{path}: line 1: must begin with the rows {', '.join(SINGLE_LEVELS)} of DeepLabCut{hint}"
            )
        self._pending = header[len(levels) :]
        rows = [row for _, row in header[: len(levels)]]
        # Tables whose rows are named by three cells (labeled-data,
        # video, image) have two empty ones in the header.
        self._names = next((i for i, cell in enumerate(rows[0]) if i and cell.strip()), len(rows[0]))
        for row in rows[1:]:
            if len(row) != len(rows[0]):
                raise DataError(
                    f"{path}: row {row[0]!r} of the header has {len(row)} cells, not {len(rows[0])}"
                )
        cells = [[cell.strip() for cell in row[self._names :]] for row in rows]
        if not cells[0]:
            raise DataError(f"{path}: has no columns")
        self.columns = Columns.parse(list(zip(*cells, strict=True)), str(path))

    def __iter__(self) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
        """Yield line number, the cells that name the row, and the other cells; skip empty lines."""
        width = self._names + len(self.columns.tuples)
        for number, (line, row) in enumerate(chain(self._pending, self._lines)):
            if len(row) != width:
                raise DataError(f"{self.path}: line {line} has {len(row)} cells, but the header has {width}")
            names, cells = tuple(row[: self._names]), row[self._names :]
            # pandas puts the names of the index into a row of its own, if it has any.
            if number == 0 and not any(cells) and "." not in names[-1] and not names[-1].strip().isdigit():
                continue
            yield line, names, cells

    def _decode_scorer(self, row: bytes) -> str:
        text = row.decode("utf-8-sig", "surrogateescape")
        if (escaped := escape_text(text)) != text:
            self.note = (
                f"{self.path}: its scorer is not in UTF-8, and is read as {escaped.split(',')[1].strip()}"
            )
        return escaped

    def _read_rows(self) -> Iterator[tuple[int, list[str]]]:
        try:
            with self.path.open("rb") as file:
                # The scorer's name is not needed to read labels, so it alone may be in another encoding.
                first = file.readline()
                if first.startswith((b"scorer", codecs.BOM_UTF8 + b"scorer")):
                    lines = [self._decode_scorer(first)]
                else:
                    lines = []
                    file.seek(0)
                stream = io.TextIOWrapper(file, encoding="utf-8" if lines else "utf-8-sig", newline="")
                table = csv.reader(chain(lines, stream))
                for row in table:
                    if any(row):
                        yield table.line_num, row
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read ({(error.strerror or str(error)).lower()})"
            ) from None
        except UnicodeDecodeError:
            raise DataError(f"{self.path}: {describe_not_utf8(self.path)}") from None
        except csv.Error as error:
            raise DataError(f"{self.path}: line {table.line_num}: {error}") from None


def parse_numbers(path: Path, columns: Columns, rows: list[tuple[int, list[str]]]) -> npt.NDArray[np.float64]:
    """Parse the cells of some rows as numbers, NaN where empty.

    Args:
        path: of the file, for messages.
        columns: C of them.
        rows: line number and C cells of each.

    Returns:
        (R, C) float64.

    Raises:
        DataError: a cell is not a number; names file, line and column.
    """
    # The fast way first; cell by cell only to read "NA" or to find the cell that is wrong.
    try:
        values = [[float(cell) if cell else np.nan for cell in cells] for _, cells in rows]
    except ValueError:
        values = [_parse_row(path, columns, line, cells) for line, cells in rows]
    return np.array(values, np.float64).reshape(len(rows), len(columns.tuples))


def _parse_row(path: Path, columns: Columns, line: int, cells: list[str]) -> list[float]:
    values = []
    for column, cell in zip(columns.tuples, cells, strict=True):
        text = cell.strip()
        try:
            values.append(np.nan if text in _EMPTY else float(text))
        except ValueError:
            hint = "; decimals need a point" if text.replace(",", "", 1).isdigit() else ""
            raise DataError(
                f"{path}: line {line}, column {' '.join(column[1:])!r}: {cell!r} is not a number{hint}"
            ) from None
    return values


def read_csv(path: Path, notes: list[str]) -> LabelTable:
    """Read a CSV file of labels.

    Args:
        path: of the file.
        notes: gets a line about a scorer that is not in UTF-8.

    Raises:
        DataError: the file cannot be read, or is not such a table; names line and column.
    """
    table = CsvRows(path)
    rows = list(table)
    if table.note:
        notes.append(table.note)
    values = parse_numbers(path, table.columns, [(line, cells) for line, _, cells in rows])
    lines = [f"line {line}" for line, _, _ in rows]
    return LabelTable(path, table.columns, [names for _, names, _ in rows], values, lines).check()
