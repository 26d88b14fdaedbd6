"""Decode a video from its beginning or from a key frame, each frame with its number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
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
from pose_core.io.packets import PacketTable, choose_stream, count_videos, read_packets
from pose_core.io.timeline import CAREFUL_DECODERS, MARKING_DECODERS, Timeline, read_timeline
from pose_core.structures import ByteArray

_CONVERT = "convert it first: ffmpeg -i VIDEO -c:v libx264 -crf 10 converted.mp4"

_UNNUMBERED = f"its frames cannot be numbered, because it stores them in an unusual way; {_CONVERT}"

NO_KEY_FRAME = "refers to a key frame that the file does not hold"
"""Why a frame is missing in a recording that was cut between two key frames."""

DAMAGED = "damaged: the decoder met errors in it"

# A demuxer that is sent to a time may come out behind it; then it is sent to key frames before that one.
_TRIES = 4
# Packets that a demuxer may give before the first that it reads whole.
_STRANGERS = 64
# A file is tried at its first key frames, as far as these are near, by some pictures behind each.
_TRIED, _NEAR, _COMPARED = 2, 1000, 16

Decoded = tuple[int, VideoFrame | None, str | None]
"""Number of a frame, and the frame; or None and the reason why it is missing."""


class VideoDecoder:
    """The decoder of the one stream of a file that is its video.

    Decoding may begin at any key frame, which is found by its place in the file, and gives the same pictures as a pass
    from the beginning. Where it does not, as a trial at the first key frames tells, it always begins at the beginning.

    Args:
        path: of the video.
        threads: of a pass over many frames; 0 lets FFmpeg choose.

    Attributes:
        path: of the video.
        stream: which of the file's streams it is.
        others: how many further videos the file holds.
        first: the first picture, (H, W, 3) uint8 RGB.
        bits: of a sample, as the frames are stored.

    Raises:
        VideoError: the file is missing, is not a video, or none of its frames can be decoded.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self.threads = threads
        if not path.exists():
            raise VideoError(f"{path}: no such file; check the path")
        self.stream: int | None = None
        container, stream = self._open()
        self.stream = stream.index
        videos = len(container.streams.video)
        if videos > 1:
            # To choose one, the file may have been read to its end.
            container.close()
            container, stream = self._open()
        with container:
            codec = stream.codec_context.name
            self._careful, self._marks_keys = codec in CAREFUL_DECODERS, codec in MARKING_DECODERS
            self.others = count_videos(container) - 1
            self.first = self._first_frame(container, stream)

    @cached_property
    def timeline(self) -> Timeline:
        """The frames, their packets and times. Reads the file once, without decoding where that tells."""
        container, stream = self._open()
        with container:
            return read_timeline(self.path, container, stream, self._decode_order)

    @cached_property
    def unseekable(self) -> str | None:
        """Why decoding always begins at the beginning; None where it does not.

        Decodes up to the first key frames behind the first frame, once.
        """
        return self._find_obstacle()

    @property
    def tried(self) -> bool:
        """Whether :attr:`unseekable` is known already."""
        return "unseekable" in self.__dict__

    def find_entry(self, index: int) -> int:
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

    def frames_from(self, entry: int, threads: int) -> Iterator[Decoded]:
        """Decode from the frame in packet ``entry`` on, as :meth:`_numbered` does; from the beginning where the file
        cannot be entered there."""
        if entry > 0:
            frames = self._enter(entry, threads)
            if (first := next(frames, None)) is not None:
                yield first
                yield from frames
                return
            self.unseekable = f"a decoder cannot begin at its frame {self.timeline.numbers[entry]}"
        yield from self._numbered(self._decoded(self.threads), -1)

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
        return [packet for packet, frame, _ in self._decoded(self.threads, parts=parts) if frame is not None]

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
        stream = choose_stream(container) if self.stream is None else container.streams[self.stream]
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
    return DAMAGED if frame.is_corrupt else None


def _hash_picture(frame: VideoFrame) -> str:
    return hashlib.sha1(to_rgb(frame).tobytes(), usedforsecurity=False).hexdigest()
