"""Read frames of videos by their numbers, decoded by FFmpeg (PyAV)."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path

import av
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pose_core.errors import VideoError
from pose_core.io.ffmpeg import open_container
from pose_core.io.files import is_text
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.frame_ranges import FrameRange
from pose_core.io.packets import PacketTable, choose_stream, count_videos, read_packets
from pose_core.io.timeline import CAREFUL_DECODERS, MARKING_DECODERS, Timeline, read_timeline
from pose_core.structures import ByteArray

_CONVERT = "convert it first: ffmpeg -i VIDEO -c:v libx264 -crf 10 converted.mp4"

_UNNUMBERED = f"its frames cannot be numbered, because it stores them in an unusual way; {_CONVERT}"

_LOST = "not decodable: its data in the file are missing or damaged"

NO_KEY_FRAME = "refers to a key frame that the file does not hold"
"""Why a frame is missing in a recording that was cut between two key frames."""

_ENDED = "the file ends before this frame"

# Only these containers store exact times beside an index to seek by; others are read from their beginning.
_SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")


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
    the next one that refers to no other, are what the decoder makes of them; :attr:`doubtful` names them.

    Args:
        path: of the video.
        threads: of the decoder in :meth:`frames`; 0 lets FFmpeg choose.

    Attributes:
        path: of the video.
        width, height: of a frame in pixels, turned.
        bits: of a sample, as the frames are stored.
        doubtful: once :meth:`frames` has come to its end: ranges (first, last) of frames that refer to a
            damaged one.
        notes: a line for each thing that a user of the file should know and that is no damage.

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
        self._stream: int | None = None
        container, stream = self._open()
        self._stream = stream.index
        videos = len(container.streams.video)
        if videos > 1:
            # To choose one, the file may have been read to its end.
            container.close()
            container, stream = self._open()
        with container:
            self._seekable = container.format.name in _SEEKABLE
            codec = stream.codec_context.name
            self._careful, self._marks_keys = codec in CAREFUL_DECODERS, codec in MARKING_DECODERS
            self._others = count_videos(container) - 1
            first = self._first_frame(container, stream)
        self.height, self.width = first.shape[:2]

    @cached_property
    def timeline(self) -> Timeline:
        """The frames, their packets and times. Reads the file once, without decoding where that tells."""
        container, stream = self._open()
        with container:
            return read_timeline(self.path, container, stream, self._decode_order)

    @property
    def fps(self) -> float:
        """Average frames a second; 0 where the file does not say."""
        return self.timeline.fps

    @property
    def notes(self) -> list[str]:
        """What a user should know of a file that is whole."""
        found = []
        if self._others:
            found.append(
                f"holds {self._others + 1} videos; the one of {self.width} x {self.height} pixels, stream "
                f"{self._stream}, is read"
            )
        if (uneven := self.timeline.describe_unevenness()) is not None:
            found.append(uneven)
        return found

    def frames(self, start: int = 0, seek: bool = False) -> Generator[Decoded]:
        """Decode the video and yield each number from ``start`` on once, in order.

        Args:
            start: the first number.
            seek: begin at the key frame before it where the file allows that, as :meth:`decode` does; frames are the
                same to the bit. Else at the beginning, so that all damage is known.
        """
        timeline = self.timeline
        damaged: list[int] = []
        following, part = 0, -1
        entry = self._find_entry(start) if seek and start else 0
        if entry:
            # From the key frame on: what is lost between it and the first frame may spoil that one.
            following, part = int(timeline.numbers[entry]), timeline.part_of(entry)

        def fill(end: int) -> Iterator[Decoded]:
            for lost in range(following, end):
                reason = self._explain_missing(lost, part)
                if reason != NO_KEY_FRAME:
                    damaged.append(lost)
                if lost >= start:
                    yield lost, None, reason

        try:
            for number, frame, reason in self._numbered_from(entry):
                yield from fill(number)
                if reason is None:
                    part = timeline.part_of(int(timeline.packets[number]))
                else:
                    frame = None
                    if reason != NO_KEY_FRAME:
                        damaged.append(number)
                if number >= start:
                    yield number, frame, reason
                following = max(number + 1, following)
            yield from fill(timeline.frames)
        finally:
            # Also of a reader that stops before the end.
            self.doubtful = timeline.after_damage(damaged)

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
        raise VideoError(
            f"{self.path} frame {index}: {self._explain_missing(index, len(self.timeline.parts))}"
        )

    def _find_entry(self, index: int) -> int:
        """Find the packet to decode frame ``index`` from: 0, or a key frame."""
        timeline = self.timeline
        packet = int(timeline.packets[index])
        if packet < 0 or not self._seekable:
            return 0
        start = int(timeline.parts[timeline.part_of(packet)])
        # Frames stored behind a key frame and shown before it may refer to what is stored before it.
        before = slice(start, packet + 1)
        keys = timeline.keys[before] & (timeline.numbers[before] >= 0) & (timeline.numbers[before] <= index)
        return start + int(np.flatnonzero(keys)[-1]) if keys.any() else 0

    def _numbered_from(self, entry: int) -> Iterator[Decoded]:
        """Decode from the frame in packet ``entry`` on, as :meth:`_numbered` does."""
        if entry > 0:
            numbers = self.timeline.numbers
            latest = int(numbers[entry]) - 1
            fresh = True
            for packet, frame, _ in self._decoded(1, entry):
                if frame is None or packet >= len(numbers) or numbers[packet] <= latest:
                    continue
                # No decoder can begin here: with H.264's intra refresh a picture becomes whole bit by bit.
                # Or the container calls each frame a key frame.
                if fresh and (packet != entry or (self._marks_keys and not frame.key_frame)):
                    break
                fresh = False
                latest = int(numbers[packet])
                yield latest, frame, _describe_damage(frame)
            if not fresh:
                return
            self._seekable = False
        yield from self._numbered()

    def _numbered(self) -> Iterator[Decoded]:
        """Yield (number, frame, None), or (number, None or frame, reason) for a damaged one, in order."""
        timeline = self.timeline
        numbers = timeline.numbers
        latest = begun = -1
        for packet, frame, _ in self._decoded(self._threads):
            # A frame that comes out after a later one was shown
            # (a decoder mending damage) has lost its place.
            if frame is None or packet >= len(numbers) or numbers[packet] <= latest:
                continue
            latest = int(numbers[packet])
            reason = _describe_damage(frame)
            if not self._careful:
                part = timeline.part_of(packet)
                first_key = timeline.first_keys[part]
                cut_off = first_key >= 0 and timeline.numbers[first_key] < 0
                marked = bool(timeline.keys[packet]) and not self._marks_keys
                if reason is None and (frame.key_frame or marked or cut_off):
                    begun = part
                # Shown before the key frame and stored behind it: the decoder has what it refers to.
                if reason is None and begun < part and not timeline.rootless[latest]:
                    reason = NO_KEY_FRAME
            yield latest, frame, reason

    def _decode_order(self, parts: Sequence[int]) -> list[int]:
        """Decode everything, to learn in which order the frames of the packets come out."""
        return [packet for packet, frame, _ in self._decoded(self._threads, parts=parts) if frame is not None]

    def _decoded(
        self, threads: int, entry: int = 0, parts: Sequence[int] | None = None
    ) -> Iterator[tuple[int, VideoFrame | None, str]]:
        """Decode from packet ``entry`` on; a decoder begins anew in each part.

        Yields:
            (packet, frame, "") as they come out of the decoder; (packet, None, reason) for one that it
            refuses. Nothing if ``entry`` is not 0 and cannot be found by seeking.
        """
        begins = set(self.timeline.parts.tolist() if parts is None else parts)
        # Such a decoder makes something of nothing, and refers to it later.
        skipped = np.zeros(0, bool) if parts is not None or self._careful else self.timeline.before_keys
        container, stream = self._open(threads)
        with container:
            context = stream.codec_context
            last = entry - 1
            packets = self._seek(container, stream, entry) if entry else _packets(container, stream)
            for packet in packets:
                drains: list[Packet[VideoStream] | None] = [packet]
                if packet is not None:
                    # The decoder hands a packet's time on to its
                    # frame, so the frame can say which packet it was.
                    last += 1
                    packet.pts, packet.dts = last, None
                    if last < len(skipped) and skipped[last]:
                        drains = []
                    if last in begins and last > entry:
                        drains.insert(0, None)
                for part in drains:
                    try:
                        frames = context.decode(part)
                    except av.FFmpegError as error:
                        yield last, None, f"not decodable: {(error.strerror or str(error)).lower()}"
                        if part is None and threads != 1:
                            # Draining several threads stops at the first damaged frame; one thread keeps the
                            # rest. Frames that come a second time are left out by their numbers.
                            yield from self._decoded(1, parts=parts)
                            return
                        frames = []
                    for frame in frames:
                        if frame.pts is None:
                            raise VideoError(f"{self.path}: {_UNNUMBERED}")
                        yield frame.pts, frame, ""
                    if part is None and packet is not None:
                        context.flush_buffers()

    def _seek(
        self, container: InputContainer, stream: VideoStream, entry: int
    ) -> Iterator[Packet[VideoStream] | None]:
        """Yield the packets from ``entry`` on, found by its time; none if seeking leads elsewhere."""
        table = self.timeline.table
        # AVI files are indexed by the places of packets.
        times = table.decoded_at if container.format.name == "avi" else table.shown_at
        if np.isnan(times[entry]):
            return
        try:
            container.seek(int(times[entry]), stream=stream)
        except av.FFmpegError:
            return
        at = -1
        for packet in _packets(container, stream):
            if at < 0:
                at = _find_packet(table, packet)
                if not 0 <= at <= entry:
                    return
            if at == entry and (packet is None or packet.pos != table.position[entry]):
                return
            if at >= entry:
                yield packet
            at += 1

    def _open(self, threads: int = 1) -> tuple[InputContainer, VideoStream]:
        # FFmpeg would draw a .txt file as the frames of a terminal, and follow the paths in a playlist.
        if is_text(self.path):
            raise VideoError(f"{self.path}: is a text file, neither a video nor an image; name another file")
        try:
            container = open_container(self.path)
        except (av.FFmpegError, OSError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise VideoError(
                f"{self.path}: cannot be opened as a video ({reason}); play it to see whether it is complete"
            ) from None
        stream = choose_stream(container) if self._stream is None else container.streams[self._stream]
        if not isinstance(stream, VideoStream):
            container.close()
            raise VideoError(f"{self.path}: holds no video; choose a video file")
        # PyAV has no such case in its types: the codec is one that FFmpeg does not know.
        if getattr(stream, "codec_context", None) is None:
            container.close()
            raise VideoError(f"{self.path}: is in a codec that cannot be decoded; {_CONVERT}")
        stream.thread_type = ThreadType.NONE if threads == 1 else ThreadType.AUTO
        stream.thread_count = threads
        return container, stream

    def _first_frame(self, container: InputContainer, stream: VideoStream) -> ByteArray:
        for packet in _packets(container, stream):
            try:
                for frame in stream.codec_context.decode(packet):
                    self.bits = frame.format.components[0].bits
                    return to_rgb(frame)
            except av.FFmpegError:
                continue
        raise VideoError(
            f"{self.path}: none of its frames can be decoded; play it to see whether it is complete"
        )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream] | None]:
    """Yield the packets of a stream, then None to drain the decoder.

    A file that breaks off ends there: the timeline, which stops at an error, too, counts what is missing.
    """
    with suppress(av.FFmpegError):
        yield from read_packets(container, stream)
    yield None


def _find_packet(table: PacketTable, packet: Packet[VideoStream] | None) -> int:
    """Find a packet by its place in the file; -1 if it is not there."""
    if packet is None or packet.pos is None or packet.pos < 0:
        return -1
    found = np.flatnonzero(table.position == packet.pos)
    return int(found[0]) if len(found) == 1 else -1


def _describe_damage(frame: VideoFrame) -> str | None:
    return "damaged: the decoder met errors in it" if frame.is_corrupt else None


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
