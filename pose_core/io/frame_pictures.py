"""Make pictures of decoded frames."""

from __future__ import annotations

import struct
import threading

import numpy as np
from av.sidedata.sidedata import Type as Kind
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pose_core.structures import ByteArray


class _Converters(threading.local):
    """A converter for each thread: creating one is slow, and no two threads may use the same."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_local = _Converters()


def to_rgb(frame: VideoFrame) -> ByteArray:
    """Convert a decoded frame to (H, W, 3) uint8 RGB, turned and mirrored as the file asks.

    May be called in any thread.
    """
    converted = _local.reformatter.reformat(frame, format="rgb24", threads=1)
    image: ByteArray = np.asarray(converted.to_ndarray(), np.uint8)
    return _turn(image, frame)


def _turn(image: ByteArray, frame: VideoFrame) -> ByteArray:
    """Turn and mirror a picture by the display matrix of its frame (libavutil/display.h)."""
    found = [data for data in frame.side_data if data.type is Kind.DISPLAYMATRIX]
    if not found:
        return image
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(found[0]))
    right, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)
        right, down = c, b
    image = image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    return np.ascontiguousarray(image)
