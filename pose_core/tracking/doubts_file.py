"""Write the moments in which a swap is likely beside a result, as a table of text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pose_core.escapes import escape_line
from pose_core.io.files import disk_errors, write_whole
from pose_core.tracking.doubts import Doubts

ENDING, REPORT_ENDING = ".doubts.csv", ".report.html"
COLUMNS = ("frame", "first_frame", "last_frame", "tracks", "kind", "need", "look")


def name_doubts(result: Path) -> Path:
    """Name the file of doubts of a result."""
    return result.with_name(f"{result.stem}{ENDING}")


def name_report(result: Path) -> Path:
    """Name the report of a result."""
    return result.with_name(f"{result.stem}{REPORT_ENDING}")


def write_doubts(result: Path, doubts: Doubts) -> Path:
    """Write the doubts of a result beside it, the greatest need first; ids of tracks are separated by spaces.

    Returns:
        the file.

    Raises:
        PoseError: the disk is full.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for doubt in doubts.found:
        tracks = " ".join(map(str, doubt.tracks))
        table.writerow(
            (doubt.frame, doubt.first, doubt.last, tracks, doubt.kind, f"{doubt.need:.3f}", doubt.look)
        )
    path = name_doubts(result)
    with disk_errors(path.parent, "run the command again"):
        write_whole(path, text.getvalue())
    return path


def describe_doubts(result: Path, doubts: Doubts) -> str:
    """Say in a line how many moments there are, and where they are listed."""
    count = len(doubts.found)
    if not count:
        return "no moment in which a swap is likely"
    moments = "1 moment" if count == 1 else f"{count} moments"
    more = f", and {doubts.left_out} more with less need are left out" if doubts.left_out else ""
    return f"{moments} to look at in {escape_line(name_doubts(result))}{more}"
