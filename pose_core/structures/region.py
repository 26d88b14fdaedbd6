"""A part of frames."""

from __future__ import annotations

from typing import NamedTuple


class Region(NamedTuple):
    """A part of frames, in whole pixels: x1 <= x < x2 and y1 <= y < y2."""

    x1: int
    x2: int
    y1: int
    y2: int

    def lies_in(self, width: int, height: int) -> bool:
        """Whether all of it is within a frame of this size."""
        return self.x2 <= width and self.y2 <= height

    def is_whole(self, width: int, height: int) -> bool:
        """Whether it is all of a frame of this size."""
        return self == (0, width, 0, height)

    def __str__(self) -> str:
        return f"x {self.x1}-{self.x2}, y {self.y1}-{self.y2}"
