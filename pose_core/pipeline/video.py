"""Videos as sources of frames, decoded by FFmpeg (PyAV)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pose_core.errors import VideoError
from pose_core.pipeline.sources import FrameSource, SourceFrame, SourceInfo
from pose_core.pipeline.timeline import Timeline, read_timeline
from pose_core.structures import ByteArray

# No codec holds back more frames than this to put them into order.
_LONGEST_REORDERING = 64

_UNNUMBERED = (
    "its frames cannot be numbered, because it stores them in an unusual way; convert it first: "
    "ffmpeg -i VIDEO -c:v libx264 -crf 10 converted.mp4"
)

_local = threading.local()


class VideoSource(FrameSource):
    """A video file, frame by frame.

    Frames come as they are shown: in order of presentation, with the rotation that the file asks for applied (as
    OpenCV and players do), in RGB. A frame whose data are damaged is missing; so are frames that the file declares
    and does not hold. Frames after it, up to the next one that refers to no other, are what the decoder makes of
    them; :attr:`doubtful` names them.

    In AVI files with reordered (B-) frames, which store no times, a damaged frame may be reported up to a few
    numbers beside its place; frames before and after are numbered right.

    Args:
        path: of the video.
        threads: of the decoder; 0 lets FFmpeg choose.

    Raises:
        VideoError: the file is missing, is no video, or none of its frames can be decoded.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        super().__init__()
        self._path = Path(path)
        self._threads = threads
        if not self._path.exists():
            raise VideoError(f"{path}: no such file; check the path")
        container, stream = self._open()
        with container:
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else 0.0
            first = self._first_frame(container, stream)
        self.height, self.width = first.shape[:2]

    @cached_property
    def timeline(self) -> Timeline:
        """Which packet is which frame. Reads the file once, without decoding."""
        container, stream = self._open()
        with container:
            return read_timeline(container, stream)

    @property
    def info(self) -> SourceInfo:
        """Path, number of frames, size and rate."""
        return SourceInfo(str(self._path), self.timeline.frames, self.width, self.height, self.fps)

    def identity(self) -> dict[str, Any]:
        """Name, size and time of the file."""
        stat = self._path.stat()
        return {"video": [self._path.name, stat.st_size, stat.st_mtime_ns]}

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """The frames from ``start`` on; earlier ones are decoded but not converted."""
        timeline = self.timeline
        frames = timeline.frames
        missing: list[int] = []
        following = 0
        for number, frame, reason in self._numbered():
            for lost in range(following, number):
                missing.append(lost)
                if lost >= start:
                    yield SourceFrame(lost, None, "not decodable: its data in the file are missing or damaged")
            if frame is None or reason is not None:
                missing.append(number)
                frame = None
            if number >= start:
                yield SourceFrame(number, None if frame is None else partial(rgb, frame), reason)
            following = number + 1
        held = frames - timeline.lost
        missing.extend(range(following, frames))
        self.doubtful = timeline.after_damage(missing)
        for lost in range(max(following, start), frames):
            ends = "the file ends before this frame" if lost >= held else "not decodable: its data are damaged"
            yield SourceFrame(lost, None, ends)

    def _numbered(self) -> Iterator[tuple[int, VideoFrame | None, str | None]]:
        """(number, frame, None), or (number, None, reason) for a damaged one, numbers rising."""
        if self.timeline.numbers is not None:
            numbers = self.timeline.numbers
            latest = -1
            for packet, frame, _ in self._decoded(self._threads):
                # A frame that comes out after a later one was shown (a decoder mending damage) has lost its place.
                if frame is None or packet >= len(numbers) or numbers[packet] <= latest:
                    continue
                latest = int(numbers[packet])
                yield latest, frame, _damage(frame)
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
                raise VideoError(f"{self._path}: {_UNNUMBERED}")
            yield number, frame, reason if frame is None else _damage(frame)
            number += 1

    def _decoded(self, threads: int) -> Iterator[tuple[int, VideoFrame | None, str]]:
        """(packet, frame, "") as they come out of the decoder; (packet, None, reason) for one that it refuses."""
        container, stream = self._open(threads)
        with container:
            context = stream.codec_context
            last = -1
            for packet in _packets(container, stream):
                if packet is not None:
                    # The decoder hands a packet's time on to its frame, so the frame can say which packet it was.
                    last += 1
                    packet.pts, packet.dts = last, None
                try:
                    frames = context.decode(packet)
                except av.FFmpegError as error:
                    yield last, None, f"not decodable: {(error.strerror or str(error)).lower()}"
                    if packet is None and threads != 1 and self.timeline.numbers is not None:
                        # Draining several threads stops at the first damaged frame; one thread keeps the rest.
                        # Frames that come a second time are left out by their numbers.
                        yield from self._decoded(threads=1)
                    continue
                for frame in frames:
                    if frame.pts is None:
                        raise VideoError(f"{self._path}: {_UNNUMBERED}")
                    yield frame.pts, frame, ""

    def _open(self, threads: int = 1) -> tuple[InputContainer, VideoStream]:
        try:
            container = av.open(str(self._path))
        except (av.FFmpegError, OSError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise VideoError(
                f"{self._path}: cannot be opened as a video ({reason}); play it to see whether it is complete"
            ) from None
        if not container.streams.video:
            container.close()
            raise VideoError(f"{self._path}: holds no video; name a video file")
        stream = container.streams.video[0]
        stream.thread_type = ThreadType.NONE if threads == 1 else ThreadType.AUTO
        stream.thread_count = threads
        return container, stream

    def _first_frame(self, container: InputContainer, stream: VideoStream) -> ByteArray:
        for packet in _packets(container, stream):
            try:
                for frame in stream.codec_context.decode(packet):
                    return rgb(frame)
            except av.FFmpegError:
                continue
        raise VideoError(f"{self._path}: none of its frames can be decoded; play it to see whether it is complete")


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Any]:
    """The packets of the stream, then None to drain the decoder. A file that breaks off ends there."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None  # read_timeline, which stops here too, counts what is missing
        if packet is None:
            break
        if packet.size:
            yield packet
    yield None


def _damage(frame: VideoFrame) -> str | None:
    return "damaged: the decoder met errors in it" if frame.is_corrupt else None


def rgb(frame: VideoFrame) -> ByteArray:
    """A decoded frame as (H, W, 3) uint8 RGB, rotated as the file asks. May be called in any thread."""
    if not hasattr(_local, "reformatter"):
        # Making a converter is slow, and one must not be used by two threads.
        _local.reformatter = VideoReformatter()
    image: ByteArray = _local.reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    if quarters := round(frame.rotation / 90) % 4:
        image = np.ascontiguousarray(np.rot90(image, quarters))
    return image
