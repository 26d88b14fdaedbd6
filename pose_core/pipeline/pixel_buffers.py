"""Pixels in host memory: batches that are used again, copies of those that lie on a device."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from pose_core.structures import ByteArray


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


class HostCopies(Sequence[ByteArray]):
    """Frames (B, H, W, 3) on a device, copied to host memory by the stages that ask for them there."""

    def __init__(self, frames: Tensor) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, place: int) -> ByteArray: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[ByteArray]: ...

    def __getitem__(self, place: int | slice) -> ByteArray | Sequence[ByteArray]:
        chosen = self._frames[place]
        return HostCopies(chosen) if isinstance(place, slice) else chosen.cpu().numpy()
