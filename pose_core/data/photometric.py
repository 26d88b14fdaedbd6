"""Random changes of pixel values that leave everything where it is."""

from __future__ import annotations

import math
from statistics import NormalDist

import cv2
import numpy as np

from pose_core.structures import ByteArray, FloatArray

# The normal distribution as 256 equally likely values: drawing one of them by a random byte costs a tenth of
# a draw from the distribution itself, and pixel values are whole numbers anyway.
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_NORMAL /= _NORMAL.std()


def adjust(image: ByteArray, brightness: float, contrast: float) -> ByteArray:
    """Contrast about mid-gray, then brightness.

    Args:
        image: (H, W, 3) uint8.
        brightness: added, as a fraction of full scale.
        contrast: factor.
    """
    values = (np.arange(256) - 127.5) * contrast + 127.5 + 255 * brightness
    return cv2.LUT(image, np.rint(values).clip(0, 255).astype(np.uint8))  # type: ignore[return-value]


def motion_kernel(length: float, angle: float) -> FloatArray:
    """Draw the path of a point that moves evenly along a straight line.

    The kernel is symmetric about its centre, so that blurring shifts nothing.

    Args:
        length: of the line in pixels.
        angle: of the line to the x axis, radians.

    Returns:
        (k, k) float32 with odd k and sum 1.
    """
    half = math.ceil(length / 2)
    steps = np.linspace(-length / 2, length / 2, 8 * half + 1)
    x, y = steps * math.cos(angle), steps * math.sin(angle)
    cells = np.arange(-half, half + 1)
    # Each point of the line is shared among its four neighbours in proportion to their nearness.
    across = (1 - abs(x[:, None] - cells)).clip(0)
    down = (1 - abs(y[:, None] - cells)).clip(0)
    kernel = down.T @ across
    kernel += kernel[::-1, ::-1]
    return np.asarray(kernel / kernel.sum(), np.float32)


def add_noise(image: ByteArray, sigma: float, rng: np.random.Generator) -> ByteArray:
    """Gaussian noise of brightness: one value a pixel, equal in the three channels, as a gray camera has it.

    Args:
        image: (H, W, 3) uint8.
        sigma: standard deviation as a fraction of full scale.
    """
    values = np.rint(255 * sigma * _NORMAL).astype(np.int16)
    noise = cv2.LUT(rng.integers(0, 256, image.shape[:2], np.uint8), values)
    return cv2.add(image, cv2.merge([noise, noise, noise]), dtype=cv2.CV_8U)  # type: ignore[return-value]


def erase(image: ByteArray, longest: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Paint one rectangle at a random place in a random gray, in place (DeVries & Taylor 2017, Zhong et al.
    2017).

    Args:
        image: (H, W, 3) uint8.
        longest: longest side of the rectangle as a fraction of that side of the image; sides are drawn
            between a quarter of it and all of it.

    Returns:
        rows and columns of the rectangle.
    """
    height, width = image.shape[:2]
    rows, columns = (max(1, round(n * longest * rng.uniform(0.25, 1))) for n in (height, width))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    place = slice(top, top + rows), slice(left, left + columns)
    image[place] = rng.integers(0, 256)
    return place
