"""Make pictures of decoded frames."""

from __future__ import annotations

import struct
import threading

import cv2
import numpy as np
import numpy.typing as npt
from av.buffer import Buffer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pose_core.io.images import reduce_depth
from pose_core.structures import ByteArray

# GBRP is RGB with a plane for each colour.
_DEEP_RGB = frozenset({"rgb48le", "rgb48be", "gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le"})


class _Converters(threading.local):
    """A converter for each thread: creating one is slow, and no two threads may use the same."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_local = _Converters()


def to_rgb(frame: VideoFrame, bit_depth: int | None = None, name: object = "the frame") -> ByteArray:
    """Convert a decoded frame to (H, W, 3) uint8 RGB, turned and mirrored as the file asks.

    May be called in any thread.

    Args:
        frame: as :class:`pose_core.io.video.VideoFile` gives it.
        bit_depth: bits that the samples of 16-bit formats use; None: all.
        name: of the frame, for messages.

    Raises:
        DataError: a value needs more bits.
    """
    samples = read_deep_samples(frame)
    if samples is not None:
        # FFmpeg rounds and dithers where images are shifted, so one scene would have two sets of numbers.
        bits = frame.format.components[0].bits
        image = reduce_depth(samples, (bit_depth or bits) if bits == 16 else bits, name)
        image = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image
    else:
        image = _convert_by_planes(frame) if _has_colour_of_each_pixel(frame.format) else _convert(frame)
    return _turn(image, frame)


def _convert(frame: VideoFrame) -> ByteArray:
    converted = _local.reformatter.reformat(frame, format="rgb24", threads=1)
    return np.asarray(converted.to_ndarray(), np.uint8)


def _convert_by_planes(frame: VideoFrame) -> ByteArray:
    """What :func:`_convert` gives, with a plane for each colour on the way.

    Where pixels have colours of their own, FFmpeg makes planes with vector instructions and pixels without: up to six
    times as slow, the more so the noisier the picture.
    """
    converted = _local.reformatter.reformat(frame, format="gbrp", threads=1)
    green, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(converted.height, -1)[:, : converted.width]
        for plane in converted.planes
    )
    return np.asarray(cv2.merge([red, green, blue]), np.uint8)


def _has_colour_of_each_pixel(kind: VideoFormat) -> bool:
    """Whether it is YUV of 8 bits with colours as dense as brightness."""
    if kind.is_rgb or len(kind.components) < 3:
        return False
    brightness, colour = kind.components[:2]
    return brightness.bits == 8 and (colour.width, colour.height) == (brightness.width, brightness.height)


def read_deep_samples(frame: VideoFrame) -> npt.NDArray[np.uint16] | None:
    """Read samples of more than 8 bits as they are stored: (H, W) of grey, (H, W, 3) of RGB frames.

    Returns:
        uint16; None for frames of 8 bits, and for those that store brightness and colour apart (YUV), whose
        samples have no counterpart in images.
    """
    kind = frame.format
    if kind.components[0].bits <= 8 or kind.name.startswith("grayf"):
        return None
    if kind.name in _DEEP_RGB:
        return np.asarray(frame.to_ndarray(), np.uint16)
    if not kind.name.startswith("gray"):
        return None
    plane = frame.planes[0]
    rows = np.frombuffer(bytes(plane), ">u2" if kind.is_big_endian else "<u2").reshape(plane.height, -1)
    return np.asarray(rows[:, : plane.width], np.uint16)


def _turn(image: ByteArray, frame: VideoFrame) -> ByteArray:
    """Turn and mirror a picture by the display matrix of its frame (libavutil/display.h)."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, Buffer):
        return image
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(matrix))
    right, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)
        right, down = c, b
    image = image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    return np.ascontiguousarray(image)
