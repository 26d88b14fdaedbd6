"""Bring windows around frames into one array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def slide(points: Floats, half: int) -> Floats:
    """Give each frame those around it.

    Args:
        points: (T, A, K, 2), NaN where missing.
        half: frames on either side.

    Returns:
        (T, A, K, 2, 2 half + 1) a view, NaN beyond the ends.
    """
    padded = np.pad(points, ((half, half), (0, 0), (0, 0), (0, 0)), constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
