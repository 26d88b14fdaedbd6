"""Keep results on disk as they come, to resume interrupted predictions.

While a source is predicted, finished frames are kept in a hidden folder beside the result as parts: ordinary
prediction files in the core's own format, each put in place whole. Beside them ``journal.json`` says what
made them. When all frames are there, the final file is written from the parts, put in place, and the folder
is removed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pose_core.errors import PoseError
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import core_writer
from pose_core.io.files import disk_errors, parse_json, put_in_place, write_whole
from pose_core.io.locks import LOCK, FolderLock, HeldError
from pose_core.structures import Frame, IntArray

JOURNAL = "journal.json"
VERSION = 1

# A part is closed after a tenth of the time that this attempt has taken so far, within these limits, or after
# this many frames. A crash costs little early on, and long videos do not leave thousands of files.
PART_SECONDS = (0.25, 10.0)
PART_SHARE = 0.1
PART_FRAMES = 4096

_SIZES = "pose_core.sizes"


@dataclass(frozen=True)
class Sizes:
    """Sizes of the frames seen so far: none, one, or several (``mixed``)."""

    width: int = 0
    height: int = 0
    mixed: bool = False

    def including(self, sizes: frozenset[tuple[int, int]]) -> Sizes:
        """Add further ones."""
        result = self
        for width, height in sorted(sizes):
            if result.mixed or (result.width, result.height) not in ((0, 0), (width, height)):
                result = Sizes(0, 0, True)
            else:
                result = Sizes(width, height)
        return result

    def joined(self, other: Sizes) -> Sizes:
        """Add those of other frames."""
        if other.mixed:
            return other
        return self.including(frozenset([(other.width, other.height)] if other != Sizes() else []))

    def to_text(self) -> str:
        """``640x480``, ``0x0`` or ``mixed``."""
        return "mixed" if self.mixed else f"{self.width}x{self.height}"

    @classmethod
    def from_text(cls, text: str) -> Sizes:
        """Parse what :meth:`to_text` wrote."""
        if text == "mixed":
            return cls(0, 0, True)
        width, height = text.split("x")
        return cls(int(width), int(height))


def remove_leftover(folder: Path) -> None:
    """Remove the hidden folder of a result that is complete, unless a process works in it."""
    if folder.is_dir():
        # It is only in the way of nobody: on a disk that cannot be written (any more) it stays.
        with suppress(PoseError, OSError):
            lock = FolderLock(folder)
            lock.release()
            if lock.known:
                shutil.rmtree(folder)


def find_begun(folder: Path, maker: Mapping[str, object], key: str) -> object | None:
    """Find by what an unfinished result was begun, where its maker is the same but for that.

    Args:
        folder: the hidden folder; it may not exist.
        maker: as of :class:`Journal`.
        key: of the maker, which may differ.

    Returns:
        the value that the unfinished result has; None where there is none, or one that another maker began.
    """
    former = _read_maker(folder)
    if {**former, key: None} != {**_make_whole(maker), key: None}:
        return None
    return former.get(key)


def _read_maker(folder: Path) -> dict[str, object]:
    try:
        maker = parse_json((folder / JOURNAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return maker if isinstance(maker, dict) else {}


def _make_whole(maker: Mapping[str, object]) -> dict[str, object]:
    # Through JSON and back, so that it equals what was read from a file (tuples become lists).
    return dict(json.loads(json.dumps({"version": VERSION, **maker})))


class Journal:
    """The hidden folder of an unfinished result.

    Args:
        folder: the hidden folder; made if it does not exist.
        maker: what decides the numbers (weights, options, source): plain values. Parts of another maker are
            not used.
        header: of the result.
        numbers: of the frames, in order; None: all from 0.

    Attributes:
        note: one line about what was found on disk; None when there was nothing.
        sizes: of the frames so far.
        locked: whether the folder is locked; False on a file system that knows no locks.

    Raises:
        PoseError: another process works on it, or the disk is full or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        maker: Mapping[str, object],
        header: PredictionsHeader,
        numbers: Sequence[int] | IntArray | None = None,
    ) -> None:
        self.folder = folder
        self.note: str | None = None
        self.sizes = Sizes()
        self._header = header
        self._numbers = range(header.frames) if numbers is None else numbers
        self._writer = core_writer()
        self._parts: list[Path] = []
        self._done = 0
        self._waiting: list[Frame] = []
        self._began_at = self._closed_at = time.monotonic()
        with disk_errors(folder.parent):
            folder.mkdir(exist_ok=True)
            self._lock = _lock_folder(folder)
            self.locked = self._lock.known
            try:
                self._open(_make_whole(maker))
            except BaseException:
                self._lock.release()
                raise

    @property
    def done(self) -> int:
        """Number of frames that are kept, from the first."""
        return self._done

    def append(self, frames: Sequence[Frame], sizes: frozenset[tuple[int, int]]) -> None:
        """Keep the frames of one batch; they follow those kept before.

        Raises:
            PoseError: the disk is full.
        """
        due = self._done + len(self._waiting)
        if [f.index for f in frames] != list(self._numbers[due : due + len(frames)]):
            raise ValueError(f"frames {[f.index for f in frames]} come at place {due}, where others are due")
        self._waiting.extend(frames)
        self.sizes = self.sizes.including(sizes)
        now = time.monotonic()
        shortest, longest = PART_SECONDS
        due_after = min(max(PART_SHARE * (now - self._began_at), shortest), longest)
        if len(self._waiting) >= PART_FRAMES or now - self._closed_at >= due_after:
            self.flush()

    def flush(self) -> None:
        """Close the part that was begun.

        Raises:
            PoseError: the disk is full; what was kept before remains.
        """
        if self._waiting:
            # Places among the frames that are predicted, of fixed width: the names sort as the frames do.
            first, last = self._done, self._done + len(self._waiting) - 1
            path = self.folder / f"{first:010d}-{last:010d}.parquet"
            temporary = path.with_suffix(".new")
            metadata = {_SIZES: self.sizes.to_text()}
            with disk_errors(self.folder.parent):
                try:
                    self._writer.write(temporary, replace(self._header, metadata=metadata), self._waiting)
                    put_in_place(temporary, path)
                finally:
                    temporary.unlink(missing_ok=True)
            self._parts.append(path)
            self._done = last + 1
            self._waiting = []
        self._closed_at = time.monotonic()

    def last(self) -> Frame | None:
        """Read the last kept frame that was decoded; None before the first."""
        for part in reversed(self._parts):
            decoded = [frame for frame in self._writer.read(part) if frame.missing is None]
            if decoded:
                return decoded[-1]
        return None

    def frames(self) -> Iterator[Frame]:
        """Read all frames kept in parts, in order."""
        for part in self._parts:
            yield from self._writer.read(part)

    def parts(self) -> Iterator[tuple[int, Sizes, list[Frame]]]:
        """Read part after part: the place of its first frame, the sizes of its frames, the frames."""
        done = 0
        for part in self._parts:
            frames = list(self._writer.read(part))
            yield done, self._sizes_of(part) or Sizes(), frames
            done += len(frames)

    def remove(self) -> None:
        """Remove the folder."""
        self._lock.release()
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Leave the folder for another time."""
        self._lock.release()

    def _open(self, maker: dict[str, object]) -> None:
        path = self.folder / JOURNAL
        kept = [p for p in sorted(self.folder.iterdir()) if p.name != LOCK]
        former = _read_maker(self.folder)
        if former == maker:
            self._take_up(sorted(self.folder.glob("*.parquet")))
            if self._done:
                self.note = f"{self._done} frames were done before; going on from there"
            return
        for old in kept:
            _remove(old)
        if kept:
            differs = sorted(k for k in {*maker, *former} if former.get(k) != maker.get(k))
            self.note = f"an unfinished result made with other settings ({', '.join(differs)}) was discarded"
        write_whole(path, json.dumps(maker, indent=1, sort_keys=True))

    def _take_up(self, parts: list[Path]) -> None:
        """Use the parts that follow each other from the first frame; remove anything else."""
        for part in parts:
            first, _, last = part.stem.partition("-")
            numbered = first.isdecimal() and last.isdecimal() and int(first) == self._done <= int(last)
            sizes = self._sizes_of(part) if numbered and part.is_file() else None
            if sizes is None:
                _remove(part)
                continue
            self.sizes = sizes
            self._parts.append(part)
            self._done = int(last) + 1
        for left in self.folder.glob("*.new"):
            left.unlink()

    def _sizes_of(self, part: Path) -> Sizes | None:
        try:
            header = self._writer.read(part).header
            return Sizes.from_text(header.metadata[_SIZES])
        # A damaged part is no error: its frames are predicted again.
        except (PoseError, KeyError, ValueError, TypeError, AttributeError):
            return None


def _lock_folder(folder: Path) -> FolderLock:
    """Lock the hidden folder; one that holds nothing yet goes again where that fails."""
    try:
        return FolderLock(folder)
    except HeldError:
        raise
    except PoseError:
        with suppress(OSError):
            if [p.name for p in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
