"""Convert boxes of labels to those of torchvision, and back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

SMALLEST = 1.0
"""Pixels; narrower boxes (an animal with one keypoint) are widened to it about their centre."""


def to_edges(boxes: Tensor, height: int, width: int, shift: float = 0.5) -> tuple[Tensor, Tensor]:
    """Convert boxes to edge coordinates, inside the image and with a positive area.

    torchvision's losses are infinite for a box without an area.

    Args:
        boxes: (B, N, 4) float32 ``x1, y1, x2, y2``, the centre of the top-left pixel at (0, 0); NaN rows are
            no boxes.
        height, width: of the images in pixels.
        shift: added to all coordinates; 0.5 puts the corner of the top-left pixel at (0, 0).

    Returns:
        (B, N, 4) boxes with ``0 <= x1 < x2 <= width`` and ``0 <= y1 < y2 <= height``, at least 1 pixel on a
        side, and zeros where there is none; and (B, N) bool, True for rows that are boxes. A box outside the
        image is none.
    """
    edges = boxes + shift
    limit = edges.new_tensor([width, height])
    low, high = edges[..., :2], edges[..., 2:]
    # A comparison with NaN is false, so rows of NaN are not valid.
    valid = ((low <= limit) & (high >= 0) & (low <= high)).all(dim=-1)
    low, high = low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)
    # Widened about their centre, then moved inside: at the border the clamped box would be too narrow again.
    half = (high - low).clamp(min=SMALLEST) / 2
    centre = torch.maximum(torch.minimum((low + high) / 2, limit - half), half)
    inside = torch.cat([(centre - half).clamp(min=0), (centre + half).minimum(limit)], dim=-1)
    return torch.where(valid[..., None], inside, 0.0), valid


def pad_boxes(boxes: list[Tensor], scores: list[Tensor], shift: float = 0.5) -> tuple[Tensor, Tensor]:
    """Pad the boxes found in each image to one tensor, in coordinates of labels.

    Args:
        boxes: (M, 4) for each of the B images, in edge coordinates.
        scores: (M,) for each of the images.
        shift: subtracted from all coordinates.

    Returns:
        boxes (B, M, 4), NaN beyond the last, and scores (B, M), 0 beyond the last.
    """
    return (
        pad_sequence(boxes, batch_first=True, padding_value=float("nan")) - shift,
        pad_sequence(scores, batch_first=True, padding_value=0.0),
    )
