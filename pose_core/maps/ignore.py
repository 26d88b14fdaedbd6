"""Ignore the background where unlabelled keypoints may be (weight 0).

An animal counts as present when one of its keypoints is labelled. What a present animal lacks may be anywhere
near it: in the whole map when it is the only animal; else in its box, widened. An image without animals is
background.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pose_core.interfaces import Grid, Labels


def present_animals(labels: Labels) -> Tensor:
    """(B, N) bool, the animals that have a labelled keypoint."""
    return torch.isfinite(labels.keypoints).all(-1).any(-1)


def lacking_keypoints(labels: Labels) -> Tensor:
    """Find what present animals lack: keypoints that may be anywhere, as nobody labelled them.

    Returns:
        (B, N, K) bool; False for keypoints that are certainly not in the input (``labels.absent``).
    """
    lacks = present_animals(labels)[..., None] & ~torch.isfinite(labels.keypoints).all(-1)
    return lacks if labels.absent is None else lacks & ~labels.absent


def animal_boxes(labels: Labels) -> Tensor:
    """Boxes of animals: the labelled ones, else those around the labelled keypoints.

    Returns:
        (B, N, 4) float32 ``x1, y1, x2, y2``, pixels of the network's input; infinite where an animal has
        neither.
    """
    points = labels.keypoints
    labelled = torch.isfinite(points).all(-1, keepdim=True)
    least = torch.where(labelled, points, torch.inf).amin(2)
    most = torch.where(labelled, points, -torch.inf).amax(2)
    known = torch.isfinite(labels.boxes).all(-1, keepdim=True)
    return torch.where(known, labels.boxes, torch.cat([least, most], dim=-1))


def ignore_boxes(labels: Labels) -> tuple[Tensor, Tensor]:
    """Boxes in which the unlabelled keypoints of animals may be.

    Each is the animal's box, widened on each side by half the longest side of all boxes in the image.

    Returns:
        their lower and upper corners (B, N, 2) float32, pixels of the network's input; infinite for the only
        animal of an image.
    """
    present = present_animals(labels)
    boxes = torch.where(present[..., None], animal_boxes(labels), 0.0)
    longest = (boxes[..., 2:] - boxes[..., :2]).amax((1, 2))
    alone = (present.sum(1) <= 1) | (longest <= 0)
    margin = torch.where(alone, torch.inf, longest / 2)[:, None, None]
    return boxes[..., :2] - margin, boxes[..., 2:] + margin


def mask_background(
    labels: Labels, lacks: Tensor, grid: Grid, size: tuple[int, int], values: int = 1
) -> Tensor | None:
    """Mask the background: True where it is certain that nothing is missing from the labels.

    Args:
        labels: of the batch.
        lacks: (B, N, C) bool, which animals are present and lack what map c shows (a keypoint, a limb).
        grid: of the maps.
        size: (h, w) of the maps.
        values: maps side by side for each c (2 for x and y).

    Returns:
        bool (B, C * values, h, w), or (B, C * values, 1, 1) where whole maps are certain or not; None where
        all of the background is certain (on a CPU only).
    """
    batch, animals, maps = lacks.shape
    # Nothing is lacking in most batches, and masks are not free; on a GPU asking would wait for it.
    if lacks.device.type == "cpu" and not lacks.any():
        return None
    if animals <= 1:
        return ~lacks.any(1).repeat_interleave(values, dim=1)[:, :, None, None]
    low, high = ignore_boxes(labels)
    x, y = (grid.centres(size[1 - axis], device=lacks.device) for axis in (0, 1))
    columns = (x >= low[..., 0, None]) & (x <= high[..., 0, None])
    rows = lacks[..., None] & ((y >= low[..., 1, None]) & (y <= high[..., 1, None]))[:, :, None]
    ignored: Tensor | None = None
    # A cell is ignored if one animal has both its row and its column. Each animal is a bit, so that a byte a
    # cell is enough for eight of them: several times faster than a map an animal.
    for first in range(0, animals, 8):
        columns_bits, rows_bits = (_pack_bits(mask[:, first : first + 8]) for mask in (columns, rows))
        bits = rows_bits[..., None] & columns_bits[:, None, None]
        ignored = bits if ignored is None else ignored | bits
    assert ignored is not None
    # On a CPU several times faster than comparing with 0, above all of an expanded tensor.
    known = torch.logical_not(ignored)
    every = known[:, :, None].expand(-1, -1, values, -1, -1).reshape(batch, maps * values, *size)
    # Of a single map the reshape is still the expanded view, into which nothing can be written.
    return every.contiguous()


def _pack_bits(mask: Tensor) -> Tensor:
    """(B, up to 8, ...) bool -> (B, ...) uint8 with a bit for each."""
    bits = 2 ** torch.arange(mask.shape[1], device=mask.device, dtype=torch.uint8)
    packed: Tensor = (mask * bits.view(-1, *[1] * (mask.dim() - 2))).sum(1, dtype=torch.uint8)
    return packed
