"""Some frames of a source, under their own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pose_core.io.frame_ranges import FrameRange, to_ranges
from pose_core.pipeline.sources import FrameSource, SourceFrame, SourceInfo
from pose_core.structures import FrameSpan, IntArray, list_frames

_FAR = 500
"""Frames between two wanted ones, beyond which reading begins anew."""


class SelectedFrames(FrameSource):
    """Some frames of a source; the others are neither predicted nor in the result.

    Args:
        source: all frames.
        spans: at least one, within the source.
    """

    def __init__(self, source: FrameSource, spans: Sequence[FrameSpan]) -> None:
        self._source = source
        self.selected = tuple(spans)
        self.video = source.video
        self._numbers = list_frames(spans)

    @property
    def info(self) -> SourceInfo:
        """Of the whole source, but for the number of frames."""
        return replace(self._source.info, frames=len(self._numbers))

    @property
    def total(self) -> int:
        """Number of frames of the whole source."""
        return self._source.total

    @property
    def numbers(self) -> IntArray:
        """Numbers of the frames within the source."""
        return self._numbers

    @property
    def notes(self) -> list[str]:
        """Of the whole source."""
        return self._source.notes

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Yield the frames from the one at place ``start`` of the selection on, under their own numbers."""
        wanted = self._numbers[start:]
        # Between two far frames it is faster to begin anew than to decode all that lies between them.
        for near in np.split(wanted, np.flatnonzero(np.diff(wanted) > _FAR) + 1):
            yield from self._read_near(near)

    @property
    def unseekable(self) -> str | None:
        """Of the whole source."""
        return self._source.unseekable

    def keep_index(self) -> None:
        """Of the whole source."""
        self._source.keep_index()

    def remove_index(self) -> None:
        """Of the whole source."""
        self._source.remove_index()

    def find_doubtful(self, missing: Mapping[str, Sequence[FrameRange]]) -> list[FrameRange]:
        """Of the whole source, as far as the frames are among these."""
        doubtful = self._source.find_doubtful(missing)
        numbers = self._numbers
        return to_ranges(
            np.concatenate(
                [numbers[:0], *(numbers[(numbers >= first) & (numbers <= last)] for first, last in doubtful)]
            )
        )

    def _read_near(self, wanted: IntArray) -> Iterator[SourceFrame]:
        left = iter(wanted.tolist())
        due = next(left, None)
        if due is None:
            return
        for frame in self._source.read(due):
            if frame.index != due:
                continue
            yield frame
            due = next(left, None)
            if due is None:
                break

    def identity(self) -> dict[str, object]:
        """Of the whole source; which frames they are is said by ``selected``."""
        return self._source.identity()

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Of the whole source."""
        return self._source.sizes()

    def measure_peaks(self) -> list[int]:
        """Of the whole source."""
        return self._source.measure_peaks()
