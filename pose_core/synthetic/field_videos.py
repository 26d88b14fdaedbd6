"""Write small interlaced H.264 videos whose packets hold a field each, for tests.

No encoder at hand makes field pictures, so the stream is written bit by bit (ITU-T H.264 clause 7.3): raw
samples, which decode to exactly what they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np

from pose_core.io.ffmpeg import create_container
from pose_core.structures import ByteArray
from pose_core.synthetic.videos import draw_number

_WIDTH, _HEIGHT = 64, 64
_BLOCK = 16

_RATE = 25

_KEY_FRAME_EVERY = 6


def write_field_video(
    path: Path,
    frames: int = 12,
    *,
    packets: str = "fields",
    lost: Iterable[int] = (),
    rate: int = _RATE,
) -> None:
    """Write pictures 0, 1, 2 ... as two field pictures each, at 25 frames a second.

    Args:
        path: its ending names the container.
        frames: how many; every sixth is a key frame.
        packets: ``fields`` gives each field a packet and a time; ``pairs`` each frame, as camcorders do.
        lost: numbers of fields, from 0, that are left out.
        rate: frames a second.
    """
    gone = set(lost)
    fields = [_encode_field(number, bottom) for number in range(frames) for bottom in (0, 1)]
    if packets == "pairs":
        kept = [
            (2 * n, b"".join(f for i, f in enumerate(fields[2 * n : 2 * n + 2]) if 2 * n + i not in gone))
            for n in range(frames)
        ]
    else:
        kept = [(i, field) for i, field in enumerate(fields) if i not in gone]
    if path.suffix == ".h264":
        path.write_bytes(b"".join(data for _, data in kept))
        return
    with av.open(BytesIO(b"".join(fields)), format="h264") as source, create_container(path) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        # An AVI file has a place for each packet.
        clock, kept_each = Fraction(1, 2 * rate), 2
        if path.suffix == ".avi" and packets == "pairs":
            clock, kept_each = Fraction(1, rate), 1
            kept = [(at // 2, data) for at, data in kept]
        stream.time_base = clock
        for at, data in kept:
            packet = av.Packet(data)
            packet.pts = packet.dts = at
            packet.duration = 2 if packets == "pairs" and path.suffix != ".avi" else 1
            packet.time_base = clock
            packet.is_keyframe = at % (kept_each * _KEY_FRAME_EVERY) == 0
            packet.stream = stream
            target.mux(packet)


def _code(value: int) -> str:
    """Write an unsigned Exp-Golomb code."""
    bits = format(value + 1, "b")
    return "0" * (len(bits) - 1) + bits


def _unit(head: int, parts: Sequence[str | bytes]) -> bytes:
    """Make a unit of bits and of whole bytes, which begin on a byte's boundary."""
    body = bytearray()
    bits = ""
    for part in parts:
        if isinstance(part, str):
            bits += part
            continue
        bits += "0" * (-len(bits) % 8)
        body += int(bits or "0", 2).to_bytes(len(bits) // 8, "big") + part
        bits = ""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    body += int(bits, 2).to_bytes(len(bits) // 8, "big")
    # Three bytes that look like the begin of a unit are kept apart.
    safe = bytearray()
    for byte in body:
        if byte <= 3 and safe[-2:] == b"\0\0":
            safe.append(3)
        safe.append(byte)
    return b"\0\0\0\1" + bytes([head]) + bytes(safe)


def _encode_parameters() -> bytes:
    sequence = [
        *(format(77, "08b"), "00000000", format(31, "08b")),  # Main profile, level 3.1
        *(_code(0), _code(0), _code(0), _code(0)),  # frame numbers and orders of 4 bits
        *(_code(1), "0"),  # one reference
        *(_code(_WIDTH // _BLOCK - 1), _code(_HEIGHT // _BLOCK // 2 - 1)),
        *("0", "0"),  # fields, each for itself
        *("1", "0", "0"),  # direct prediction; neither cropped nor described
    ]
    picture = [_code(0), _code(0), "0", "0", _code(0), _code(0), _code(0), "0", "00", *[_code(0)] * 3, "100"]
    return _unit(0x67, sequence) + _unit(0x68, picture)


def _encode_field(number: int, bottom: int) -> bytes:
    gray = draw_number(number % 256, _WIDTH, _HEIGHT)[bottom::2].mean(axis=-1).astype(np.uint8)
    # Studio range; raw samples must not be 0.
    luma: ByteArray = np.clip(16 + gray * (219 / 255), 1, 254).astype(np.uint8)
    place = number % _KEY_FRAME_EVERY
    fresh = place == 0 and not bottom
    parts: list[str | bytes] = [_code(0), _code(7), _code(0), format(place, "04b"), "1", str(bottom)]
    if fresh:
        parts.append(_code(number // _KEY_FRAME_EVERY % 2))
    parts += [format(2 * place + bottom, "04b"), "00" if fresh else "0", _code(0), _code(1)]
    for y in range(0, _HEIGHT // 2, _BLOCK):
        for x in range(0, _WIDTH, _BLOCK):
            block = luma[y : y + _BLOCK, x : x + _BLOCK].tobytes()
            parts += [_code(25), block + b"\x80" * (_BLOCK * _BLOCK // 2)]
    delimiter = b"" if bottom else b"\0\0\0\1\x09\x10"
    return delimiter + (_encode_parameters() if fresh else b"") + _unit(0x65 if fresh else 0x61, parts)
