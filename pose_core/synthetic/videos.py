"""Write small videos that show the number of each frame, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

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
) -> list[tuple[int, int]]:
    """Encode pictures 0, 1, 2 ... as a video at 30 frames a second.

    Args:
        path: its ending names the container.
        frames: how many.
        codec: of FFmpeg.
        width, height: in pixels.
        pixels: FFmpeg's pixel format.
        keyframe_every: distance of frames that refer to no other.
        options: of the codec; ``{"bf": "2"}`` gives B-frames.
        times: when each frame is shown, in ticks of 1/30 s; even steps by default.
        rotation: degrees counter-clockwise by which a player turns the picture.

    Returns:
        (position, size) in the file of each packet, in order of storage.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=dict(options or {}))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.gop_size = keyframe_every
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            frame = VideoFrame.from_ndarray(draw_number(number % 256, width, height), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    # The last packet of a demuxer only flushes decoders; it holds nothing.
    with av.open(str(path)) as written:
        return [(p.pos or 0, p.size) for p in written.demux(video=0) if p.size]


def overwrite_bytes(path: Path, position: int, size: int, value: int = 0) -> None:
    """Damage a file: set ``size`` bytes from ``position`` on to ``value``."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(bytes([value]) * size)
