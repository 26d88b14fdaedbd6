"""Read text files in UTF-8, and say where one is not."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """Read a text in UTF-8, with or without a byte order mark.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is in another encoding; :func:`describe_not_utf8` says where.
    """
    return path.read_text(encoding="utf-8-sig")


def describe_not_utf8(path: Path) -> str:
    """Say which byte of a file is not UTF-8, and what to do: ``line 1, byte 13 (E9) is not UTF-8; save ...``.

    Other encodings are never tried: nearly every file can be read in most of them, as rubbish.
    """
    advice = "as CSV in UTF-8" if path.suffix.lower() == ".csv" else "in UTF-8"
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                place = f"line {number}, byte {error.start + 1} ({line[error.start]:02X})"
                return f"{place} is not UTF-8; save it {advice}"
    return f"is not text in UTF-8; save it {advice}"
