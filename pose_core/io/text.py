"""Read text as people save it: encodings, byte order marks, line ends, separators of cells.

Everything that reads a text file of a user goes through here, and everything that only looks whether it could
be read, so that detection of a format and its reader agree. UTF-8, UTF-16 and UTF-32 are told by their byte
order mark, the latter two without one by the zero bytes between letters; anything else must be UTF-8. Lines
end with a line feed, a carriage return, or both.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pose_core.errors import DataError
from pose_core.escapes import escape_text

# That of UTF-32 begins with that of UTF-16, and so is looked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Which of the first four bytes are zero where the first letters are ASCII, as those of all our formats are.
_ZEROS = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}
_SEPARATORS = (",", ";", "\t")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*")


def detect_encoding(start: bytes) -> str:
    """Tell the encoding of a text by its first bytes.

    Args:
        start: four bytes or more, fewer where the text is shorter.

    Returns:
        a name that ``bytes.decode`` takes; ``utf-8`` where nothing else shows.
    """
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    zeros = tuple(byte == 0 for byte in start[:4])
    return _ZEROS.get(zeros, "utf-8") if len(zeros) == 4 else "utf-8"


def read_text(path: Path) -> str:
    """Read a whole text file, without its byte order mark.

    Raises:
        DataError: it cannot be read, or is not text; names the line.
    """
    with text_errors(path):
        data = path.read_bytes()
        return data.decode(detect_encoding(data))


def read_start(path: Path, size: int = 1 << 20) -> str:
    """Read the beginning of a file as :func:`read_text` would, for telling its format.

    Args:
        path: of the file.
        size: bytes that are looked at.

    Returns:
        text with ``\\n`` at the ends of lines; empty where the file cannot be read. What is no text is
        replaced: a format is told by what it says, and its reader refuses the rest.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(size)
    except (OSError, ValueError):
        return ""
    text = data.decode(detect_encoding(data), "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def open_text(path: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Open a text file to be read line by line; line ends stay as they are.

    Args:
        path: of the file.
        errors: as for ``bytes.decode``, what becomes of bytes that are not text.

    Raises:
        DataError: it cannot be read, or a line is not text, also where that shows only within the block.
    """
    with text_errors(path):
        with path.open("rb") as stream:
            encoding = detect_encoding(stream.read(4))
        # newline="": the csv module wants to see line ends itself, for those within quotes.
        with path.open(encoding=encoding, newline="", errors=errors) as text:
            yield text


@contextmanager
def text_errors(path: Path) -> Iterator[None]:
    """Turn what reading a text file can raise into one line.

    Raises:
        DataError: names the file, and the line that is no text.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnicodeError:
        raise DataError(_explain_encoding(path)) from None


def _explain_encoding(path: Path, after: int = 0) -> str:
    """Find the first byte that is no text, in a line after so many."""
    # Read again: a stream decodes in blocks, and its error counts from the beginning of one.
    data = path.read_bytes()
    encoding = detect_encoding(data)
    name = encoding.upper().removesuffix("-SIG")
    place = ""
    for number, line in enumerate(_split_lines(data, encoding), start=1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            if number > after:
                place = f"line {number}, byte {error.start + 1} ({line[error.start]:02X}) "
                break
    advice = "the file as text in UTF-8" if path.suffix.lower() != ".csv" else "it as CSV in UTF-8"
    return f"{path}: {place}is not {'text in ' if not place else ''}{name}; save {advice}"


def _split_lines(data: bytes, encoding: str) -> list[bytes]:
    # Line ends of the other encodings are two or four bytes long, and may lie across what look like two.
    if encoding not in ("utf-8", "utf-8-sig"):
        return [data]
    return re.split(rb"(?<=\n)|(?<=\r)(?!\n)", data)


class TextTable:
    """A table of cells in a text file, read row by row (CSV).

    Cells are separated by commas, semicolons or tabs, whichever make the first row a header; a line ``sep=;``
    before it, which spreadsheets write, is understood. Lines without any cell are skipped.

    Args:
        path: of the file.
        is_header: whether these cells are the first row of such a table.
        escaped_rows: rows at the beginning in which bytes that are not text are escaped (``\\xe9``), since nothing
            depends on them.

    Attributes:
        separator: that of the file; a comma where no separator makes the first row a header.
        decimal_comma: whether numbers may be written ``1,5``: where cells are separated otherwise.
        escaped: the first cell in which bytes were escaped, of the rows that were read so far; empty: none.

    Raises:
        DataError: the file cannot be read or is not text.
    """

    def __init__(self, path: Path, is_header: Callable[[Sequence[str]], bool], escaped_rows: int = 0) -> None:
        self.path = path
        self.escaped = ""
        self._escaped_rows = escaped_rows
        self._skip = 0
        with open_text(path, self._errors) as stream:
            first = next((line for line in stream if line.strip("\r\n\t ,;")), "")
            if stated := re.fullmatch(r'"?sep=(.)"?\s*', first):
                self._skip = 1
                self.separator = stated[1]
            else:
                self.separator = _find_separator(first, is_header)
        self.decimal_comma = self.separator != ","

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each row's last line, and its cells.

        Raises:
            DataError: the file cannot be read on, is not text, or its quotes do not match; names the line.
        """
        with open_text(self.path, self._errors) as stream:
            table = csv.reader(stream, delimiter=self.separator, strict=True)
            skip, lenient, before = self._skip, self._escaped_rows, 0
            try:
                for row in table:
                    if not any(row):
                        continue
                    if skip:
                        skip -= 1
                        continue
                    if self._escaped_rows:
                        row = self._escape(row, lenient > 0, before)
                        lenient, before = lenient - 1, table.line_num
                    yield table.line_num, row
            except csv.Error as error:
                raise DataError(f"{self.path}: line {table.line_num}: {error}") from None

    @property
    def _errors(self) -> str:
        return "surrogateescape" if self._escaped_rows else "strict"

    def _escape(self, row: list[str], lenient: bool, before: int) -> list[str]:
        """Escape bytes that are not text; refuse them in rows that matter."""
        cells = [escape_text(cell) for cell in row]
        if cells == row:
            return row
        if not lenient:
            raise DataError(_explain_encoding(self.path, before))
        self.escaped = next(cell for cell, given in zip(cells, row, strict=True) if cell != given)
        return cells

    def parse_number(self, cell: str) -> float:
        """Parse a number, with a decimal comma where the table may have them.

        Raises:
            ValueError: it is none.
        """
        if self.decimal_comma and _DECIMAL_COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        # Python reads 1_5 as 15, and no other program does.
        if "_" in cell:
            raise ValueError(cell)
        return float(cell)


def _find_separator(line: str, is_header: Callable[[Sequence[str]], bool]) -> str:
    for separator in _SEPARATORS:
        try:
            row = next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            continue
        if is_header([cell.strip() for cell in row]):
            return separator
    return _SEPARATORS[0]
