"""Parts: ranges of frames that are done, as files that appear whole or not at all.

A part ``FIRST-LAST.MARK.parquet`` holds the frames at these places, in the core's own format; the mark is that of the
plan (run, settings, versions). It is written under a name of its own and then linked to the final one, which fails
where there is a part already: the first counts. Workers that stop early leave a part of their range, and the next
goes on behind it, so parts may overlap; frames at one place are the same in each, or were made on other machines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from pose_core.errors import DataError, PoseError
from pose_core.interfaces.prediction_files import core_writer
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.io.files import link_in_place, parse_json, put_in_place
from pose_core.structures import Frame
from pose_core.workers.disk import DISK, Disk

_NAME = re.compile(r"(?P<first>\d{10})-(?P<last>\d{10})\.(?P<mark>[0-9a-f]{8})\.parquet")
_METADATA = "pose_core.part"

Span = tuple[int, int]
"""Places of frames, the first and the last."""


@dataclass(frozen=True, order=True)
class Part:
    """Frames at some places, on disk.

    Attributes:
        first, last: places among the frames that are predicted, both included.
        path: of the file.
    """

    first: int
    last: int
    path: Path


@dataclass(frozen=True)
class Reach:
    """Frames of a part that are used.

    Attributes:
        part: of which they are.
        first: place of the first of them; all to the end of the part are used.
    """

    part: Part
    first: int


class DamagedPartError(PoseError):
    """A part cannot be read and was removed, or is not there; it is made again."""


def name_range(first: int, last: int) -> str:
    """Name a range of places; names sort as the places do."""
    return f"{first:010d}-{last:010d}"


def make_part(folder: Path, span: Span, mark: str) -> Part:
    """Say which part it is that holds the frames of a range."""
    return Part(*span, folder / f"{name_range(*span)}.{mark}.parquet")


def list_spans(folder: Path, mark: str, disk: Disk = DISK) -> list[Span]:
    """List which frames the parts of one plan hold, by their places; parts of others are left alone."""
    try:
        names = disk.list_names(folder)
    except FileNotFoundError:
        return []
    # Names sort as the places do, and faster.
    found = map(_NAME.fullmatch, sorted(names))
    return [(int(match["first"]), int(match["last"])) for match in found if match and match["mark"] == mark]


def list_parts(folder: Path, mark: str, disk: Disk = DISK) -> list[Part]:
    """List the parts of one plan, by their places."""
    return [make_part(folder, span, mark) for span in list_spans(folder, mark, disk)]


def cover(parts: Sequence[Part], first: int, last: int) -> tuple[list[Reach], int]:
    """Choose parts that hold the frames from one place on without a gap.

    Args:
        parts: by their places.
        first, last: places to be covered.

    Returns:
        frames to be used, one after the other; the place up to which they reach, not included.
    """
    found: list[Reach] = []
    due, rest = first, 0
    while due <= last:
        best: Part | None = None
        while rest < len(parts) and parts[rest].first <= due:
            if best is None or parts[rest].last > best.last:
                best = parts[rest]
            rest += 1
        if best is None or best.last < due:
            break
        found.append(Reach(best, due))
        due = best.last + 1
    return found, due


def find_unfinished(done: Sequence[Span], ranges: Iterable[Span]) -> list[Span]:
    """Find the ranges of which parts do not hold every frame.

    Args:
        done: what :func:`list_spans` found.
        ranges: likewise places (first, last), both included, one range after the other.
    """
    found: list[Span] = []
    due = rest = 0
    # Once through the parts for all ranges: a video may have thousands of both.
    for first, last in ranges:
        # A gap before the range does not matter.
        while rest < len(done) and done[rest][0] <= max(first, due):
            due = max(due, done[rest][1] + 1)
            rest += 1
        if due <= last:
            found.append((first, last))
    return found


def publish(
    folder: Path,
    first: int,
    mark: str,
    worker: str,
    header: PredictionsHeader,
    frames: Sequence[Frame],
    notes: Mapping[str, object],
    links: bool = True,
) -> bool:
    """Put a part in place.

    Args:
        folder: of the parts of the video.
        first: place of the first frame.
        mark: of the plan.
        worker: that made it, for a name that no other uses.
        header: of the predictions.
        frames: one after the other.
        notes: plain values that the join needs, and about the worker.
        links: whether the file system knows hard links; without, nobody else may work there.

    Returns:
        False where another worker was first; its part counts.

    Raises:
        OSError: the disk is full or fails; nothing is in place then.
    """
    # Not its parents: where the plan was removed, nothing of it is made again.
    folder.mkdir(exist_ok=True)
    name = name_range(first, first + len(frames) - 1)
    final = folder / f"{name}.{mark}.parquet"
    temporary = folder / f".{name}.{worker}.new"
    metadata = {**header.metadata, _METADATA: json.dumps(notes)}
    try:
        core_writer().write(temporary, replace(header, metadata=metadata), frames)
        if links:
            return link_in_place(temporary, final)
        put_in_place(temporary, final)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def read_header(part: Part) -> tuple[PredictionsHeader, dict[str, object]]:
    """Read the header of the predictions, and the notes about a part.

    Raises:
        DamagedPartError: it cannot be read.
    """
    try:
        header = core_writer().read(part.path).header
        notes = parse_json(header.metadata[_METADATA])
        if not isinstance(notes, dict):
            raise ValueError("no notes")
    except (DataError, KeyError, ValueError) as error:
        raise _discard(part, error) from None
    metadata = {key: value for key, value in header.metadata.items() if key != _METADATA}
    return replace(header, metadata=metadata), notes


def read_frames(reaches: Sequence[Reach]) -> Iterator[Frame]:
    """Read frames of parts one after the other; memory does not grow with their number.

    Raises:
        DamagedPartError: a part cannot be read, or holds other frames than its name says.
    """
    for reach in reaches:
        part = reach.part
        expected = part.last - reach.first + 1
        count = 0
        try:
            for frame in islice(core_writer().read(part.path), reach.first - part.first, None):
                count += 1
                yield frame
        except DataError as error:
            raise _discard(part, error) from None
        if count != expected:
            raise _discard(part, f"holds {count} of {expected} frames")


def read_last_decoded(reaches: Sequence[Reach]) -> Frame | None:
    """Read the last frame that was decoded; None before the first."""
    for reach in reversed(reaches):
        decoded = [frame for frame in read_frames([reach]) if frame.missing is None]
        if decoded:
            return decoded[-1]
    return None


def _discard(part: Part, why: object) -> DamagedPartError:
    part.path.unlink(missing_ok=True)
    return DamagedPartError(f"{part.path}: a damaged part ({why}); it was removed and is made again")
