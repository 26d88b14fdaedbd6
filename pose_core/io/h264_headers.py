"""Read the headers of H.264: frames and fields, and the order of showing.

Source: ITU-T H.264 (08/2021), clauses 7.3 and 8.2.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pose_core.io.header_reader import START, Bits, HeaderReader, PictureHeader


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What of a sequence parameter set is needed to read slices."""

    separate_colours: bool
    frame_number_bits: int
    order_type: int
    order_bits: int
    frames_only: bool


@dataclass(frozen=True, slots=True)
class _Slice:
    """The begin of a picture: a frame (parity 0), a top (1) or a bottom field (2)."""

    fresh: bool
    referred: bool
    frame_number: int
    parity: int
    order: int | None
    order_bits: int


class H264Headers(HeaderReader):
    """H.264: a packet may hold a frame, both fields or one; the order is the picture order count."""

    def __init__(self, parameters: bytes) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._length_bytes = 0
        if parameters[:1] == b"\1" and len(parameters) > 6:
            self._length_bytes = (parameters[4] & 3) + 1
            for unit in _split_avc_parameters(parameters):
                self._keep_parameters(unit)
        else:
            for unit in self._split(parameters):
                self._keep_parameters(unit)
        self._waiting: _Slice | None = None
        self._period = self._count = self._high = self._low = 0

    @property
    def may_have_fields(self) -> bool:
        """Whether pictures may be fields: nothing says that they are not."""
        return not self._sequences or any(not s.frames_only for s in self._sequences.values())

    def read(self, data: bytes, key: bool) -> PictureHeader | None:
        slices: list[_Slice] = []
        known, pictures = True, False
        for unit in self._split(data):
            kind = unit[0] & 31
            if kind in (7, 8):
                self._keep_parameters(unit)
            elif kind in (1, 2, 5):
                pictures = True
                if kind != 2 and (one := self._read_slice(unit)) is not None:
                    slices.append(one)
            elif not 6 <= kind <= 15:
                known = False
        self._count += 1
        if not slices:
            self._waiting = None
            # Parameters alone; a damaged picture is larger, or looks empty.
            if not pictures and known and not key and len(data) < 1024 and any(data[-8:]):
                return PictureHeader(shown=False)
            # A key frame that cannot be read: the orders after it begin anew.
            self._period += key
            return None
        first, last = slices[0], slices[-1]
        if first.parity and _complete(self._waiting, first):
            self._waiting = None
            return PictureHeader(second_field=True)
        both = {1, 2} <= {s.parity for s in slices}
        self._waiting = last if last.parity and not both else None
        return PictureHeader(order=self._place(first))

    def _place(self, picture: _Slice) -> tuple[int, int, int] | None:
        if picture.fresh:
            self._period += 1
            self._high = self._low = 0
        if picture.order is None:
            return None
        if picture.order_bits == 0:
            return self._period, self._count, 0
        # Only the low bits are stored; the others follow from the last picture that was referred to.
        wrap = 1 << picture.order_bits
        high = self._high
        if picture.order < self._low and self._low - picture.order >= wrap // 2:
            high += wrap
        elif picture.order > self._low and picture.order - self._low > wrap // 2:
            high -= wrap
        if picture.referred:
            self._high, self._low = high, picture.order
        return self._period, high + picture.order, self._count

    def _split(self, data: bytes) -> Iterator[bytes]:
        """Yield the units of a packet, cut to what headers need."""
        # Some files store the parameters of the one kind beside packets of the other.
        if self._length_bytes and not data.startswith(b"\0" + START):
            at = 0
            while at + self._length_bytes < len(data):
                size = int.from_bytes(data[at : at + self._length_bytes], "big")
                at += self._length_bytes
                if size:
                    yield data[at : at + min(size, 256)]
                at += size
            return
        at = data.find(START)
        while 0 <= at < len(data) - 3:
            after = data.find(START, at + 3)
            yield data[at + 3 : min(after if after >= 0 else len(data), at + 259)]
            at = after

    def _keep_parameters(self, unit: bytes) -> None:
        bits = Bits(_unescape(unit[1:]))
        try:
            if unit[0] & 31 == 7:
                number, sequence = _read_sequence(bits)
                self._sequences[number] = sequence
            elif unit[0] & 31 == 8:
                picture = bits.exp_golomb()
                self._sequence_of[picture] = bits.exp_golomb()
        except IndexError:
            return

    def _read_slice(self, unit: bytes) -> _Slice | None:
        """Read a slice that begins a picture; None for others and for what cannot be read."""
        bits = Bits(_unescape(unit[1:24]))
        fresh = unit[0] & 31 == 5
        try:
            if bits.exp_golomb():
                return None
            bits.exp_golomb()
            sequence = self._sequences[self._sequence_of[bits.exp_golomb()]]
            if sequence.separate_colours:
                bits.take(2)
            number = bits.take(sequence.frame_number_bits)
            parity = 0
            if not sequence.frames_only and bits.take(1):
                parity = 1 + bits.take(1)
            if fresh:
                bits.exp_golomb()
            order = None
            if sequence.order_type == 0:
                order = bits.take(sequence.order_bits)
            elif sequence.order_type == 2:
                order = 0  # shown as they are stored
        except (IndexError, KeyError):
            return None
        low = sequence.order_bits if sequence.order_type == 0 else 0
        return _Slice(fresh, bool(unit[0] & 0x60), number, parity, order, low)


def _complete(first: _Slice | None, second: _Slice) -> bool:
    """Whether a field completes the frame that another one began (H.264 clause 3.30)."""
    return (
        first is not None
        and first.parity + second.parity == 3
        and first.frame_number == second.frame_number
        and (first.referred or not second.referred)
        and not (second.fresh and not first.fresh)
    )


def _unescape(data: bytes) -> bytes:
    return data.replace(b"\0\0\3", b"\0\0")


def _split_avc_parameters(data: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of MP4's AVCDecoderConfigurationRecord (ISO/IEC 14496-15)."""
    at = 5
    for mask in (31, 255):
        if at >= len(data):
            return
        count, at = data[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(data[at : at + 2], "big")
            if size:
                yield data[at + 2 : at + 2 + size]
            at += 2 + size


def _read_sequence(bits: Bits) -> tuple[int, _Sequence]:
    profile = bits.take(8)
    bits.take(16)
    number = bits.exp_golomb()
    separate = False
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        colours = bits.exp_golomb()
        if colours == 3:
            separate = bool(bits.take(1))
        bits.exp_golomb()
        bits.exp_golomb()
        bits.take(1)
        if bits.take(1):
            for i in range(12 if colours == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    frame_number_bits = bits.exp_golomb() + 4
    order_type = bits.exp_golomb()
    order_bits = 0
    if order_type == 0:
        order_bits = bits.exp_golomb() + 4
    elif order_type == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.exp_golomb()):
            bits.signed()
    bits.exp_golomb()
    bits.take(1)
    bits.exp_golomb()
    bits.exp_golomb()
    return number, _Sequence(separate, frame_number_bits, order_type, order_bits, bool(bits.take(1)))


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
