"""Poses drawn as maps. A Gaussian is the product of one along x and one along y, so only profiles are
computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def gaussian_profiles(positions: Tensor, length: int, sigma: float) -> Tensor:
    """Gaussians of height 1 along one axis, at the very positions.

    Args:
        positions: (..., ) float32, pixels; NaN: missing.
        length: of the axis.
        sigma: standard deviation in pixels.

    Returns:
        (..., length) float32; zeros where missing.
    """
    pixels = torch.arange(length, dtype=positions.dtype, device=positions.device)
    scale = 1 / (sigma * math.sqrt(2))
    return torch.exp(-(((pixels - positions.unsqueeze(-1)) * scale) ** 2)).nan_to_num(0.0)


def blurred_profiles(pixels: Tensor, length: int, sigma: float, radius: int) -> Tensor:
    """A one at a pixel after a Gaussian filter that is cut off and mirrors the image at its borders, as
    OpenCV does.

    Args:
        pixels: (..., ) whole numbers in [0, length) as float32; NaN: missing.
        length: of the axis, above ``radius``.
        sigma: standard deviation in pixels.
        radius: of the filter.

    Returns:
        (..., length) float32, 1 in the middle of a Gaussian far from the borders; zeros where missing.
    """
    at = torch.arange(length, dtype=pixels.dtype, device=pixels.device)
    p = pixels.unsqueeze(-1)
    last = length - 1

    def kernel(distance: Tensor) -> Tensor:
        return torch.exp(-(distance**2) / (2 * sigma**2)) * (distance.abs() <= radius)

    # Mirrored about the centre of the last pixel (1 2 3 | 2 1): that pixel itself has no second image.
    left, right = kernel(at + p) * (p > 0), kernel(2 * last - at - p) * (p < last)
    return (kernel(at - p) + left + right).nan_to_num(0.0)


def product(rows: Tensor, columns: Tensor) -> Tensor:
    """Maps (..., H, W) of profiles (..., H) and (..., W)."""
    return rows.unsqueeze(-1) * columns.unsqueeze(-2)


def coloured(rows: Tensor, columns: Tensor, colours: Tensor) -> Tensor:
    """All keypoints in one picture.

    Args:
        rows, columns: (B, K, H) and (B, K, W).
        colours: (K, 3).

    Returns:
        (B, 3, H, W); where keypoints overlap, the sum.
    """
    b, k, h = rows.shape
    # The sum over keypoints is a product of matrices: K maps of the whole image are never made.
    weighted = rows.unsqueeze(2) * colours[None, :, :, None]
    return (weighted.reshape(b, k, 3 * h).mT @ columns).reshape(b, 3, h, columns.shape[-1])


def rainbow(count: int) -> list[tuple[float, float, float]]:
    """Colours from violet to red, as far from each other as the count allows (Matplotlib's map of that
    name)."""
    # Steps of a table of 256 colours, in whole numbers: imported networks were trained with these.
    steps = [min(int(256 * i / (count - 1)), 255) / 255 if count > 1 else 0.0 for i in range(count)]
    return [
        tuple(  # type: ignore[misc]
            int(min(max(value, 0.0), 1.0) * 255) / 255
            for value in (abs(2 * x - 0.5), math.sin(math.pi * x), math.cos(math.pi * x / 2))
        )
        for x in steps
    ]


def last_at_each_place(keypoints: Tensor) -> Tensor:
    """Which keypoints are not covered by a later one on the same pixel.

    Args:
        keypoints: (B, K, 2) whole numbers; NaN: missing.

    Returns:
        (B, K) bool.
    """
    same = (keypoints.unsqueeze(1) == keypoints.unsqueeze(2)).all(-1)
    return ~same.triu(diagonal=1).any(-1)


def colour_table(colours: Sequence[Sequence[float]] | None, count: int) -> Tensor:
    """(K, 3) float32.

    Raises:
        ValueError: there are not as many colours as keypoints.
    """
    chosen = colours if colours is not None else rainbow(count)
    if len(chosen) != count:
        raise ValueError(
            f"colours: {len(chosen)} colours for {count} keypoints; give one a keypoint, or null"
        )
    return torch.tensor([list(colour) for colour in chosen], dtype=torch.float32)
