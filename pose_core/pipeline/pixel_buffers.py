"""Reuse host memory for batches of pixels."""

from __future__ import annotations

import threading
from collections import deque

import torch
from torch import Tensor


class PixelBuffers:
    """Batches of pixels, allocated once a size. May be used by several threads.

    Args:
        pinned: whether a GPU reads them while the host goes on.
    """

    # As many as can be under way between preparing and writing.
    _KEPT = 6

    def __init__(self, pinned: bool) -> None:
        self._pinned = pinned
        self._free: deque[Tensor] = deque(maxlen=self._KEPT)
        self._lock = threading.Lock()

    def take(self, count: int, height: int, width: int) -> Tensor:
        """Give a buffer (count, height, width, 3) uint8, contents undefined."""
        shape = (count, height, width, 3)
        with self._lock:
            for i, buffer in enumerate(self._free):
                if tuple(buffer.shape) == shape:
                    # Not remove(): it compares tensors, which gives a tensor and no truth.
                    del self._free[i]
                    return buffer
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self._pinned)

    def give(self, buffer: Tensor) -> None:
        """Take a buffer back."""
        with self._lock:
            self._free.append(buffer)
