"""Read frames from image files that hold several: page n of a TIFF stack is frame n."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pose_core.errors import DataError
from pose_core.io.image_headers import ImageHeader
from pose_core.io.images import describe_many, measure_page_peak, read_page
from pose_core.io.tiff import TiffFile
from pose_core.pipeline.sources import PEEKED, FrameSource, SourceFrame, SourceInfo


class PageSource(FrameSource):
    """The pages of a TIFF file as one sequence.

    Args:
        path: of the file.
        bit_depth: bits that 16-bit samples use where the file does not say; None: all.

    Raises:
        DataError: the file is damaged, or holds images that no page tells of.
    """

    def __init__(self, path: Path, bit_depth: int | None = None) -> None:
        self.path = self.video = path
        self._bit_depth = bit_depth
        try:
            with path.open("rb") as stream:
                file = TiffFile(stream)
                first = file.describe(0)
        except OSError as error:
            raise DataError(f"cannot read image {path}: {(error.strerror or str(error)).lower()}") from None
        except (ValueError, struct.error, IndexError) as error:
            raise DataError(f"{path} cannot be decoded ({error}); is the file complete?") from None
        if file.images != len(file.pages):
            raise DataError(describe_many(path, ImageHeader("tiff", images=file.images)))
        self._count = len(file.pages)
        self._size = first.width, first.height

    @property
    def info(self) -> SourceInfo:
        """The size is that of the first page; others may have another."""
        return SourceInfo(str(self.path), self._count, *self._size, 0.0)

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Yield the pages from ``start`` on; each is read when it is loaded."""
        for number in range(start, self._count):
            yield SourceFrame(number, partial(read_page, self.path, number, self._bit_depth))

    def identity(self) -> dict[str, object]:
        """Name, size and time of the file."""
        stat = self.path.stat()
        return {"stack": [self.path.name, stat.st_size, stat.st_mtime_ns]}

    def measure_peaks(self) -> list[int]:
        """Of the first pages."""
        peaks = [measure_page_peak(self.path, number) for number in range(min(self._count, PEEKED))]
        return [peak for peak in peaks if peak is not None]
