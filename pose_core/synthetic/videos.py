"""Write small videos that show the number of each frame, and cut and damage them, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pose_core.io.ffmpeg import create_container, open_container
from pose_core.structures import ByteArray

_BITS = 8
# Pixels of a cell: a block of the lossy codecs, so that black and white survive compression.
_CELL = 8


def draw_number(number: int, width: int = 64, height: int = 48) -> ByteArray:
    """Draw a number from 0 to 255 as eight black or white cells.

    Below them is a pattern that moves with the number.

    Returns:
        (height, width, 3) uint8 RGB; width at least 64.
    """
    pattern = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    picture = np.roll(pattern, number, axis=1)
    for bit in range(_BITS):
        picture[: 2 * _CELL, bit * _CELL : (bit + 1) * _CELL] = 255 * (number >> bit & 1)
    return picture


def read_number(picture: ByteArray) -> int:
    """Read the number in a frame of a numbered video."""
    return sum(int(picture[_CELL, bit * _CELL + _CELL // 2].mean() > 127) << bit for bit in range(_BITS))


def write_numbered_video(
    path: Path,
    frames: int = 30,
    *,
    codec: str = "libx264",
    width: int = 64,
    height: int = 48,
    pixels: str = "yuv420p",
    keyframe_every: int = 12,
    options: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
    rotation: int = 0,
    rate: int = 30,
) -> list[tuple[int, int]]:
    """Encode pictures 0, 1, 2 ... as a video.

    Args:
        path: its ending names the container.
        frames: how many.
        codec: of FFmpeg.
        width, height: in pixels.
        pixels: FFmpeg's pixel format.
        keyframe_every: distance of frames that refer to no other.
        options: of the codec; ``{"bf": "2"}`` gives B-frames.
        times: when each frame is shown, in ticks of 1 / rate; even steps by default.
        rotation: degrees counter-clockwise by which a player turns the picture.
        rate: frames a second.

    Returns:
        (position, size) in the file of each packet, in order of storage.
    """
    with create_container(path) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.gop_size = keyframe_every
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            frame = VideoFrame.from_ndarray(draw_number(number % 256, width, height), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    # The last packet of a demuxer only flushes decoders; it holds nothing.
    with open_container(path) as written:
        return [(p.pos or 0, p.size) for p in written.demux(video=0) if p.size]


def copy_packets(
    source: Path,
    target: Path,
    *,
    first: int = 0,
    leave_out: Sequence[int] = (),
    cover: bool = False,
    covered_by: str = "mjpeg",
    rotation: int = 0,
    options: Mapping[str, str] | None = None,
) -> list[tuple[int, bool]]:
    """Copy the packets of a numbered video without encoding, as programs that cut recordings do.

    Args:
        source: a video with exact times (.mp4, .nut).
        target: its ending names the container.
        first: the packet to begin with.
        leave_out: further packets that are not copied.
        cover: put a picture of one frame before the video, as a stream of its own.
        covered_by: codec of the cover.
        rotation: degrees counter-clockwise by which a player turns the picture.
        options: of the container.

    Returns:
        of each packet that was copied the number of its frame, and whether it is a key frame.
    """
    numbers = []
    with open_container(source) as old, create_container(target, options) as new:
        beside: VideoStream | None = None
        if cover:
            added = new.add_stream(covered_by, rate=30)
            assert isinstance(added, VideoStream)
            beside = added
            beside.width, beside.height = 32, 32
            beside.pix_fmt = "yuvj420p" if covered_by == "mjpeg" else "yuv420p"
            if target.suffix in (".mp4", ".mkv"):
                beside.disposition = Disposition.attached_pic
        # Opaque: the codec need not have an encoder of the decoder's name.
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        # An AVI file has a place at each step of this clock.
        stream.time_base = Fraction(1, 30)
        if rotation:
            stream.set_display_rotation(rotation)
        filtered = None
        if target.suffix == ".avi" and old.streams.video[0].codec_context.name == "h264":
            filtered = BitStreamFilterContext("h264_mp4toannexb", old.streams.video[0])
        packets = [p for p in old.demux(video=0) if p.size]
        step = round(1 / (30 * packets[0].time_base))
        begin = min(p.dts for p in packets[first:] if p.dts is not None)
        earliest = min(p.pts for p in packets if p.pts is not None)
        if beside is not None:
            picture = VideoFrame.from_ndarray(np.full((32, 32, 3), 200, np.uint8), format="rgb24")
            picture.pts, picture.time_base = 0, Fraction(1, 30)
            new.mux([*beside.encode(picture), *beside.encode()])
        for at, packet in enumerate(packets):
            if at < first or at in leave_out:
                continue
            assert packet.pts is not None
            assert packet.dts is not None
            numbers.append((round((packet.pts - earliest) / step), packet.is_keyframe))
            packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            for copy in filtered.filter(packet) if filtered else (packet,):
                copy.stream = stream
                new.mux(copy)
    return numbers


def overwrite_bytes(path: Path, position: int, size: int, value: int = 0) -> None:
    """Damage a file: set ``size`` bytes from ``position`` on to ``value``."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(bytes([value]) * size)
