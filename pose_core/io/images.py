"""Read image files: their pixels, or only width and height from the header.

Headers of PNG and JPEG files are read here rather than by Pillow, which takes 160 us for a JPEG and, to learn
the orientation of a PNG, decodes it (7 ms for 640 x 480); this takes 10 to 60 us, and a project can have
100,000 images.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from pose_core.errors import DataError
from pose_core.structures import ByteArray

_PNG = b"\x89PNG\r\n\x1a\n"
# Markers of a frame header (SOF0 to SOF15) without DHT, JPG
# and DAC, which lie between them (ITU T.81, table B.1).
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ORIENTATION = 0x0112
# Values of the EXIF orientation that exchange width and height.
_SIDEWAYS = (5, 6, 7, 8)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read width and height in pixels, after the EXIF orientation is applied.

    PNG and JPEG files are not decoded; others are.

    Raises:
        DataError: the file does not exist, cannot be read or is not an image.
    """
    try:
        with path.open("rb") as stream:
            size = _read_header(stream)
    except OSError as error:
        raise _make_error(path, error) from None
    except (struct.error, ValueError):
        size = None
    if size is None:
        height, width = read_image_file(path).shape[:2]
        size = width, height
    return size


def _read_header(stream: BinaryIO) -> tuple[int, int] | None:
    head = stream.read(2)
    if head == b"\xff\xd8":
        return _read_jpeg_size(stream)
    if head + stream.read(6) == _PNG:
        return _read_png_size(stream)
    return None


def _read_png_size(stream: BinaryIO) -> tuple[int, int] | None:
    size = None
    while True:
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"IHDR":
            size = struct.unpack(">II", stream.read(8))
            length -= 8
        elif kind == b"eXIf":
            # It may turn the image; whether the decoder follows it depends on its version.
            return None
        elif kind in (b"IDAT", b"IEND"):
            return size
        # Behind the data of a chunk there are four bytes of checksum.
        stream.seek(length + 4, 1)


def _read_jpeg_size(stream: BinaryIO) -> tuple[int, int] | None:
    sideways = False
    while True:
        marker = stream.read(2)
        # Any number of 0xFF may stand in front of a marker as padding.
        while marker == b"\xff\xff":
            marker = b"\xff" + stream.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            return None
        (length,) = struct.unpack(">H", stream.read(2))
        if marker[1] in _JPEG_FRAMES:
            _, height, width = struct.unpack(">BHH", stream.read(5))
            # Height 0 means that only a DNL marker behind the data gives it.
            return ((height, width) if sideways else (width, height)) if height else None
        payload = stream.read(length - 2)
        if marker[1] == 0xE1 and payload[:6] == b"Exif\0\0":
            sideways = _read_orientation(payload[6:]) in _SIDEWAYS


def _read_orientation(tiff: bytes) -> int:
    # The EXIF block is a TIFF file of its own, in the byte order that its first two bytes name.
    order = "<" if tiff[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    for i in range(entries):
        tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * i)
        if tag == _ORIENTATION:
            return int(value)
    return 1


def decode_image(data: bytes | ByteArray, name: object) -> ByteArray:
    """Decode the content of an image file.

    Grey images get three equal channels, an alpha channel is dropped, 16-bit images are reduced to 8 bits,
    and the EXIF orientation is applied (the image looks as in viewers).

    Args:
        data: PNG, JPEG or another format that OpenCV reads.
        name: of the image, for messages.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the data are not an image.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{name} cannot be decoded as an image; is the file complete?")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def read_image_file(path: Path) -> ByteArray:
    """Read an image file as (H, W, 3) uint8 RGB; see :func:`decode_image`.

    Raises:
        DataError: the file does not exist, cannot be read or is not an image.
    """
    # cv2.imread fails on Windows for paths that are not ASCII; decoding bytes does not.
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise _make_error(path, error) from None
    return decode_image(data, path)


def _make_error(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read image {path}: {(error.strerror or str(error)).lower()}")
