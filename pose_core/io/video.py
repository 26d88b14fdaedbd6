"""Read frames of videos by their numbers, decoded by FFmpeg (PyAV)."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from itertools import chain, islice
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
from pose_core.io.video_index import find_index, load_index, save_index
from pose_core.structures import ByteArray

_CONVERT = "convert it first: ffmpeg -i VIDEO -c:v libx264 -crf 10 converted.mp4"

_UNNUMBERED = f"its frames cannot be numbered, because it stores them in an unusual way; {_CONVERT}"

_LOST = "not decodable: its data in the file are missing or damaged"

NO_KEY_FRAME = "refers to a key frame that the file does not hold"
"""Why a frame is missing in a recording that was cut between two key frames."""

_ENDED = "the file ends before this frame"

_DAMAGED = "damaged: the decoder met errors in it"

_DAMAGE = (_LOST, _ENDED, _DAMAGED)
"""Why a frame is missing, where others may refer to it."""

# A demuxer that is sent to a time may come out behind it; then it is sent to key frames before that one.
_TRIES = 4
# Packets that a demuxer may give before the first that it reads whole.
_STRANGERS = 64
# A file is tried at its first key frames, as far as these are near, by some pictures behind each.
_TRIED, _NEAR, _COMPARED = 2, 1000, 16

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
        bits: of a sample, as the frames are stored.
        damaged: numbers of the damaged frames that :meth:`frames` has met so far.
        notes: a line for each thing that a user of the file should know and that is no damage.

    Raises:
        VideoError: the file is missing, is not a video, or none of its frames can be decoded.
    """

    def __init__(self, path: Path | str, threads: int = 1, index: Path | None = None) -> None:
        self.path = Path(path)
        self._threads = threads
        self._index = index
        self.damaged: set[int] = set()
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
            codec = stream.codec_context.name
            self._careful, self._marks_keys = codec in CAREFUL_DECODERS, codec in MARKING_DECODERS
            self._others = count_videos(container) - 1
            first = self._first_frame(container, stream)
        self.height, self.width = first.shape[:2]

    @cached_property
    def timeline(self) -> Timeline:
        """The frames, their packets and times. Reads the file once, without decoding where that tells."""
        if self._index is not None and (kept := load_index(find_index(self._index, self.path))) is not None:
            timeline, unseekable, tried = kept
            if tried:
                self.__dict__["unseekable"] = unseekable
            return timeline
        container, stream = self._open()
        with container:
            return read_timeline(self.path, container, stream, self._decode_order)

    @cached_property
    def unseekable(self) -> str | None:
        """Why the file is decoded from its beginning whatever is wanted of it; None where it is not.

        Decodes up to the first key frame behind the first frame, once.
        """
        return self._find_obstacle()

    def keep_index(self) -> None:
        """Put what was read of the file into the folder for it, where there is one, for other processes.

        Raises:
            OSError: it cannot be written.
        """
        if self._index is not None:
            tried = "unseekable" in self.__dict__
            save_index(
                find_index(self._index, self.path), self.timeline, self.unseekable if tried else None, tried
            )

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
        if self._others:
            found.append(
                f"holds {self._others + 1} videos; the one of {self.width} x {self.height} pixels, stream "
                f"{self._stream}, is read"
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
        entry = self._find_entry(start) if start < timeline.frames else 0
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

        for number, frame, reason in self._numbered_from(entry, self._threads):
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
            entry = self._find_entry(index)
            walk, self._walk = self._walk, None
            if walk is None or entry > self._entered or index < self._due:
                walk, self._entered = self._numbered_from(entry, 1), entry
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
        packet = int(self.timeline.packets[index])
        if packet < 0:
            return 0
        entry = self._find_key(packet, index)
        return entry if entry and self.unseekable is None else 0

    def _find_key(self, packet: int, index: int) -> int:
        """Find the last key frame that is stored before a packet and shown before its frame; else the part's first."""
        timeline = self.timeline
        start = int(timeline.parts[timeline.part_of(packet)])
        # Frames stored behind a key frame and shown before it may refer to what is stored before it.
        before = slice(start, packet + 1)
        keys = timeline.keys[before] & (timeline.numbers[before] >= 0) & (timeline.numbers[before] <= index)
        return start + int(np.flatnonzero(keys)[-1]) if keys.any() else 0

    def _numbered_from(self, entry: int, threads: int) -> Iterator[Decoded]:
        """Decode from the frame in packet ``entry`` on, as :meth:`_numbered` does; from the beginning where the file
        cannot be entered there."""
        if entry > 0:
            frames = self._enter(entry, threads)
            if (first := next(frames, None)) is not None:
                yield first
                yield from frames
                return
            self.__dict__["unseekable"] = (
                f"a decoder cannot begin at its frame {self.timeline.numbers[entry]}"
            )
        yield from self._numbered(self._decoded(self._threads), -1)

    def _enter(self, entry: int, threads: int) -> Iterator[Decoded]:
        """Decode from a key frame on; nothing where no decoder can begin there."""
        number = int(self.timeline.numbers[entry])
        frames = self._numbered(self._decoded(threads, entry), number - 1)
        first = next(frames, None)
        # With H.264's intra refresh a picture becomes whole bit by bit. Or the container calls each frame a key frame.
        if first is None or first[0] != number or first[1] is None:
            return
        if self._marks_keys and not first[1].key_frame:
            return
        yield first
        yield from frames

    def _find_obstacle(self) -> str | None:
        """Say why the file has to be decoded from its beginning: enter it at key frames, and compare."""
        timeline = self.timeline
        later = np.flatnonzero(timeline.keys & (timeline.numbers > 0))
        if not len(later):
            return "it has no key frame but the first"
        tried = [entry for entry in later[:_TRIED].tolist() if timeline.numbers[entry] <= _NEAR]
        if not tried:
            return None
        numbers = timeline.numbers[tried].tolist()
        passed: dict[int, str] = {}
        for number, frame, reason in self._numbered(self._decoded(1), -1):
            if number >= numbers[-1] + _COMPARED:
                break
            if frame is not None and reason is None and number >= numbers[0]:
                passed[number] = _hash_picture(frame)
        for entry, first in zip(tried, numbers, strict=True):
            entered = {
                number: _hash_picture(frame)
                for number, frame, reason in islice(self._enter(entry, 1), _COMPARED)
                if frame is not None and reason is None
            }
            # A key frame that is damaged tells nothing.
            if first in passed and first not in entered:
                return f"a decoder cannot begin at its frame {first}"
            if wrong := [n for n in sorted(entered) if passed.get(n, entered[n]) != entered[n]]:
                return f"its frame {wrong[0]} is another one when decoding begins at frame {first}"
        return None

    def _numbered(
        self, decoded: Iterable[tuple[int, VideoFrame | None, str]], latest: int
    ) -> Iterator[Decoded]:
        """Yield (number, frame, None), or (number, None or frame, reason) for a damaged one, in order.

        Args:
            decoded: from :meth:`_decoded`.
            latest: frames up to this number are left out.
        """
        timeline = self.timeline
        numbers = timeline.numbers
        begun = -1
        for packet, frame, _ in decoded:
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
                            yield from self._decoded(1, entry, parts)
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
        """Yield the packets from ``entry`` on, recognised by their places in the file; none where it is not found."""
        table = self.timeline.table
        # AVI files are indexed by the places of packets.
        times = table.decoded_at if container.format.name == "avi" else table.shown_at
        before = np.flatnonzero(self.timeline.keys[: entry + 1] & ~np.isnan(times[: entry + 1]))
        for key in before[::-1][:_TRIES].tolist():
            try:
                container.seek(int(times[key]), stream=stream)
            except av.FFmpegError:
                return
            packets = _packets(container, stream)
            at, reached = -1, None
            for reached in islice(packets, _STRANGERS):
                # The first may be what is left of a packet that began before.
                if (at := _find_packet(table, reached)) >= 0 or reached is None:
                    break
            if not 0 <= at <= entry:
                continue
            for packet in chain([reached], packets):
                if at == entry and (packet is None or packet.pos != table.position[entry]):
                    return
                if at >= entry:
                    yield packet
                at += 1
            return

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
    return _DAMAGED if frame.is_corrupt else None


def _hash_picture(frame: VideoFrame) -> str:
    return hashlib.sha1(to_rgb(frame).tobytes(), usedforsecurity=False).hexdigest()


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
