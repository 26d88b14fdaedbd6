"""Decode images, the only place that does: files, pages of a stack, images within other files.

What comes out is always (H, W, 3) uint8 RGB, and depends on the image and its depth alone, never on which
values occur in it, so that a scene has the same numbers in each image and in a video of it:

- grey gets three equal channels, palettes are looked up, alpha is left out (colours stay as stored), CMYK is
  converted without a colour profile;
- EXIF and TIFF orientations are applied, as viewers do;
- of samples of more than 8 bits the highest 8 are kept. How many of the 16 bits in which a file stores them
  are used is taken from TIFF's ``MaxSampleValue`` and PNG's ``sBIT``, else as the caller says, else all;
- floating-point samples are from 0 (black) to 1 (white); others are refused, for no file says what is white.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.io.image_headers import ImageHeader, read_header
from pose_core.io.tiff import TiffFile
from pose_core.structures import ByteArray

_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
# OpenCV converts none of these samples to colour; they are read as they are.
_UNCONVERTED_BITS = (10, 12, 14, 32, 64)

MANY = "convert it to a video or to single images first"
"""What to do with a file of several images."""


def read_image_size(path: Path) -> tuple[int, int]:
    """Read width and height in pixels, after the orientation is applied.

    PNG, JPEG and TIFF files are not decoded; others are.

    Raises:
        DataError: the file does not exist, cannot be read, is not an image or holds several.
    """
    header = read_image_header(path)
    if header is not None and header.images > 1:
        raise DataError(describe_many(path, header))
    if header is None or header.size is None:
        height, width = read_image_file(path).shape[:2]
        return width, height
    return header.size


def read_image_header(path: Path) -> ImageHeader | None:
    """Read what an image file says of itself; None where its header is damaged.

    Raises:
        DataError: the file does not exist or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return read_header(stream)
    except OSError as error:
        raise _make_error(path, error) from None
    except (struct.error, ValueError):
        return None


def describe_many(name: object, header: ImageHeader) -> str:
    """Refuse, in one line, a file of several images where one is wanted."""
    count = "several" if header.format == "avif" else header.images
    return f"{name} holds {count} images; {MANY}"


def decode_image(data: bytes | ByteArray, name: object, bit_depth: int | None = None) -> ByteArray:
    """Decode the content of an image file; the module says what comes out.

    Args:
        data: PNG, JPEG, TIFF, BMP, WebP or another format that OpenCV reads.
        name: of the image, for messages.
        bit_depth: bits that samples of a 16-bit image use where it does not say; None: all.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the data are not an image, hold several, or values that do not fit the depth.
    """
    samples, header = _decode(bytes(data), name)
    return _to_rgb(samples, header, name, bit_depth)


def read_image_file(path: Path, bit_depth: int | None = None) -> ByteArray:
    """Read an image file as (H, W, 3) uint8 RGB; see :func:`decode_image`.

    Raises:
        DataError: the file does not exist, cannot be read, is not an image or holds several.
    """
    return decode_image(read_bytes(path), path, bit_depth)


def read_page(path: Path, number: int, bit_depth: int | None = None) -> ByteArray:
    """Read a page of a TIFF file as (H, W, 3) uint8 RGB; the rest of the file is not read.

    Args:
        path: of the file.
        number: of the page, from 0.
        bit_depth: see :func:`decode_image`.

    Raises:
        DataError: the file cannot be read, or the page is damaged.
    """
    name = f"{path} page {number}"
    samples, header = _decode_page(path, number, name)
    return _to_rgb(samples, header, name, bit_depth)


def measure_peak(data: bytes, name: object) -> int | None:
    """Find the largest value of a 16-bit image that does not say how many of the bits it uses.

    Returns:
        the value; None for other images. One that states fewer bits counts where a value is too large for
        these: its values are shifted up, as the format asks for, and not used from the lowest bit on.

    Raises:
        DataError: the data are not one image.
    """
    try:
        if read_header(io.BytesIO(data)).bits != 16:
            return None
    except ValueError:
        return None
    return _find_peak(*_decode(data, name))


def measure_page_peak(path: Path, number: int) -> int | None:
    """Find the largest value of a page of a TIFF file, see :func:`measure_peak`.

    Raises:
        DataError: the file cannot be read, or the page is damaged.
    """
    return _find_peak(*_decode_page(path, number, f"{path} page {number}"))


def reduce_depth(samples: npt.NDArray[Any], bit_depth: int, name: object) -> ByteArray:
    """Keep the highest 8 of the bits that 16-bit samples use.

    Args:
        samples: uint16.
        bit_depth: how many they use, 8 to 16.
        name: of the image, for messages.

    Raises:
        DataError: a value needs more.
    """
    if bit_depth < 16 and samples.size and (largest := int(samples.max())) >> bit_depth:
        raise DataError(
            f"{name}: holds values up to {largest}, and {bit_depth} bits (data.bit_depth) end at "
            f"{2**bit_depth - 1}; state the depth of its camera, or convert it"
        )
    return np.asarray(samples >> (bit_depth - 8), np.uint8)


