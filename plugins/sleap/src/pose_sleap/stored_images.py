"""Images within HDF5 files, as .pkg.slp files have them: encoded as PNG or JPEG, or as pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pose_core.errors import DataError
from pose_core.io.hdf5 import find_dataset, hdf5_errors, read_text_attribute
from pose_core.io.images import decode_image
from pose_core.structures import ByteArray, IntArray

_ORDERED = 1.4
"""Files before this format do not say in what order the channels are stored: blue first."""


_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class StoredImages:
    """What an HDF5 file says of the images in one of its datasets.

    Attributes:
        frames: (n,) int64, number in its video of each.
        width, height: in pixels.
    """

    frames: IntArray
    width: int
    height: int

    @classmethod
    def read(cls, path: Path, dataset: str, channels_first: bool = False) -> StoredImages:
        """Read what is stored.

        Raises:
            DataError: there is no such dataset, or its images are of a kind that is not known.
        """
        with _open(path, dataset) as node:
            if channels_first or (node.ndim != 1 and _holds_pixels(node) is None and node.ndim != 2):
                raise DataError(
                    f"{path}: the images in {dataset} are of a shape that is not known; save the project in "
                    "SLEAP with embedded images (.pkg.slp)"
                )
            place = dataset.rpartition("/")[0]
            numbers = find_dataset(node.file, f"{place}/frame_numbers") if place else None
            frames = np.arange(len(node)) if numbers is None else np.asarray(numbers[()]).astype(np.int64)
            if frames.shape != (len(node),) or len(set(frames.tolist())) != len(frames):
                raise ValueError(f"frame_numbers do not number the images in {dataset}")
            size = _holds_pixels(node)
            if size is None and "width" in node.attrs and "height" in node.attrs:
                size = int(node.attrs["width"]), int(node.attrs["height"])
        if size is None and len(frames):
            image = read_stored(path, f"{dataset}/0")
            pixels = decode_image(image, f"{path} image {dataset}/0") if isinstance(image, bytes) else image
            size = pixels.shape[1], pixels.shape[0]
        width, height = size or (0, 0)
        return cls(frames, width, height)


def read_stored(path: Path, key: str) -> bytes | ByteArray:
    """Read one image.

    Args:
        path: of the HDF5 file.
        key: dataset and row: ``video0/video/3``.

    Returns:
        the content of a PNG or JPEG file, or (H, W, 3) uint8 RGB.

    Raises:
        DataError: there is no such image, or it is of a kind that is not known.
    """
    dataset, _, row = key.rpartition("/")
    with _open(path, dataset) as node:
        if not row.isdecimal() or int(row) >= len(node):
            raise DataError(f"{path}: has no image {key}; {dataset} holds {len(node)}")
        values = np.asarray(node[int(row)])
        if _holds_pixels(node) is not None:
            return _to_rgb(values)
        if values.ndim != 1 or values.dtype.kind not in "iu" or values.dtype.itemsize != 1:
            raise ValueError(f"{dataset} holds no encoded images")
        # Rows of one length are filled up with zeros; neither PNG nor JPEG files end with one.
        content = values.astype(np.uint8).tobytes().rstrip(b"\0")
        if not _is_whole(content):
            raise DataError(f"{path}: image {key} is damaged; save the project in SLEAP once more")
        swapped = _is_blue_first(node)
    if not swapped:
        return content
    # Encoded by a library that takes the first channel for blue, from pixels that begin with red.
    return np.ascontiguousarray(decode_image(content, f"{path} image {key}")[..., ::-1])


@contextmanager
def _open(path: Path, dataset: str) -> Iterator[Any]:
    """Open a dataset of a file; what is wrong with it while it is open becomes one line."""
    with hdf5_errors(path, "a file with images of SLEAP"), h5py.File(path, "r") as file:
        node = find_dataset(file, dataset)
        if node is None:
            raise ValueError(f"it has no {dataset}")
        yield node


def _holds_pixels(node: Any) -> tuple[int, int] | None:
    """Width and height of images that are stored as pixels (n, H, W, channels); None for others."""
    if node.ndim == 4 and node.dtype == np.uint8 and node.shape[3] in (1, 3):
        return int(node.shape[2]), int(node.shape[1])
    return None


def _is_blue_first(node: Any) -> bool:
    """Whether the channels of encoded images change places when they are decoded; gray ones have one."""
    if int(node.attrs.get("channels", 3)) == 1:
        return False
    order = read_text_attribute(node, "channel_order")
    if order:
        return order.upper() == "BGR"
    metadata = node.file.get("metadata")
    return metadata is not None and float(metadata.attrs.get("format_id", 1.0)) < _ORDERED


def _is_whole(content: bytes) -> bool:
    """Whether the chunks of a PNG file have their check sums; True for other files.

    The decoder would print its own lines about damage, and may return half an image.
    """
    if not content.startswith(_PNG):
        return True
    start, kind = len(_PNG), b""
    while kind != b"IEND" and start + 12 <= len(content):
        length = int.from_bytes(content[start : start + 4], "big")
        kind, end = content[start + 4 : start + 8], start + 8 + length
        if zlib.crc32(content[start + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return False
        start = end + 4
    return kind == b"IEND"


def _to_rgb(pixels: ByteArray) -> ByteArray:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
