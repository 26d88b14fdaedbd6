"""What a reader of picture headers is, and how it reads bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

START = b"\0\0\1"
"""Begins each unit of an MPEG or H.264 stream."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a packet holds.

    Attributes:
        shown: False where nothing of it is shown: parameters alone, a picture that is only referred to, or a
            mark that the recorder dropped a frame.
        second_field: it completes the frame that the packet before began.
        order: packets sorted by it are in the order of showing; None where the header does not tell.
    """

    shown: bool = True
    second_field: bool = False
    order: tuple[int, int, int] | None = None


class HeaderReader(ABC):
    """Read the packets of one stream, in the order of storage."""

    @abstractmethod
    def read(self, data: bytes, key: bool) -> PictureHeader | None:
        """Read a packet; None where no header is found, as in damaged packets.

        Args:
            data: the packet.
            key: whether the container says that it refers to no other.
        """

    def wants(self, size: int) -> bool:
        """Whether a packet of this size has to be read."""
        return True


class Bits:
    """Read numbers bit by bit; an IndexError says that there are no more."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """Read an unsigned number of so many bits."""
        if count > self._left:
            raise IndexError("the header ends early")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        """Read an unsigned Exp-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """Read a signed Exp-Golomb code."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)
