"""Show frames to networks as geometries say, on the device where the frames are: ``geometry.warp`` for a GPU.

The same matrices, the same blocks of averaged pixels and the same linear interpolation, for many views at once; beside
a GPU the cores then only decode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pose_core.data.geometry import find_reduction, invert, resize_matrix, warp
from pose_core.interfaces import FrameGeometry, Matrix, Picture


def show_frames(
    frames: Sequence[Picture],
    geometries: Sequence[FrameGeometry],
    device: torch.device,
    each: Callable[..., Iterable[Any]] = map,
) -> Tensor:
    """Show frames as geometries say: on the device those that are there, others before they are moved to it.

    Args:
        frames: one for each geometry, all in host memory or all on the device; one may stand there often.
        geometries: at least one, of one size.
        device: where the network is.
        each: maps a function over frames in host memory.

    Returns:
        (N, 3, h, w) uint8 on the device, channels last.
    """
    if isinstance(frames[0], Tensor):
        # Rows of one batch are made anew each time that they are asked for; where they lie tells them apart.
        distinct = {frame.data_ptr(): frame for frame in frames if isinstance(frame, Tensor)}
        places = {pointer: place for place, pointer in enumerate(distinct)}
        rows = [places[frame.data_ptr()] for frame in frames if isinstance(frame, Tensor)]
        return warp_frames(torch.stack(list(distinct.values())), rows, geometries)
    # Moved as (N, h, w, 3): seen as (N, 3, h, w) it is channels last already, with nothing rearranged.
    shown = np.stack(list(each(warp, frames, geometries)))
    return torch.from_numpy(shown).to(device).permute(0, 3, 1, 2)


def warp_frames(frames: Tensor, rows: Sequence[int], geometries: Sequence[FrameGeometry]) -> Tensor:
    """Warp frames: bilinear, zero outside, content where the matrices put it; within a grey level of ``warp``.

    Args:
        frames: (B, H, W, 3) uint8.
        rows: for each view the frame that it is of.
        geometries: of the views, at least one, of one size.

    Returns:
        (N, 3, h, w) uint8, channels last.
    """
    size = frames.shape[1], frames.shape[2]
    height, width = geometries[0].height, geometries[0].width
    output = frames.new_empty(len(rows), height, width, 3)
    by_factors: dict[tuple[int, int], list[int]] = {}
    for view, geometry in enumerate(geometries):
        by_factors.setdefault(find_reduction(geometry.matrix, *size), []).append(view)
    # A few at most: views of one zoom go through the device together.
    for factors, views in by_factors.items():
        used, places = np.unique([rows[view] for view in views], return_inverse=True)
        chosen = frames if len(used) == len(frames) else frames[torch.from_numpy(used).to(frames.device)]
        back = np.stack([invert(_take_out(geometries[view].matrix, factors)) for view in views])
        shown = _interpolate(_reduce(chosen, *factors), places, back, (height, width))
        if len(views) == len(rows):
            return shown.permute(0, 3, 1, 2)
        output[torch.tensor(views, device=frames.device)] = shown
    return output.permute(0, 3, 1, 2)


def _take_out(matrix: Matrix, factors: tuple[int, int]) -> Matrix:
    """The matrix for an image whose blocks of pixels were averaged."""
    return matrix if factors == (1, 1) else matrix @ resize_matrix((float(factors[0]), float(factors[1])))


def _reduce(frames: Tensor, factor_x: int, factor_y: int) -> Tensor:
    """Average blocks of pixels of (B, H, W, 3) uint8; outside of the frames is zero."""
    if factor_x == factor_y == 1:
        return frames
    right, bottom = -frames.shape[2] % factor_x, -frames.shape[1] % factor_y
    padded = functional.pad(frames, (0, 0, 0, right, 0, bottom)).permute(0, 3, 1, 2)
    means = functional.avg_pool2d(padded.float(), (factor_y, factor_x))
    # As OpenCV rounds: halves up for blocks of two by two, to the even value for others. One grey level in an eighth of
    # all pixels would move keypoints.
    rounded = (means + 0.5).floor_() if factor_x == factor_y == 2 else means.round_()
    return rounded.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _interpolate(
    frames: Tensor, rows: np.ndarray[Any, np.dtype[np.intp]], back: Matrix, size: tuple[int, int]
) -> Tensor:
    """Interpolate (B, H, W, 3) uint8 at the pixels of views.

    Args:
        frames: images.
        rows: (N,) image of each view.
        back: (N, 3, 3), pixels of the views -> pixels of the images.
        size: height and width of the views.

    Returns:
        (N, height, width, 3) uint8.
    """
    (high, wide), (height, width) = frames.shape[1:3], size
    # In float64, of which a GPU computes few and needs few: in float32 a pixel in 4000 would be off by a thousandth.
    at = torch.from_numpy(back).to(frames.device)[:, :, :, None, None]
    columns = torch.arange(width, dtype=torch.float64, device=frames.device)
    lines = torch.arange(height, dtype=torch.float64, device=frames.device)[:, None]
    x, y = (at[:, axis, 0] * columns + at[:, axis, 1] * lines + at[:, axis, 2] for axis in (0, 1))
    # However far outside: one pixel more is as zero as a thousand, and indices stay small.
    left, top = x.floor().clamp(-2, wide), y.floor().clamp(-2, high)
    right_share, lower_share = (x - left).clamp(0, 1).float(), (y - top).clamp(0, 1).float()
    column, line = left.long(), top.long()
    pixels = frames.reshape(-1, 3)
    start = torch.from_numpy(rows.astype(np.int64) * (high * wide)).to(frames.device)[:, None, None]

    def take(down: int, across: int) -> Tensor:
        at_line, at_column = line + down, column + across
        inside = (at_line >= 0) & (at_line < high) & (at_column >= 0) & (at_column < wide)
        index = start + at_line.clamp(0, high - 1) * wide + at_column.clamp(0, wide - 1)
        return pixels[index].float() * inside[..., None]

    upper = torch.lerp(take(0, 0), take(0, 1), right_share[..., None])
    lower = torch.lerp(take(1, 0), take(1, 1), right_share[..., None])
    return torch.lerp(upper, lower, lower_share[..., None]).round_().to(torch.uint8)
