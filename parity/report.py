"""The table of the comparison as a page of the documentation; the text around it is page.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compare import ALIVE, PIXELS, RAW, SCORE, Row

_COLUMNS = {
    "name": "---",
    "parameters, theirs": "--:",
    "ours": "--:",
    "height x width": "---",
    "images (drawn)": "--:",
    "animals": "--:",
    "raw": "--:",
    "px": "--:",
    "score": "--:",
    "alive": "--:",
    "result": "---",
}
"""Names of the columns, and how they are aligned."""
_HEAD = (f"| {' | '.join(_COLUMNS)} |", f"|{'|'.join(_COLUMNS.values())}|")


def write_report(rows: Sequence[Row], versions: str, path: Path) -> None:
    """Write the page.

    Args:
        versions: a line that says what was compared with what.
    """
    text = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    table = "\n".join([*_HEAD, *(_line(row) for row in rows)])
    bounds = {"raw": RAW, "pixels": PIXELS, "score": SCORE, "alive": ALIVE}
    path.write_text(text.format(table=table, versions=versions, **bounds), encoding="utf-8")


def _line(row: Row) -> str:
    sizes = ", ".join(dict.fromkeys(f"{h} x {w}" for h, w in row.sizes))
    if row.problem:
        cells = ["", "", sizes, "", "", "", "", "", "", f"**failed**: {row.problem.replace('|', '/')}"]
    else:
        cells = [
            f"{row.theirs:,}",
            f"{row.ours:,}",
            sizes,
            f"{row.images} ({row.drawn})",
            str(row.animals or ""),
            *(f"{value:.1e}" for value in (row.raw, row.pixels, row.score)),
            f"{row.alive:.2f}",
            "equal" if row.passed else "**differs**",
        ]
    return f"| {row.case.name} | {' | '.join(cells)} |"
