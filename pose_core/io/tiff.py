"""Read the structure of TIFF files: their pages, what each says of its samples, one page as a file of its own.

OpenCV decodes the pixels. It reads the first page of a file only, or all of them at once; a stack of a camera
may be larger than memory, so here a page is copied into a small file that holds nothing else.

Source of the format: TIFF revision 6.0 (Aldus 1992), and BigTIFF (libtiff 4).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

_WIDTH, _HEIGHT, _BITS, _DESCRIPTION = 256, 257, 258, 270
_KIND, _ORIENTATION, _MAX_SAMPLE, _SAMPLE_FORMAT, _SMAX_SAMPLE = 254, 274, 281, 339, 341
_EXTRA_SAMPLES, _METAMORPH_PLANES = 338, 33629
_PARTS = ((273, 279), (324, 325))
"""Tags of the offsets and of the lengths of strips and of tiles."""
_OLD_JPEG = 513

# What decoding a page needs; the rest (descriptions, thumbnails, EXIF) stays behind.
_COPIED = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 274, 277, 278, 284, 292, 293, 317, 320, 322, 323, 332, 338, 339, 347}
    | {529, 530, 531, 532}
)
_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 7: "c", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q"}
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}

_REDUCED, _MASK = 1, 4
_IMAGEJ_COUNT = re.compile(rb"^ImageJ=.*?^images=(\d+)", re.DOTALL | re.MULTILINE)
_FLOAT, _UNDEFINED = 3, 4
_MOST_TAGS = 4096


@dataclass(frozen=True)
class TiffPage:
    """What a page says of its samples.

    Attributes:
        width, height: in pixels, after the orientation is applied.
        bits: of a sample, as stored.
        floating: whether samples are floating-point numbers.
        stated: bits that samples use, by ``MaxSampleValue`` or ``SMaxSampleValue``; None where these do not
            say so.
    """

    width: int
    height: int
    bits: int
    floating: bool
    stated: int | None


@dataclass(frozen=True)
class _Tag:
    type: int
    count: int
    data: bytes


class TiffFile:
    """The pages of a TIFF file.

    Reduced copies and masks, which the format keeps as pages of their own, do not count.

    Args:
        stream: the file, which must be seekable.

    Attributes:
        pages: offset of each page.
        images: how many there are, those included that a program left without a page of their own (ImageJ
            beyond 4 GB, MetaMorph).

    Raises:
        ValueError: it is no TIFF file, or breaks off.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, 2)
        stream.seek(0)
        head = stream.read(8)
        if head[:2] not in (b"II", b"MM") or len(head) < 8:
            raise ValueError("not a TIFF file")
        self._order = "<" if head[:2] == b"II" else ">"
        version = self._unpack("H", head[2:4])
        if version not in (42, 43):
            raise ValueError("not a TIFF file")
        self._big = version == 43
        first = self._unpack("Q", self._read(8, 8)) if self._big else self._unpack("I", head[4:8])
        self.first = first
        self.pages = self._find_pages(first)
        self.images = max(len(self.pages), self._count_declared()) if self.pages else 0

    def describe(self, number: int) -> TiffPage:
        """Read what a page says of its samples.

        Raises:
            ValueError: the page is damaged.
        """
        tags = self._tags(self.pages[number])
        width, height = self._number(tags, _WIDTH), self._number(tags, _HEIGHT)
        if self._number(tags, _ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        bits = self._number(tags, _BITS, 1)
        largest = self._number(tags, _MAX_SAMPLE, 0) or self._number(tags, _SMAX_SAMPLE, 0)
        # The format lets a writer give the largest value that occurs in the page, too, which says nothing of
        # the next page: only 2^n - 1 is the end of a range.
        stated = largest.bit_length() if largest > 255 and largest & (largest + 1) == 0 else None
        return TiffPage(width, height, bits, self._number(tags, _SAMPLE_FORMAT, 1) == _FLOAT, stated)

    def needs_copy(self, number: int) -> bool:
        """Whether a decoder that reads the first page as it is would not show this page's colours."""
        extra = self._tags(self.pages[number]).get(_EXTRA_SAMPLES)
        return self.pages[number] != self.first or (extra is not None and 2 in self._values(extra))

    def copy_page(self, number: int) -> bytes:
        """Copy a page into a file that holds nothing else.

        Raises:
            ValueError: the page is damaged, or of a kind that cannot be copied.
        """
        tags = self._tags(self.pages[number])
        if _OLD_JPEG in tags:
            raise ValueError("its pages are JPEG of TIFF 5, which is obsolete")
        kept = {tag: value for tag, value in tags.items() if tag in _COPIED}
        if (extra := kept.get(_EXTRA_SAMPLES)) is not None:
            # libtiff multiplies colours by an alpha channel that says it is not yet applied (2); the colours
            # are wanted as they are stored.
            values = [1 if value == 2 else value for value in self._values(extra)]
            kept[_EXTRA_SAMPLES] = _Tag(3, len(values), struct.pack(f"{self._order}{len(values)}H", *values))
        place, count = next(((a, b) for a, b in _PARTS if a in tags), (0, 0))
        if not place:
            raise ValueError("a page has no pixels")
        starts = self._values(tags[place])
        if count in tags:
            lengths = self._values(tags[count])
        elif len(starts) == 1:
            lengths = [self._stream.seek(0, 2) - starts[0]]
        else:
            raise ValueError("a page does not say how long its parts are")
        if len(starts) != len(lengths):
            raise ValueError("a page is damaged")
        parts = [self._read(start, length) for start, length in zip(starts, lengths, strict=True)]
        return self._write(kept, place, count, parts)

    def _write(self, kept: dict[int, _Tag], place: int, count: int, parts: list[bytes]) -> bytes:
        code, kind = ("Q", 16) if self._big else ("I", 4)
        field = 8 if self._big else 4
        body = bytearray(b"\0" * (16 if self._big else 8))
        starts = []
        for part in parts:
            starts.append(len(body))
            body += part + b"\0" * (-len(part) % 8)
        lengths = [len(part) for part in parts]
        for tag, values in ((place, starts), (count, lengths)):
            kept[tag] = _Tag(kind, len(values), struct.pack(f"{self._order}{len(values)}{code}", *values))
        entries = bytearray()
        for tag in sorted(kept):
            data = kept[tag].data
            if len(data) > field:
                at = len(body)
                body += data + b"\0" * (-len(data) % 8)
                data = struct.pack(self._order + code, at)
            entries += struct.pack(self._order + "HH" + code, tag, kept[tag].type, kept[tag].count)
            entries += data.ljust(field, b"\0")
        directory = struct.pack(self._order + ("Q" if self._big else "H"), len(kept)) + bytes(entries)
        start = len(body)
        mark = b"II" if self._order == "<" else b"MM"
        if self._big:
            body[:16] = mark + struct.pack(self._order + "HHHQ", 43, 8, 0, start)
        else:
            body[:8] = mark + struct.pack(self._order + "HI", 42, start)
        return bytes(body + directory + b"\0" * field)

    def _find_pages(self, first: int) -> list[int]:
        pages: list[int] = []
        seen: set[int] = set()
        offset = first
        while offset:
            if offset in seen:
                raise ValueError("its pages refer to each other in a circle")
            seen.add(offset)
            entries, following = self._directory(offset)
            kind = entries.get(_KIND)
            what = self._inline(kind) if kind is not None else 0
            if not what & (_REDUCED | _MASK):
                pages.append(offset)
            offset = following
        return pages

    def _count_declared(self) -> int:
        tags = self._directory(self.pages[0])[0]
        if (planes := tags.get(_METAMORPH_PLANES)) is not None:
            # One entry of this tag for each plane, of which only the first has a page.
            return planes[1]
        if (text := tags.get(_DESCRIPTION)) is not None and text[1] > 12:
            found = _IMAGEJ_COUNT.search(self._load(text).data)
            return int(found[1]) if found else 0
        return 0

    def _directory(self, offset: int) -> tuple[dict[int, tuple[int, int, bytes]], int]:
        """Entries of a page by tag (type, count, the field of the value), and where the next page is."""
        head, size, field = ("Q", 20, 8) if self._big else ("H", 12, 4)
        length = struct.calcsize(self._order + head)
        number = self._unpack(head, self._read(offset, length))
        if not 0 < number <= _MOST_TAGS:
            raise ValueError("a page is damaged")
        block = self._read(offset + length, number * size + field)
        entries = {}
        for i in range(number):
            entry = block[i * size : (i + 1) * size]
            tag, kind = struct.unpack_from(self._order + "HH", entry)
            entries[tag] = (
                kind,
                self._unpack("Q" if self._big else "I", entry[4 : 4 + field]),
                entry[-field:],
            )
        return entries, self._unpack("Q" if self._big else "I", block[-field:])

    def _tags(self, offset: int) -> dict[int, _Tag]:
        wanted = _COPIED | {_MAX_SAMPLE, _SMAX_SAMPLE, _OLD_JPEG, *(tag for pair in _PARTS for tag in pair)}
        entries = self._directory(offset)[0]
        return {tag: self._load(entry) for tag, entry in entries.items() if tag in wanted}

    def _load(self, entry: tuple[int, int, bytes]) -> _Tag:
        kind, count, field = entry
        if kind not in _SIZES:
            raise ValueError("a page is damaged")
        size = _SIZES[kind] * count
        if size <= len(field):
            return _Tag(kind, count, field[:size])
        return _Tag(kind, count, self._read(self._unpack("Q" if self._big else "I", field), size))

    def _inline(self, entry: tuple[int, int, bytes]) -> int:
        values = self._values(self._load(entry))
        return values[0] if values else 0

    def _number(self, tags: dict[int, _Tag], tag: int, default: int | None = None) -> int:
        values = self._values(tags[tag]) if tag in tags else []
        if values:
            return values[0]
        if default is None:
            raise ValueError("a page does not say how large it is")
        return default

    def _values(self, tag: _Tag) -> list[int]:
        code = _TYPES.get(tag.type)
        if code is None or code == "c":
            return []
        found = struct.unpack(f"{self._order}{tag.count}{code}", tag.data)
        return [int(value) for value in found if value == value and abs(value) != float("inf")]

    def _unpack(self, code: str, data: bytes) -> int:
        return int(struct.unpack(self._order + code, data)[0])

    def _read(self, offset: int, length: int) -> bytes:
        # Before reading: Python makes room for all that is asked for.
        if offset + length > self._size:
            raise ValueError("it breaks off")
        self._stream.seek(offset)
        return self._stream.read(length)
