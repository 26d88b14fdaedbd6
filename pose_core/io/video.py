"""Read frames of videos by their numbers, decoded by FFmpeg (PyAV)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path

from av.video.frame import VideoFrame

from pose_core.errors import VideoError
from pose_core.io.frame_ranges import FrameRange
from pose_core.io.timeline import Timeline
from pose_core.io.video_decoder import DAMAGED, NO_KEY_FRAME, Decoded, VideoDecoder
from pose_core.io.video_index import find_index, load_index, save_index

_LOST = "not decodable: its data in the file are missing or damaged"

_ENDED = "the file ends before this frame"

_DAMAGE = (_LOST, _ENDED, DAMAGED)
"""Why a frame is missing, where others may refer to it."""

VIDEO_EXTENSIONS = frozenset(
    {
        ".mp4",
        ".avi",
        ".mov",
        ".mkv",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".webm",
        ".wmv",
        ".flv",
        ".ogv",
        ".gif",
        ".apng",
    }
)
"""Endings, in lower case, of the files in a folder that count as videos. A video given by its path may have
any."""


class VideoFile:
    """A video file with frames that have numbers and times.

    Frames are those of :mod:`pose_core.io.timeline`, in order of showing, in RGB, turned and mirrored as the
    file asks (as players do). A frame is missing where its data are damaged, where the file states it and
    does not hold it, and where it refers to a key frame that was cut off. Frames after a damaged one, up to
    the next one that refers to no other, are what the decoder makes of them; :meth:`find_doubtful` names them.

    Reading may begin at any frame, which is then the same to the bit as in a pass from the first: decoding begins
    at the key frame before it, found by its place in the file. Where a file cannot be sought like that, as a trial
    at its first key frame tells, it is decoded from its beginning; :attr:`unseekable` says why.

    Args:
        path: of the video.
        threads: of the decoder in :meth:`frames`; 0 lets FFmpeg choose.
        index: folder where :meth:`keep_index` puts what was read of the file, and where that is looked for; None:
            there is none.

    Attributes:
        path: of the video.
        width, height: of a frame in pixels, turned.
        stream: which of the file's streams it is.
        bits: of a sample, as the frames are stored.
        damaged: numbers of the damaged frames that :meth:`frames` has met so far.
        notes: a line for each thing that a user of the file should know and that is no damage.

    Raises:
        VideoError: the file is missing, is not a video, or none of its frames can be decoded.
    """

    def __init__(self, path: Path | str, threads: int = 1, index: Path | None = None) -> None:
        self.path = Path(path)
        self._index = index
        self.damaged: set[int] = set()
        self._walk: Iterator[Decoded] | None = None
        self._entered = self._due = 0
        self._lock, self._owner = threading.Lock(), os.getpid()
        self._decoder = VideoDecoder(self.path, threads)
        self.stream = self._decoder.stream
        self.bits = self._decoder.bits
        self.height, self.width = self._decoder.first.shape[:2]

    @cached_property
    def timeline(self) -> Timeline:
        """The frames, their packets and times. Reads the file once, without decoding where that tells."""
        if self._index is not None and (kept := load_index(find_index(self._index, self.path))) is not None:
            self._decoder.timeline, unseekable, tried = kept
            if tried:
                self._decoder.unseekable = unseekable
        return self._decoder.timeline

    @property
    def unseekable(self) -> str | None:
        """Why the file is decoded from its beginning whatever is wanted of it; None where it is not.

        Decodes up to the first key frames behind the first frame, once.
        """
        # An index that was kept knows it.
        _ = self.timeline
        return self._decoder.unseekable

    def keep_index(self) -> None:
        """Put what was read of the file into the folder for it, where there is one, for other processes.

        Raises:
            OSError: it cannot be written.
        """
        if self._index is not None:
            timeline, tried = self.timeline, self._decoder.tried
            unseekable = self._decoder.unseekable if tried else None
            save_index(find_index(self._index, self.path), timeline, unseekable, tried)

    def remove_index(self) -> None:
        """Remove what :meth:`keep_index` wrote; its folder, too, when it is empty."""
        if self._index is not None and self._index.is_dir():
            find_index(self._index, self.path).unlink(missing_ok=True)
            # Others may be at work there.
            with suppress(OSError):
                self._index.rmdir()

    @property
    def fps(self) -> float:
        """Average frames a second; 0 where the file does not say."""
        return self.timeline.fps

    @property
    def notes(self) -> list[str]:
        """What a user should know of a file that is whole."""
        found = []
        if self._decoder.others:
            found.append(
                f"holds {self._decoder.others + 1} videos; the one of {self.width} x {self.height} pixels, stream "
                f"{self._decoder.stream}, is read"
            )
        if (uneven := self.timeline.describe_unevenness()) is not None:
            found.append(uneven)
        return found

    def find_doubtful(self, missing: Mapping[str, Sequence[FrameRange]]) -> list[FrameRange]:
        """Find frames that were decoded after a damaged one which they refer to, and may show something wrong.

        Args:
            missing: ranges (first, last) of the frames that are missing, by the reason that :meth:`frames` gave;
                those that it has met itself are known.

        Returns:
            ranges (first, last).
        """
        ranges = (span for reason, spans in missing.items() if reason in _DAMAGE for span in spans)
        damaged = self.damaged.union(*(range(first, last + 1) for first, last in ranges))
        return self.timeline.after_damage(sorted(damaged))

    def frames(self, start: int = 0) -> Iterator[Decoded]:
        """Decode the video and yield each number from ``start`` on once, in order.

        Args:
            start: the first number. Decoding begins at the key frame before it.
        """
        timeline = self.timeline
        following, part = 0, -1
        entry = self._decoder.find_entry(start) if start < timeline.frames else 0
        if entry:
            # From the key frame on: what is lost between it and the first frame may spoil that one.
            following, part = int(timeline.numbers[entry]), timeline.part_of(entry)

        def fill(end: int) -> Iterator[Decoded]:
            for lost in range(following, end):
                reason = self._explain_missing(lost, part)
                if reason in _DAMAGE:
                    self.damaged.add(lost)
                if lost >= start:
                    yield lost, None, reason

        for number, frame, reason in self._decoder.frames_from(entry, self._decoder.threads):
            yield from fill(number)
            if reason is None:
                part = timeline.part_of(int(timeline.packets[number]))
            else:
                frame = None
                if reason in _DAMAGE:
                    self.damaged.add(number)
            if number >= start:
                yield number, frame, reason
            following = max(number + 1, following)
        yield from fill(timeline.frames)

    def _explain_missing(self, index: int, part: int) -> str:
        """Say why nothing came out of the decoder for a frame.

        Args:
            index: of the frame.
            part: the latest of which a frame was decoded; -1 for none.
        """
        timeline = self.timeline
        packet = int(timeline.packets[index])
        if packet < 0:
            return _LOST if (timeline.packets[index:] >= 0).any() else _ENDED
        if timeline.rootless[index]:
            return NO_KEY_FRAME
        # Of what follows a damaged key frame the decoder gives nothing.
        unbegun = timeline.part_of(packet) > part and not timeline.keys[packet]
        return NO_KEY_FRAME if unbegun else _LOST

    def decode(self, index: int) -> VideoFrame:
        """Decode one frame, the same to the bit as in :meth:`frames`; for :func:`~pose_core.io.frame_pictures.to_rgb`.

        Decoding goes on from the frame of the last call where that is nearest, else from the closest frame
        before
        that refers to no other: ask in increasing order where the order is free. May be called in any thread.

        Raises:
            VideoError: there is no such frame, or it is damaged.
        """
        if not 0 <= index < self.timeline.frames:
            raise VideoError(
                f"{self.path}: has no frame {index}; its frames are 0 to {self.timeline.frames - 1}"
            )
        if self._owner != os.getpid():
            # A forked process (a data loader's worker) shares the position
            # in the open file with its parent, and inherits a held lock.
            self._walk, self._lock, self._owner = None, threading.Lock(), os.getpid()
        with self._lock:
            entry = self._decoder.find_entry(index)
            walk, self._walk = self._walk, None
            if walk is None or entry > self._entered or index < self._due:
                walk, self._entered = self._decoder.frames_from(entry, 1), entry
            for number, frame, reason in walk:
                if number > index:
                    break
                if number == index:
                    self._walk, self._due = walk, number + 1
                    if frame is None or reason is not None:
                        raise VideoError(f"{self.path} frame {index}: {reason}")
                    return frame
        raise VideoError(
            f"{self.path} frame {index}: {self._explain_missing(index, len(self.timeline.parts))}"
        )


def open_video(path: Path) -> VideoFile:
    """Open a video to read single frames; the last eight stay open in each process.

    Raises:
        VideoError: the file is missing, is not a video, or none of its frames can be decoded.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise VideoError(
            f"{path}: cannot be read ({(error.strerror or str(error)).lower()}); check the path"
        ) from None
    return _open_version(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _open_version(path: Path, size: int, changed: int) -> VideoFile:
    """Open a video; size and time tell it from the one that it replaced."""
    return VideoFile(path)
