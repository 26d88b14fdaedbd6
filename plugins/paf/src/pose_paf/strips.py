"""The cells of maps that lie on limbs.

Limbs are thin. So only the columns (of flat limbs) or rows (of steep ones) that a limb crosses are visited,
and in each of them the few cells around the limb; the cost grows with the length of the limbs, not with their
number times pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Strips:
    """Cells on limbs, C of them; a cell on several limbs is there for each.

    Attributes:
        limb: (C,) int64, which of the limbs.
        cell: (C,) int64, position in the flattened map.
        across: (C,) float32, distance of the cell's centre from the limb's line, as a fraction of the reach,
            below 1.
        past: (C,) float32, how far the cell's centre lies beyond the nearer end, along the line, as a
            fraction of the reach; 0 beside the limb. None where nobody asked.
    """

    limb: Tensor
    cell: Tensor
    across: Tensor
    past: Tensor | None = None


def find_strips(
    start: Tensor,
    direction: Tensor,
    length: Tensor,
    size: tuple[int, int],
    reach: float,
    *,
    round_ends: bool = False,
) -> Strips:
    """Find the cells nearer to limbs than ``reach``.

    A strip reaches half a cell beyond either end of its limb, so that short limbs have a cell too; with round
    ends as far as to its sides.

    Args:
        start: (T, 2) x and y of one end in cells.
        direction: (T, 2) unit vectors to the other end.
        length: (T,) cells.
        size: (h, w) of the maps.
        reach: cells.
        round_ends: whether cells around the ends belong to the strip, and ``past`` is wanted.
    """
    device, overhang = start.device, reach if round_ends else 0.5
    steep = direction[:, 1].abs() > direction[:, 0].abs()
    # Along the axis that a limb mostly follows (major), and the other one (minor).
    order = torch.stack([steep.long(), 1 - steep.long()], dim=1)
    origin, heading = start.gather(1, order), direction.gather(1, order)
    sides = torch.tensor([size[1], size[0]], device=device)[order]
    near, far = origin[:, 0], origin[:, 0] + heading[:, 0] * length
    extent = overhang * heading[:, 0].abs() + reach * heading[:, 1].abs()
    # Clamped in floats first: what lies far outside the map has no place among integers.
    beyond = float(max(size))
    first = (torch.minimum(near, far) - extent).clamp(-1.0, beyond).ceil().long().clamp(min=0)
    last = torch.minimum(
        (torch.maximum(near, far) + extent).clamp(-1.0, beyond).floor().long(), sides[:, 0] - 1
    )
    count = (last - first + 1).clamp(min=0)
    # A ragged loop over limbs and their columns, flattened: one entry a column of a limb.
    line = torch.repeat_interleave(count)
    begin = count.cumsum(0) - count
    major = torch.arange(len(line), device=device) - begin[line] + first[line]
    # The limb is at most 45 degrees from its major axis, so a line crosses its strip on 2 sqrt(2) reach at
    # most.
    half = int(reach * 2**0.5 + 0.5) + 1
    along = major.float() - origin[line, 0]
    slope = (heading[:, 1] / heading[:, 0])[line]
    middle = (origin[line, 1] + along * slope).clamp(-half - 1.0, beyond + half).round()
    minor = middle.long()[:, None] + torch.arange(-half, half + 1, device=device)
    off = minor.float() - origin[line, 1, None]
    heading = heading[line]
    across = (along * heading[:, 1])[:, None] - off * heading[:, :1]
    way = (along * heading[:, 0])[:, None] + off * heading[:, 1:]
    across = across.abs().div_(reach)
    inside = (across < 1) & (way >= -overhang) & (way <= (length[line] + overhang)[:, None])
    inside &= (minor >= 0) & (minor < sides[line, 1, None])
    # Columns of flat limbs: row (minor) times width plus column (major); the other way round for steep ones.
    width, upright = size[1], steep[line]
    cell = minor * torch.where(upright, 1, width)[:, None] + (major * torch.where(upright, width, 1))[:, None]
    chosen = inside.flatten().nonzero()[:, 0]
    past = None
    if round_ends:
        past = torch.maximum(-way, way - length[line, None]).clamp(min=0).flatten()[chosen] / reach
    return Strips(
        line[chosen.div(2 * half + 1, rounding_mode="floor")],
        cell.flatten()[chosen],
        across.flatten()[chosen],
        past,
    )
