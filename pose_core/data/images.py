"""Read labelled images as RGB arrays, and keep decoded ones.

The only place that opens what a label refers to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pose_core.catalog import get_catalog
from pose_core.errors import DataError, PluginError, VideoError
from pose_core.interfaces import Reader
from pose_core.io.frame_pictures import read_deep_samples, to_rgb
from pose_core.io.images import decode_image, measure_peak, read_bytes, read_image_file, read_image_header
from pose_core.io.video import open_video
from pose_core.structures import ByteArray, EmbeddedImage, ImageFile, ImageReference, VideoFrame


def read_image(reference: ImageReference) -> ByteArray:
    """Read the image that a label refers to.

    A frame of a video has the pixels that prediction sees. Frames of one video are read fastest in rising
    order.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file does not exist or cannot be read, the image is damaged, or there is no such frame.
        ConfigError: the reader of an embedded image is not installed.
        PluginError: that reader returns something that is no image.
    """
    return open_image(reference)()


def open_image(reference: ImageReference) -> Callable[[], ByteArray]:
    """Prepare to read an image: what must happen in order is done, the rest when the result is called.

    Frames of a video are decoded here and turned into RGB by the call, which any thread may make.

    Raises:
        DataError: a frame of a video cannot be decoded; all other errors of :func:`read_image` come with the
            call.
    """
    match reference:
        case ImageFile(path):
            return partial(read_image_file, path, reference.bit_depth)
        case VideoFrame(path, index):
            try:
                return partial(to_rgb, open_video(path).decode(index), reference.bit_depth, reference)
            except VideoError as error:
                raise DataError(str(error)) from None
        case EmbeddedImage():
            return partial(_read_embedded, reference)


def _read_embedded(reference: EmbeddedImage) -> ByteArray:
    content = _open_embedded(reference)
    return decode_image(content, reference, reference.bit_depth) if isinstance(content, bytes) else content


def _open_embedded(reference: EmbeddedImage) -> bytes | ByteArray:
    reader: type[Reader] = get_catalog().component("reader", reference.reader).factory()
    content = reader.open_embedded(reference.path, reference.key)
    if isinstance(content, bytes):
        return content
    if not isinstance(content, np.ndarray) or content.dtype != np.uint8 or content.shape[2:] != (3,):
        raise PluginError(f"reader {reference.reader!r}: {reference} is neither bytes nor (H, W, 3) uint8")
    return content


def measure_reference_peak(reference: ImageReference) -> int | None:
    """Find the largest value of a 16-bit image that does not say how many bits it uses; None for others.

    Raises:
        DataError: the image cannot be read.
    """
    match reference:
        case ImageFile(path):
            header = read_image_header(path)
            # Most images have 8 bits, and their header says so without reading the rest.
            return measure_peak(read_bytes(path), path) if header is not None and header.bits == 16 else None
        case VideoFrame(path, index):
            try:
                video = open_video(path)
                # Most videos have 8 bits, and decoding single frames takes long.
                samples = read_deep_samples(video.decode(index)) if video.bits == 16 else None
            except VideoError as error:
                raise DataError(str(error)) from None
            return None if samples is None else int(samples.max(initial=0))
        case EmbeddedImage():
            content = _open_embedded(reference)
            return measure_peak(content, reference) if isinstance(content, bytes) else None


class ImageCache:
    """Keep decoded images until a budget of bytes is used up.

    What is in stays in: images are visited in random order over and over, where replacing old ones gains
    nothing. Each process that loads data has a cache of its own.

    Args:
        budget: bytes of image data to keep at most.
    """

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._images: dict[int, ByteArray] = {}

    def get(self, key: int) -> ByteArray | None:
        """The image kept under this key, or None. It is shared: do not write into it."""
        return self._images.get(key)

    def put(self, key: int, image: ByteArray) -> bool:
        """Keep the image if it fits into the budget, and say whether it is kept."""
        if key not in self._images and image.nbytes <= self._left:
            self._left -= image.nbytes
            self._images[key] = image
        return key in self._images
