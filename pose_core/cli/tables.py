"""Plain tables and JSON on standard output, without heavy imports."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence


def print_json(value: object) -> None:
    """JSON for programs."""
    # NaN is no JSON, and most parsers refuse it: an error here is a defect to be seen.
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """A table with aligned columns; on a terminal the last one is cut to its width."""
    widths = [max(len(c), *(len(str(r[c])) for r in rows)) for c in columns]
    # Never cut in a pipe or a file, where programs read the lines.
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    for row in ({c: c.upper() for c in columns}, *rows):
        line = "  ".join(str(row[c]).ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip()
        print(line if len(line) <= limit else line[: limit - 1] + "…")
