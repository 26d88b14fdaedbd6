"""Turn maps into colours. No matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pose_core.data.palette import Colour
from pose_core.structures import ByteArray

Floats = npt.NDArray[np.float32]

_IGNORED = (0.62, 0.62, 0.62)


def dim(image: ByteArray) -> ByteArray:
    """Make an image grey and dark, so that colours over it are seen.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((0.45 * grey).astype(np.uint8)[..., None], 3, axis=2)


def colour_maps(values: Floats, low: float, high: float, colours: Sequence[Colour]) -> Floats:
    """Colour each place by the map that is highest there, the more opaque the higher.

    Args:
        values: (C, h, w); NaN is transparent.
        low, high: values that are transparent and opaque.
        colours: of the C maps.

    Returns:
        (h, w, 4) RGBA in [0, 1].
    """
    known = np.nan_to_num(values, nan=low)
    palette = np.array(colours, np.float32) / 255
    strength = np.clip((known.max(axis=0) - low) / max(high - low, 1e-12), 0, 1)
    return np.dstack([palette[known.argmax(axis=0)], 0.9 * strength]).astype(np.float32)


def colour_ignored(weight: Floats, shape: tuple[int, int]) -> Floats:
    """Grey where the weight of a target is 0, the more opaque the more of its maps are ignored.

    Args:
        weight: (C, h, w).
        shape: (h, w).

    Returns:
        (h, w, 4) RGBA in [0, 1].
    """
    ignored = np.broadcast_to((weight == 0).mean(axis=0), shape)
    grey = np.broadcast_to(np.array(_IGNORED, np.float32), (*shape, 3))
    return np.dstack([grey, 0.6 * ignored]).astype(np.float32)


def split_vectors(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Split maps of vectors: x, y and length, each (C, h, w).

    Args:
        values: (2 C, h, w), x and y in turn.
    """
    x, y = values[0::2], values[1::2]
    return x, y, np.hypot(x, y)
