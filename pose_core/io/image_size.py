"""Width and height of an image file, from its header."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from pose_core.errors import DataError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


def is_file(path: Path) -> bool:
    """Whether there is a file of a name that somebody wrote into a table. A name that no file can have, such as one of
    five hundred letters, is that of none; ``Path.is_file`` raises OSError there."""
    try:
        return path.is_file()
    except OSError:
        return False


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, as a decoder that applies the EXIF orientation gives them.

    PNG and JPEG files are not decoded; others are.

    Raises:
        DataError: the file does not exist, cannot be read or is not an image.
    """
    try:
        with path.open("rb") as stream:
            size = _from_header(stream)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {(error.strerror or str(error)).lower()}") from None
    except (struct.error, ValueError):
        size = None
    return size or _decoded(path)


def _from_header(stream: BinaryIO) -> tuple[int, int] | None:
    head = stream.read(2)
    if head == b"\xff\xd8":
        return _jpeg(stream)
    if head + stream.read(6) == _PNG:
        return _png(stream)
    return None


def _png(stream: BinaryIO) -> tuple[int, int] | None:
    size = None
    while True:
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"IHDR":
            size = struct.unpack(">II", stream.read(8))
            length -= 8
        elif kind == b"eXIf":
            return None
        elif kind in (b"IDAT", b"IEND"):
            return size
        stream.seek(length + 4, 1)


def _jpeg(stream: BinaryIO) -> tuple[int, int] | None:
    sideways = False
    while True:
        marker = stream.read(2)
        while marker == b"\xff\xff":
            marker = b"\xff" + stream.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            return None
        (length,) = struct.unpack(">H", stream.read(2))
        if marker[1] in _JPEG_FRAMES:
            _, height, width = struct.unpack(">BHH", stream.read(5))
            # Height 0: it is said at the end of the data only.
            return ((height, width) if sideways else (width, height)) if height else None
        payload = stream.read(length - 2)
        if marker[1] == 0xE1 and payload[:6] == b"Exif\0\0":
            sideways = _orientation(payload[6:]) in _SIDEWAYS


def _orientation(tiff: bytes) -> int:
    order = "<" if tiff[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    for i in range(entries):
        tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * i)
        if tag == _ORIENTATION:
            return int(value)
    return 1


def _decoded(path: Path) -> tuple[int, int]:
    import cv2
    import numpy as np

    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise DataError(f"{path} cannot be decoded as an image; is the file complete?")
    return image.shape[1], image.shape[0]
