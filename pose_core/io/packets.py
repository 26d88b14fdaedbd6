"""Read the packets of the one stream of a file that is its video."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.logging
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from pose_core.io.header_reader import PictureHeader
from pose_core.io.picture_headers import make_header_reader

# FFmpeg's log is one for the whole process.
_LOGGING = threading.Lock()

_PICTURES_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flag = npt.NDArray[np.bool_]


def choose_stream(container: InputContainer) -> VideoStream | None:
    """Choose the stream that is the video; None where there is none.

    Cover pictures and thumbnails are none. Of several videos the one marked as default is taken, then the
    largest, then the first; but none with fewer than half the frames of another, such as previews. Where
    there are several, the container may be read to its end.
    """
    videos = _find_videos(container)
    if len(videos) < 2:
        return videos[0] if videos else None
    counts = {s.index: s.frames for s in videos}
    if not all(counts.values()):
        counts = dict.fromkeys(counts, 0)
        # What is damaged is reported when the chosen stream is read.
        with suppress(av.FFmpegError):
            for packet in container.demux(videos):
                counts[packet.stream_index] += bool(packet.size)
    most = max(counts.values())
    return max((s for s in videos if 2 * counts[s.index] >= most), key=_rank_video)


def _rank_video(stream: VideoStream) -> tuple[bool, int, int]:
    # Where no codec is known, see below, streams have no size.
    known = getattr(stream, "codec_context", None) is not None
    size = stream.width * stream.height if known else 0
    return bool(stream.disposition & Disposition.default), size, -stream.index


def count_videos(container: InputContainer) -> int:
    """Count the videos; cover pictures and thumbnails are none."""
    return len(_find_videos(container))


def _find_videos(container: InputContainer) -> list[VideoStream]:
    videos = [s for s in container.streams.video if not s.disposition & _PICTURES_BESIDE]
    # One in a codec that FFmpeg does not know has no context; PyAV's types hide that.
    return [s for s in videos if getattr(s, "codec_context", None) is not None] or videos


def read_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets that hold something, in order of storage.

    Raises:
        FFmpegError: the demuxer cannot go on.
    """
    unpack = None
    if stream.codec_context.name == "mpeg4" and container.format.name == "avi":
        # DivX stores two frames in one packet and a mark in the next.
        unpack = BitStreamFilterContext("mpeg4_unpack_bframes", stream)
    for packet in container.demux(stream):
        # The last one is empty: it drains decoders. Others are where a recorder dropped a frame.
        if packet.size:
            yield from unpack.filter(packet) if unpack else (packet,)


@dataclass(frozen=True, eq=False)
class PacketTable:
    """All packets of a stream, in order of storage.

    Attributes:
        shown_at, decoded_at: (packets,) time stamps (pts, dts) in ticks of the stream; NaN where there is
            none.
        position: (packets,) place in the file in bytes; -1 where unknown.
        keys: (packets,) True for a key frame, which refers to no other.
        hidden: (packets,) True for a packet that an edit list leaves out, or that shows nothing.
        second: (packets,) True for the second field of the frame that the packet before began.
        orders: of each packet, what its header says about the order of showing.
        damaged: the demuxer met errors.
    """

    shown_at: Floats
    decoded_at: Floats
    position: Integers
    keys: Flag
    hidden: Flag
    second: Flag
    orders: list[tuple[int, int, int] | None]
    damaged: bool

    def __len__(self) -> int:
        return len(self.keys)


def stores_times(container: InputContainer) -> bool:
    """Whether the container stores when frames are shown; FFmpeg guesses such times where it does not."""
    return container.format.name != "avi" and not stores_no_rate(container)


def stores_no_rate(container: InputContainer) -> bool:
    """Whether it is a raw stream, without any time and without a rate."""
    return bool(Flags(container.format.flags) & Flags.no_timestamps)


def read_table(container: InputContainer, stream: VideoStream) -> PacketTable:
    """Read all packets of a freshly opened file, without decoding.

    Takes about 40 bytes of memory a packet, and 100 more where headers are read.
    """
    context = stream.codec_context
    stores = stores_times(container) and container.format.name not in ("mpeg", "mpegts")
    reader = make_header_reader(context.name, context.extradata or b"", not stores)
    shown_at, decoded_at, position = array("d"), array("d"), array("q")
    keys, hidden, second = bytearray(), bytearray(), bytearray()
    orders: list[tuple[int, int, int] | None] = []
    damaged = False
    plain, nan = PictureHeader(), float("nan")
    with _demuxer_errors(container.format.name) as errors:
        try:
            for packet in read_packets(container, stream):
                pts, dts, pos = packet.pts, packet.dts, packet.pos
                shown_at.append(nan if pts is None else pts)
                decoded_at.append(nan if dts is None else dts)
                position.append(-1 if pos is None else pos)
                keys.append(packet.is_keyframe)
                corrupt = packet.is_corrupt
                damaged |= corrupt
                if reader is None:
                    hidden.append(packet.is_discard)
                    continue
                header: PictureHeader | None = plain
                if reader.wants(packet.size):
                    header = reader.read(bytes(packet), packet.is_keyframe)
                # A packet that breaks off may have lost its picture.
                empty = header is not None and not header.shown and not corrupt
                hidden.append(packet.is_discard or empty)
                second.append(header is not None and header.second_field)
                orders.append(None if header is None else header.order)
        except av.FFmpegError:
            damaged = True
    return PacketTable(
        np.frombuffer(shown_at, np.float64),
        np.frombuffer(decoded_at, np.float64),
        np.frombuffer(position, np.int64),
        _to_flags(keys),
        _to_flags(hidden),
        _to_flags(second) if second else np.zeros(len(keys), bool),
        orders,
        damaged or bool(errors),
    )


def _to_flags(values: bytearray) -> Flag:
    return np.frombuffer(bytes(values), np.uint8).astype(bool)


def find_joints(path: Path) -> list[int]:
    """Find where AVI files that were joined begin, in bytes; the last entry is where the whole should end.

    The chunks of a large AVI file, which follow each other likewise, are no files of their own.
    """
    begins = []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        at = 0
        while at + 12 <= size:
            file.seek(at)
            head = file.read(12)
            if head[:4] != b"RIFF":
                break
            if head[8:] == b"AVI ":
                begins.append(at)
            length = int.from_bytes(head[4:8], "little")
            at += 8 + length + length % 2
    return [*begins, at]


@contextmanager
def _demuxer_errors(name: str) -> Iterator[list[str]]:
    """Collect the errors that FFmpeg's demuxer reports only through its log, in this thread."""
    found: list[str] = []
    with _LOGGING:
        level, repeated = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture() as log:
                yield found
            found.extend(message.strip() for _, source, message in log if source == name)
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(repeated)
