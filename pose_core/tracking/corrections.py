"""What a person decided about tracks: from a frame on, a track is another animal.

Tracks are those of the same command without corrections, and so are the numbers of animals; a row says nothing of other
rows, and their order means nothing. A row holds until another one says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pose_core.errors import DataError, listed
from pose_core.interfaces.tracker import Tracklet
from pose_core.io.text import TextTable

COLUMNS = ("frame", "track", "should_be")


@dataclass(frozen=True)
class Correction:
    """One decision.

    Attributes:
        frame: number of the frame from which on it holds.
        track: as it is numbered without corrections.
        should_be: which track it is in truth.
        place: what messages call it by, such as the line of its file.
    """

    frame: int
    track: int
    should_be: int
    place: str = ""

    def __str__(self) -> str:
        return f"{self.place or 'correction'} ({self.frame}, {self.track}, {self.should_be})"


GivenCorrections = Path | str | Sequence["Correction | tuple[int, int, int]"] | None


def find_corrections(given: GivenCorrections) -> tuple[Correction, ...]:
    """Read corrections from a CSV file, or take those that are given one by one.

    Raises:
        DataError: the file has other columns, a row is no correction, or two rows contradict each other.
    """
    if given is None:
        return ()
    if isinstance(given, Path | str):
        found = _read_file(Path(given))
        if not found:
            raise DataError(f"{given}: has no row; write one for each correction")
    else:
        found = [
            row if isinstance(row, Correction) else Correction(row[0], row[1], row[2], f"correction {number}")
            for number, row in enumerate(given)
        ]
    for number, row in enumerate(found):
        for other in found[:number]:
            if (row.frame, row.track, row.should_be) == (other.frame, other.track, other.should_be):
                raise DataError(f"{row}: says the same as {other}; leave one out")
            if row.frame == other.frame:
                _refuse_both(other, row, row.track == other.track, row.should_be == other.should_be)
    return tuple(sorted(found, key=lambda row: (row.frame, row.track)))


def _refuse_both(one: Correction, other: Correction, same_track: bool, same_animal: bool) -> None:
    if same_track:
        raise DataError(f"{other}: contradicts {one}: a track is one animal at a time; leave one out")
    if same_animal:
        raise DataError(f"{other}: contradicts {one}: two tracks are not one animal at a time; leave one out")


def _read_file(path: Path) -> list[Correction]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; write a table with the columns {', '.join(COLUMNS)}")
    table = TextTable(path, lambda cells: COLUMNS[0] in cells)
    rows = list(table)
    columns = [cell.strip() for cell in rows.pop(0)[1]] if rows else []
    if sorted(columns) != sorted(COLUMNS):
        raise DataError(
            f"{path}: needs the columns {', '.join(COLUMNS)}, and no others; it has {', '.join(columns) or 'none'}"
        )
    found = []
    for line, cells in rows:
        place = f"{path} line {line}"
        try:
            values = dict(zip(columns, map(table.parse_number, cells), strict=True))
            numbers = [int(values[name]) for name in COLUMNS]
            # Tools that write all columns as floats give frame 12 as "12.0".
            if any(
                number < 0 or number != values[name] for name, number in zip(COLUMNS, numbers, strict=True)
            ):
                raise ValueError
        except (ValueError, OverflowError):
            raise DataError(
                f"{place}: needs three whole numbers of 0 or more: {', '.join(COLUMNS)}; correct it"
            ) from None
        frame, track, should_be = numbers
        found.append(Correction(frame, track, should_be, place))
    return found


@dataclass(frozen=True)
class Decision:
    """A correction, put as one of tracklets.

    Attributes:
        frame: from which on it holds; tracklets are cut there.
        tracklet: the one that is another animal's.
        animal: whose.
        correction: what it was made of.
    """

    frame: int
    tracklet: int
    animal: int
    correction: Correction


def decide(
    corrections: Sequence[Correction],
    tracklets: Sequence[Tracklet],
    tracks: Mapping[int, int],
    animals: int,
    frames: tuple[int, int],
    name: str,
) -> list[Decision]:
    """Find the tracklets that corrections are of.

    A track that is not seen in the frame of a correction is meant from where it is seen next.

    Args:
        corrections: by frame.
        tracklets: all of them, by their first frames.
        tracks: id of a tracklet -> its track without corrections.
        animals: how many there are.
        frames: the first and the last one.
        name: of the predictions, for messages.

    Returns:
        decisions, by frame.

    Raises:
        DataError: there is no such frame, track or animal, or two corrections contradict each other.
    """
    pieces: dict[int, list[Tracklet]] = {}
    for tracklet in tracklets:
        if (track := tracks.get(tracklet.id, -1)) >= 0:
            pieces.setdefault(track, []).append(tracklet)
    found: list[Decision] = []
    for row in corrections:
        if not frames[0] <= row.frame <= frames[1]:
            raise DataError(
                f"{row}: {name} has no frame {row.frame}, only {frames[0]} to {frames[1]}; correct it"
            )
        if row.track not in pieces:
            ids = listed([str(track) for track in sorted(pieces)], ", ")
            raise DataError(f"{row}: {name} has no track {row.track}, only {ids}; correct it")
        if row.should_be >= animals:
            raise DataError(
                f"{row}: there is no animal {row.should_be} where there are {animals}, from 0 on; correct it"
            )
        later = [piece for piece in pieces[row.track] if piece.last.frame >= row.frame]
        if not later:
            last = max(piece.last.frame for piece in pieces[row.track])
            raise DataError(f"{row}: track {row.track} is seen last in frame {last}; correct it")
        piece = min(later, key=lambda piece: piece.first.frame)
        found.append(Decision(max(row.frame, piece.first.frame), piece.id, row.should_be, row))
    found.sort(key=lambda decision: (decision.frame, decision.tracklet))
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            if one.frame == other.frame:
                _refuse_both(
                    one.correction,
                    other.correction,
                    one.tracklet == other.tracklet,
                    one.animal == other.animal,
                )
    return found


class Cuts:
    """Tracklets that end at frames, and go on under other ids.

    Args:
        frames: at which all tracklets are cut that are seen before and from there on.
        tracklets: all of them.
    """

    def __init__(self, frames: Sequence[int], tracklets: Sequence[Tracklet]) -> None:
        self._pieces: dict[int, list[tuple[int, int]]] = {}
        free = max((tracklet.id for tracklet in tracklets), default=-1) + 1
        for tracklet in tracklets:
            for frame in sorted(set(frames)):
                if tracklet.first.frame < frame <= tracklet.last.frame:
                    self._pieces.setdefault(tracklet.id, []).append((frame, free))
                    free += 1

    def rename(self, tracklet: int, frame: int) -> int:
        """Name the piece of a tracklet that a frame is in."""
        renamed = tracklet
        for begin, piece in self._pieces.get(tracklet, ()):
            if frame >= begin:
                renamed = piece
        return renamed

    def list_continuations(self, frame: int) -> dict[int, int]:
        """List the tracklets that are cut at a frame: the piece before -> the piece from there on."""
        found = {}
        for tracklet, pieces in self._pieces.items():
            before = tracklet
            for begin, piece in pieces:
                if begin == frame:
                    found[before] = piece
                before = piece
        return found
