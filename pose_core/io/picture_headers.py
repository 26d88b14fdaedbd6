"""Read the headers of compressed pictures: what a packet holds, and the order of showing.

A container's time stamps do not tell everything. A packet may hold one field of a frame, or nothing to show;
AVI files and raw streams store no times at all, so that the order in which frames are shown has to be read
from the pictures. Sources: ISO/IEC 13818-2 clause 6.2.3 (MPEG-2), ISO/IEC 14496-2 clause 6.2 (MPEG-4 Visual),
RFC 6386 section 9.1 (VP8).
"""

from __future__ import annotations

from pose_core.io.h264_headers import H264Headers
from pose_core.io.header_reader import START, Bits, HeaderReader, PictureHeader

# A picture that only says "as the one before" takes a few bytes.
_SMALLEST_PICTURE = 64


def make_header_reader(codec: str, parameters: bytes, orders: bool) -> HeaderReader | None:
    """Make the reader of a codec; None where its packets need not be read.

    Args:
        codec: FFmpeg's name.
        parameters: what the container stores beside the packets (extradata).
        orders: the order of showing is needed, because the container stores no times.
    """
    if codec == "h264":
        reader = H264Headers(parameters)
        # In progressive video that has times every packet is a frame.
        return reader if orders or reader.may_have_fields else None
    if codec in ("mpeg1video", "mpeg2video"):
        return _Mpeg2() if orders else None
    if codec == "mpeg4":
        return _Mpeg4(parameters, orders)
    return _Vp8() if codec == "vp8" else None


class _ReferenceOrder:
    """Order pictures by their types: a B picture is shown before the other picture stored before it."""

    def __init__(self) -> None:
        self._anchors = self._count = 0

    def place(self, reordered: bool) -> tuple[int, int, int]:
        self._count += 1
        if reordered:
            return self._anchors, 0, self._count
        self._anchors += 1
        return self._anchors, 1, 0


class _Mpeg2(HeaderReader):
    """MPEG-1 and MPEG-2; FFmpeg joins two field pictures to a packet."""

    def __init__(self) -> None:
        self._order = _ReferenceOrder()

    def read(self, data: bytes, key: bool) -> PictureHeader | None:
        at = data.find(START + b"\0")
        if at < 0 or at + 6 > len(data):
            return None
        return PictureHeader(order=self._order.place(data[at + 5] >> 3 & 7 == 3))


class _Mpeg4(HeaderReader):
    """MPEG-4 Visual (Xvid, DivX)."""

    def __init__(self, parameters: bytes, orders: bool) -> None:
        self._order = _ReferenceOrder()
        self._orders = orders
        self._time_bits = _read_mpeg4_time_bits(parameters)

    def wants(self, size: int) -> bool:
        return self._orders or size < _SMALLEST_PICTURE

    def read(self, data: bytes, key: bool) -> PictureHeader | None:
        self._time_bits = _read_mpeg4_time_bits(data) or self._time_bits
        at = data.find(START + b"\xb6")
        if at < 0 or at + 5 > len(data):
            return None
        bits = Bits(data[at + 4 : at + 12])
        kind = bits.take(2)
        if self._time_bits and len(data) < _SMALLEST_PICTURE and not self._is_coded(bits):
            return PictureHeader(shown=False)
        return PictureHeader(order=self._order.place(kind == 2))

    def _is_coded(self, bits: Bits) -> bool:
        try:
            while bits.take(1):
                pass
            bits.take(1 + self._time_bits + 1)
            return bool(bits.take(1))
        except IndexError:
            return True


def _read_mpeg4_time_bits(data: bytes) -> int:
    """Read how many bits a time takes in a picture's header; 0 where the data do not say."""
    at = data.find(START)
    while 0 <= at < len(data) - 4 and not 0x20 <= data[at + 3] <= 0x2F:
        at = data.find(START, at + 3)
    if at < 0:
        return 0
    bits = Bits(data[at + 4 : at + 40])
    try:
        bits.take(9)
        version = 1
        if bits.take(1):
            version = bits.take(4)
            bits.take(3)
        if bits.take(4) == 15:  # an aspect ratio of its own
            bits.take(16)
        if bits.take(1):  # control parameters
            bits.take(3)
            if bits.take(1):  # of the buffer
                bits.take(79)
        if bits.take(2) == 3 and version != 1:
            bits.take(4)
        bits.take(1)
        return max(1, (bits.take(16) - 1).bit_length())
    except IndexError:
        return 0


class _Vp8(HeaderReader):
    """VP8 stores pictures that are only referred to in packets of their own."""

    def read(self, data: bytes, key: bool) -> PictureHeader | None:
        return PictureHeader(shown=bool(data[0] & 0x10)) if data else None
