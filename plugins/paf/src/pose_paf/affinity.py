"""How well fields agree with candidate limbs. All images, limbs and candidates at once, on the fields'
device."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_core.interfaces import Grid
from pose_core.maps import normalize_cells, sample_normalized


def score_limbs(
    paf: Tensor, starts: Tensor, ends: Tensor, grid: Grid, *, samples: int = 10, nearest: bool = False
) -> Tensor:
    """Mean of the field's component along each candidate limb (the line integral of Cao et al. 2017).

    Args:
        paf: (B, 2 L, h, w), x before y.
        starts: (B, L, M, 2) positions of candidates for the first keypoint of each limb, pixels; NaN where
            none.
        ends: (B, L, N, 2) the same of its second keypoint.
        grid: of the fields.
        samples: points at which the field is read, from end to end.
        nearest: read the nearest cell, else between four.

    Returns:
        (B, L, M, N): 1 where the field agrees fully, 0 where it says nothing, down to -1 where it is opposed;
        NaN where a candidate is missing or the field is. Ends in one place: 0.
    """
    batch, limbs, first, _ = starts.shape
    second = ends.shape[2]
    height, width = paf.shape[-2:]
    way = ends[:, :, None] - starts[:, :, :, None]
    # Not the root of a sum: MKL computes roots with threads of its own, which wait where cores are busy.
    length: Tensor = torch.linalg.vector_norm(way, dim=-1, keepdim=True)
    along = torch.linspace(0, 1, samples, device=paf.device, dtype=paf.dtype)
    # Ends are brought to the coordinates of the fields before the points between them are made, which are
    # many.
    first_end, second_end = (
        normalize_cells(grid.to_cells(end), (height, width)).nan_to_num(0.0)
        for end in (starts[:, :, :, None], ends[:, :, None])
    )
    where = first_end[..., None, :] + (second_end - first_end)[..., None, :] * along[:, None]
    if nearest:
        size = paf.new_tensor([max(width - 1, 1), max(height - 1, 1)])
        cells = (where + 1) * (size / 2)
        column = cells[..., 0].round().clamp(0, width - 1).long()
        row = cells[..., 1].round().clamp(0, height - 1).long()
        index = (row * width + column).flatten(2)[:, :, None].expand(-1, -1, 2, -1)
        read = paf.view(batch, limbs, 2, -1).gather(3, index)
    else:
        fields = paf.reshape(batch * limbs, 2, height, width)
        where = where.view(batch * limbs, first * second, samples, 2)
        read = sample_normalized(fields, where)
    # The vectors are averaged before the product with the direction: equal to the mean of products, with
    # fewer numbers.
    vector = read.view(batch, limbs, 2, first, second, samples).mean(-1)
    # Two candidates in one place have no direction; the clamp makes their affinity 0 instead of NaN.
    unit = way / length.clamp(min=1e-6)
    return vector[:, :, 0] * unit[..., 0] + vector[:, :, 1] * unit[..., 1]


def penalize_length(affinity: Tensor, starts: Tensor, ends: Tensor, longest: float, penalty: float) -> Tensor:
    """Lower the affinity of candidate limbs that are longer than an animal's may be.

    One of length l > ``longest`` loses ``penalty`` (1 - longest / l), as in OpenPose (Cao et al. 2019) and
    SLEAP (Pereira et al. 2022).

    Args:
        affinity: (B, L, M, N), of :func:`score_limbs`.
        starts: (B, L, M, 2) pixels, NaN where none.
        ends: (B, L, N, 2).
        longest: pixels.
        penalty: at least 0.
    """
    length: Tensor = torch.linalg.vector_norm(ends[:, :, None] - starts[:, :, :, None], dim=-1)
    return affinity - penalty * (1 - longest / length.clamp(min=longest))
