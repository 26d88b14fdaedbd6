"""Turn bytes of images into the floats that networks compute with."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_core.structures import ByteArray, FloatArray


def normalise(images: Tensor, mean: Tensor, std: Tensor, *, channels_last: bool) -> Tensor:
    """Compute (images - mean) / std in float32.

    Args:
        images: (B, 3, H, W) uint8.
        mean, std: (1, 3, 1, 1) float32 in grey levels, on the device of the images.
        channels_last: whether the channels of a pixel shall lie side by side in memory, or each channel by itself.

    Returns:
        (B, 3, H, W) float32, a new tensor.
    """
    if images.device.type == "cpu" and images.numel():
        # A byte has 256 values. Looked up, they are equal to the bit, in one pass over the memory instead of four.
        levels = torch.arange(256, dtype=torch.float32).view(256, 1, 1, 1)
        tables = ((levels - mean) / std).view(256, 3).numpy()
        pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
        return _look_up_pixels(pixels, tables) if channels_last else _look_up_planes(pixels, tables)
    # In place is safe: uint8 to float32 always makes a new tensor.
    floats = images.to(torch.float32).sub_(mean).div_(std)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return floats.contiguous(memory_format=layout)


def _look_up_pixels(pixels: ByteArray, tables: FloatArray) -> Tensor:
    """From (B, H, W, 3) to (B, 3, H, W), which lies in memory as the pixels do."""
    floats = np.empty(pixels.shape, np.float32)
    # OpenCV knows images of two sides only: all images, one under the other.
    cv2.LUT(pixels.reshape(-1, *pixels.shape[2:]), tables[None], floats.reshape(-1, *pixels.shape[2:]))
    return torch.from_numpy(floats).permute(0, 3, 1, 2)


def _look_up_planes(pixels: ByteArray, tables: FloatArray) -> Tensor:
    """From (B, H, W, 3) to (B, 3, H, W), which lies in memory as it says."""
    count, height, width, channels = pixels.shape
    floats = np.empty((count, channels, height, width), np.float32)
    for image, planes in zip(pixels, floats, strict=True):
        for channel, bytes_of_it in enumerate(cv2.split(image)):
            cv2.LUT(bytes_of_it, np.ascontiguousarray(tables[:, channel]), planes[channel])
    return torch.from_numpy(floats)