def _decode(data: bytes, name: object) -> tuple[npt.NDArray[Any], ImageHeader]:
    if not data:
        raise _make_damage(name)
    stream = io.BytesIO(data)
    try:
        header = read_header(stream)
    except ValueError:
        # Of a damaged stack OpenCV would decode the first page and not say that there are more.
        if data[:2] in (b"II", b"MM"):
            raise _make_damage(name) from None
        header = ImageHeader("")
    if header.images > 1:
        raise DataError(describe_many(name, header))
    if header.format == "tiff":
        data = _copy_if_needed(stream, data, name)
    return _decode_samples(data, header, name), header


def _decode_page(path: Path, number: int, name: str) -> tuple[npt.NDArray[Any], ImageHeader]:
    try:
        with path.open("rb") as stream:
            file = TiffFile(stream)
            page = file.describe(number)
            data = file.copy_page(number)
    except OSError as error:
        raise _make_error(path, error) from None
    except (ValueError, struct.error, IndexError) as error:
        raise DataError(f"{name} cannot be decoded ({error}); is the file complete?") from None
    size = (page.width, page.height)
    header = ImageHeader("tiff", size, 1, page.bits, page.stated, page.floating)
    return _decode_samples(data, header, name), header


def _copy_if_needed(stream: BinaryIO, data: bytes, name: object) -> bytes:
    try:
        stream.seek(0)
        file = TiffFile(stream)
        return file.copy_page(0) if file.needs_copy(0) else data
    except (ValueError, struct.error) as error:
        raise DataError(f"{name} cannot be decoded as an image ({error}); is the file complete?") from None


def _decode_samples(data: bytes, header: ImageHeader, name: object) -> npt.NDArray[Any]:
    """Decode to samples in B, G, R, as deep as they are stored."""
    plain = header.format == "tiff" and (header.floating or header.bits in _UNCONVERTED_BITS)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if plain else _COLOUR)
    except cv2.error:
        image = None
    if image is None:
        raise _make_damage(name)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    return np.asarray(image[:, :, :3])


def _to_rgb(samples: npt.NDArray[Any], header: ImageHeader, name: object, bit_depth: int | None) -> ByteArray:
    image = samples
    if image.dtype == np.uint16:
        image = reduce_depth(image, _choose_depth(image, header, bit_depth), name)
    elif image.dtype.kind == "f":
        image = _from_unit_range(image, name)
    elif image.dtype != np.uint8:
        raise DataError(
            f"{name}: holds samples of type {image.dtype}, of which no rule says what is white; convert it to "
            "8 or 16 bits without sign"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _choose_depth(samples: npt.NDArray[Any], header: ImageHeader, bit_depth: int | None) -> int:
    if header.stated is None or header.bits != 16:
        # OpenCV spreads samples that are stored in 10, 12 or 14 bits over 16.
        return (bit_depth or 16) if header.bits == 16 or header.format != "tiff" else 16
    if header.format != "png":
        return header.stated
    # PNG asks that a 12-bit value be shifted up to fill 16 bits, and cameras' programs that it say 12 bits and
    # leave it as it is. A large value shows the former; where all images of a project are to be read so
    # (bit_depth 16), a dark one among them is, too.
    shifted = bit_depth == 16 or int(samples.max(initial=0)) >> header.stated
    return 16 if shifted else header.stated


def _find_peak(samples: npt.NDArray[Any], header: ImageHeader) -> int | None:
    if samples.dtype != np.uint16 or header.bits != 16:
        return None
    peak = int(samples.max(initial=0))
    if header.stated is None:
        return peak
    return peak if header.format == "png" and peak >> header.stated else None


def _from_unit_range(samples: npt.NDArray[Any], name: object) -> ByteArray:
    low, high = float(samples.min(initial=0)), float(samples.max(initial=0))
    # Written so that NaN, which is neither, is refused as well.
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{name}: holds floating-point values from {low:g} to {high:g}, and only 0 (black) to 1 (white) "
            "can be read; convert it to 8 or 16 bits"
        )
    return np.asarray(np.rint(samples * 255), np.uint8)


def read_bytes(path: Path) -> bytes:
    """Read an image file as it is.

    Raises:
        DataError: it does not exist or cannot be read.
    """
    # cv2.imread fails on Windows for paths that are not ASCII; decoding bytes does not.
    try:
        return path.read_bytes()
    except OSError as error:
        raise _make_error(path, error) from None


def _make_damage(name: object) -> DataError:
    return DataError(f"{name} cannot be decoded as an image; is the file complete?")


def _make_error(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read image {path}: {(error.strerror or str(error)).lower()}")
