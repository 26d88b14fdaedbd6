"""Read labelled images as RGB arrays, and keep decoded ones."""

from __future__ import annotations

import cv2
import numpy as np

from pose_core.errors import DataError
from pose_core.structures import ByteArray, ImageFile, ImageReference


def read_image(reference: ImageReference) -> ByteArray:
    """Read the image that a label refers to.

    Gray images get three equal channels, an alpha channel is dropped, 16-bit images are brought to 8 bits, and an
    EXIF orientation is applied (the image is as viewers show it).

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: the file does not exist, cannot be read or is not an image.
    """
    if not isinstance(reference, ImageFile):
        raise DataError(f"{reference}: only image files can be read")
    path = reference.path
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {(error.strerror or str(error)).lower()}") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path} cannot be decoded as an image; is the file complete?")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


class ImageCache:
    """Keeps decoded images until a budget of bytes is used up.

    What is in stays in: images are visited in random order over and over, where replacing old ones gains nothing.
    Each process that loads data has a cache of its own.

    Args:
        budget: bytes of image data to keep at most.
    """

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._images: dict[int, ByteArray] = {}

    def get(self, key: int) -> ByteArray | None:
        """The image kept under this key, or None. It is shared: do not write into it."""
        return self._images.get(key)

    def put(self, key: int, image: ByteArray) -> None:
        """Keep the image if it fits into the budget."""
        if key not in self._images and image.nbytes <= self._left:
            self._left -= image.nbytes
            self._images[key] = image
