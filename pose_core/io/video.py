"""Read frames of videos by their numbers, decoded by FFmpeg (PyAV)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pose_core.errors import VideoError
from pose_core.io.files import is_text
from pose_core.io.frame_ranges import FrameRange
from pose_core.io.timeline import Timeline, read_timeline
from pose_core.structures import ByteArray

# No codec holds back more frames than this to put them into order.
_LONGEST_REORDERING = 64

_UNNUMBERED = (
    "its frames cannot be numbered, because it stores them in an unusual way; convert it first: "
    "ffmpeg -i VIDEO -c:v libx264 -crf 10 converted.mp4"
)

_LOST = "not decodable: its data in the file are missing or damaged"

# Only these containers store exact times beside an index to seek by; others are read from their beginning.
_SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")


class _Converters(threading.local):
    """A converter for each thread: creating one is slow, and no two threads may use the same."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_local = _Converters()

Decoded = tuple[int, VideoFrame | None, str | None]
"""Number of a frame, and the frame; or None and the reason why it is missing."""

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
    }
)
"""Endings, in lower case, of the files in a folder that count as videos. A video given by its path may have
any."""


class VideoFile:
    """A video file with numbered frames.

    Frames come as they are shown: in order of presentation, with the rotation that the file asks for applied
    (as OpenCV and players do), in RGB. A frame whose data are damaged is missing; so are frames that the file
    declares and does not hold. Frames after it, up to the next one that refers to no other, are what the
    decoder makes of them; :attr:`doubtful` names them.

    In AVI files with reordered (B-) frames, which store no times, a damaged frame may be reported up to a few
    numbers beside its place; frames before and after are numbered right.

    Args:
        path: of the video.
        threads: of the decoder in :meth:`frames`; 0 lets FFmpeg choose.

    Attributes:
        path: of the video.
        width, height: of a frame in pixels, rotated.
        fps: frames a second; 0 where the file does not say.
        doubtful: once :meth:`frames` has come to its end: ranges (first, last) of frames that refer to a
            damaged one.

    Raises:
        VideoError: the file is missing, is not a video, or none of its frames can be decoded.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self.path = Path(path)
        self._threads = threads
        self.doubtful: list[FrameRange] = []
        self._walk: Iterator[Decoded] | None = None
        self._entered = self._due = 0
        self._lock, self._owner = threading.Lock(), os.getpid()
        if not self.path.exists():
            raise VideoError(f"{path}: no such file; check the path")
        container, stream = self._open()
        with container:
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else 0.0
            self._seekable = container.format.name in _SEEKABLE
            first = self._first_frame(container, stream)
        self.height, self.width = first.shape[:2]

    @cached_property
    def timeline(self) -> Timeline:
        """The number of the frame in each packet. Reads the file once, without decoding."""
        container, stream = self._open()
        with container:
            return read_timeline(container, stream)

    def frames(self, start: int = 0) -> Iterator[Decoded]:
        """Decode the video from its beginning and yield each number from ``start`` on once, in order."""
        timeline = self.timeline
        frames = timeline.frames
        missing: list[int] = []
        following = 0
        for number, frame, reason in self._numbered():
            for lost in range(following, number):
                missing.append(lost)
                if lost >= start:
                    yield lost, None, _LOST
            if frame is None or reason is not None:
                missing.append(number)
                frame = None
            if number >= start:
                yield number, frame, reason
            following = number + 1
        held = frames - timeline.lost
        missing.extend(range(following, frames))
        self.doubtful = timeline.after_damage(missing)
        for lost in range(max(following, start), frames):
            ends = (
                "the file ends before this frame" if lost >= held else "not decodable: its data are damaged"
            )
            yield lost, None, ends

    def decode(self, index: int) -> VideoFrame:
        """Decode one frame, the same to the bit as in :meth:`frames`; for :func:`to_rgb`.

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
            entry = self._find_entry(index)
            walk, self._walk = self._walk, None
            if walk is None or entry > self._entered or index < self._due:
                walk, self._entered = self._numbered_from(entry), entry
            for number, frame, reason in walk:
                if number > index:
                    break
                if number == index:
                    self._walk, self._due = walk, number + 1
                    if frame is None or reason is not None:
                        raise VideoError(f"{self.path} frame {index}: {reason}")
                    return frame
        raise VideoError(f"{self.path} frame {index}: {_LOST}")

    def _find_entry(self, index: int) -> int:
        """Find the packet to decode frame ``index`` from: 0, or a key frame."""
        timeline = self.timeline
        if timeline.numbers is None or not self._seekable or index not in timeline.numbers:
            return 0
        packet = int(np.flatnonzero(timeline.numbers == index)[0])
        # Frames stored behind a key frame and shown before it may refer to what is stored before it.
        keys = timeline.keys[: packet + 1] & (timeline.times[: packet + 1] <= timeline.times[packet])
        return int(np.flatnonzero(keys)[-1]) if keys.any() else 0

    def _numbered_from(self, entry: int) -> Iterator[Decoded]:
        """Decode from the frame in packet ``entry`` on, as :meth:`_numbered` does."""
        if entry > 0:
            timeline = self.timeline
            assert timeline.numbers is not None
            latest = int(timeline.numbers[entry]) - 1
            fresh = True
            for packet, frame, _ in self._decoded(1, entry):
                if frame is None or packet >= len(timeline.numbers) or timeline.numbers[packet] <= latest:
                    continue
                # No decoder can begin here: with H.264's intra refresh a picture becomes whole bit by bit.
                if fresh and packet != entry:
                    break
                fresh = False
                latest = int(timeline.numbers[packet])
                yield latest, frame, _describe_damage(frame)
            if not fresh:
                return
            self._seekable = False
        yield from self._numbered()

    def _numbered(self) -> Iterator[Decoded]:
        """Yield (number, frame, None), or (number, None, reason) for a damaged one, in order."""
        if self.timeline.numbers is not None:
            numbers = self.timeline.numbers
            latest = -1
            for packet, frame, _ in self._decoded(self._threads):
                # A frame that comes out after a later one was shown
                # (a decoder mending damage) has lost its place.
                if frame is None or packet >= len(numbers) or numbers[packet] <= latest:
                    continue
                latest = int(numbers[packet])
                yield latest, frame, _describe_damage(frame)
            return
        number = 0
        waiting: set[int] = set()
        seen = -1
        for packet, frame, reason in self._decoded(self._threads):
            waiting.update(range(seen + 1, packet + 1))
            seen = max(seen, packet)
            waiting.discard(packet)
            for old in sorted(p for p in waiting if p < packet - _LONGEST_REORDERING):
                waiting.discard(old)
                yield number, None, "not decodable: its data are damaged"
                number += 1
            if number >= self.timeline.frames:
                raise VideoError(f"{self.path}: {_UNNUMBERED}")
            yield number, frame, reason if frame is None else _describe_damage(frame)
            number += 1

    def _decoded(self, threads: int, entry: int = 0) -> Iterator[tuple[int, VideoFrame | None, str]]:
        """Decode from packet ``entry`` on.

        Yields:
            (packet, frame, "") as they come out of the decoder; (packet, None, reason) for one that it
            refuses. Nothing if ``entry`` is not 0 and cannot be found by seeking.
        """
        container, stream = self._open(threads)
        with container:
            context = stream.codec_context
            last = entry - 1
            packets = _packets(container, stream)
            if entry:
                packets = self._seek(container, stream, entry)
            for packet in packets:
                if packet is not None:
                    # The decoder hands a packet's time on to its
                    # frame, so the frame can say which packet it was.
                    last += 1
                    packet.pts, packet.dts = last, None
                try:
                    frames = context.decode(packet)
                except av.FFmpegError as error:
                    yield last, None, f"not decodable: {(error.strerror or str(error)).lower()}"
                    if packet is None and threads != 1 and self.timeline.numbers is not None:
                        # Draining several threads stops at the first damaged frame; one thread keeps the
                        # rest. Frames that come a second time are left out by their numbers.
                        yield from self._decoded(threads=1)
                    continue
                for frame in frames:
                    if frame.pts is None:
                        raise VideoError(f"{self.path}: {_UNNUMBERED}")
                    yield frame.pts, frame, ""

    def _seek(
        self, container: InputContainer, stream: VideoStream, entry: int
    ) -> Iterator[Packet[VideoStream] | None]:
        """Yield the packets from ``entry`` on, found by its time; none if seeking leads elsewhere."""
        times = self.timeline.times
        try:
            container.seek(int(times[entry]), stream=stream)
        except av.FFmpegError:
            return
        at = -1
        for packet in _packets(container, stream):
            if at < 0:
                at = _find_packet(times, packet)
                if not 0 <= at <= entry:
                    return
            if at == entry and (packet is None or packet.pts != times[entry]):
                return
            if at >= entry:
                yield packet
            at += 1

    def _open(self, threads: int = 1) -> tuple[InputContainer, VideoStream]:
        # FFmpeg would draw a .txt file as the frames of a terminal, and follow the paths in a playlist.
        if is_text(self.path):
            raise VideoError(f"{self.path}: is a text file, neither a video nor an image; name another file")
        try:
            container = av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise VideoError(
                f"{self.path}: cannot be opened as a video ({reason}); play it to see whether it is complete"
            ) from None
        if not container.streams.video:
            container.close()
            raise VideoError(f"{self.path}: holds no video; choose a video file")
        stream = container.streams.video[0]
        stream.thread_type = ThreadType.NONE if threads == 1 else ThreadType.AUTO
        stream.thread_count = threads
        return container, stream

    def _first_frame(self, container: InputContainer, stream: VideoStream) -> ByteArray:
        for packet in _packets(container, stream):
            try:
                for frame in stream.codec_context.decode(packet):
                    return to_rgb(frame)
            except av.FFmpegError:
                continue
        raise VideoError(
            f"{self.path}: none of its frames can be decoded; play it to see whether it is complete"
        )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream] | None]:
    """Yield the packets of a stream, then None to drain the decoder.

    A file that breaks off ends there.
    """
    packets = container.demux(stream)
    while True:
        packet: Packet[VideoStream] | None
        # read_timeline, which stops at an error, too, counts what is missing.
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None
        if packet is None:
            break
        if packet.size:
            yield packet
    yield None


def _find_packet(times: npt.NDArray[np.float64], packet: Packet[VideoStream] | None) -> int:
    """Find a packet in the timeline by its time; -1 if it is not there."""
    if packet is None or packet.pts is None:
        return -1
    found = np.flatnonzero(times == packet.pts)
    return int(found[0]) if len(found) else -1


def _describe_damage(frame: VideoFrame) -> str | None:
    return "damaged: the decoder met errors in it" if frame.is_corrupt else None


def to_rgb(frame: VideoFrame) -> ByteArray:
    """Convert a decoded frame to (H, W, 3) uint8 RGB, rotated as the file asks.

    May be called in any thread.
    """
    converted = _local.reformatter.reformat(frame, format="rgb24", threads=1)
    image: ByteArray = np.asarray(converted.to_ndarray(), np.uint8)
    if quarters := round(frame.rotation / 90) % 4:
        image = np.ascontiguousarray(np.rot90(image, quarters))
    return image


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
