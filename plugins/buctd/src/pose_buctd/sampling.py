"""Poses as a bottom-up model would find them, made of labels (PoseFix, Moon et al. 2019).

Each keypoint of the animal becomes one of five kinds. The keypoint similarity exp(-d^2 / (2 area (2
sigma)^2)) of OKS
says how far off they are: good ones are within similarity 0.85, jittered ones between 0.85 and 0.5, missed
ones between 0.5 and 0.1 of the true place; swapped and inverted ones within 0.5 of the place they are taken
for. Then the pose is moved and turned as a whole, as that of an earlier frame would be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

GOOD, JITTER, MISS, INVERSION, SWAP = range(5)
_SIMILARITIES = ((1.0, 0.85), (0.85, 0.5), (0.5, 0.1), (1.0, 0.5), (1.0, 0.5))
"""By kind: keypoint similarities to the place it is taken for, at the inner and outer edge of the ring."""


@dataclass(frozen=True)
class Sampled:
    """Imperfect poses.

    Attributes:
        keypoints: (B, K, 2) float32; NaN where there is none.
        kind: (B, K) int64, what became of each keypoint.
        taken_for: (B, K, 2) float32, the place that it is near to.
    """

    keypoints: Tensor
    kind: Tensor
    taken_for: Tensor


def ring(area: Tensor, sigma: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest distance of keypoints from the place they are taken for.

    Args:
        area: (B,) of the animals, square pixels.
        sigma: (K,) of OKS.
        kind: (B, K).

    Returns:
        two tensors (B, K), pixels.
    """
    roots = torch.tensor(
        [[math.sqrt(-2 * math.log(s)) for s in pair] for pair in _SIMILARITIES],
        dtype=area.dtype,
        device=area.device,
    )
    unit = area.sqrt()[:, None] * (2 * sigma)[None]
    edges = roots[kind] * unit.unsqueeze(-1)
    return edges[..., 0], edges[..., 1]


def imperfect_poses(
    keypoints: Tensor,
    area: Tensor,
    probabilities: Tensor,
    missing: float,
    sigma: Tensor,
    mirror: Tensor,
    image_size: tuple[int, int],
    generator: torch.Generator | None = None,
    *,
    shift: float = 0.0,
    turn: float = 0.0,
) -> Sampled:
    """One imperfect pose of the first animal of each image. No loop over images, animals or keypoints.

    A kind that is impossible for a keypoint (nobody to be swapped with, no mirrored keypoint) leaves its
    probability to the others. A keypoint without a label gets no condition. Some others are left out, but
    never all.

    Args:
        keypoints: (B, N, K, 2), the animal first and its neighbours after it; NaN: unlabelled.
        area: (B,) of the first animals, square pixels.
        probabilities: (5,) of the kinds, summing to 1.
        missing: probability that a keypoint is left out.
        sigma: (K,) of OKS.
        mirror: (K,) int64, the mirrored keypoint; all their own: the skeleton has no symmetry.
        image_size: (H, W); poses are kept within.
        generator: of random numbers, on the device of the keypoints; None: torch's own.
        shift: largest distance by which the whole pose is moved in the end, in roots of the area.
        turn: largest angle, degrees, by which it is turned about its middle either way.
    """
    b, n, k, _ = keypoints.shape
    device, truth = keypoints.device, keypoints[:, 0]

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, device=device, generator=generator)

    labelled = ~torch.isnan(truth).any(-1)
    inverted = _inverted(truth, mirror, rand(b, k, k))
    swapped = _swapped(keypoints[:, 1:], mirror, rand(b, k, 2 * (n - 1)))
    # The first three kinds are near the true place and differ in their distance alone.
    places = torch.stack([truth, truth, truth, inverted, swapped])
    possible = ~torch.isnan(places).any(-1)
    # Columns in the order of the kinds; of a keypoint without label all are impossible, and it becomes no
    # condition.
    steps = (probabilities[:, None, None] * possible).cumsum(0)
    kind = (rand(b, k) * steps[-1] >= steps[:-1]).sum(0)
    # Probability 0 of all that is possible: it is good.
    kind = kind.masked_fill(steps[-1] <= 0, GOOD)
    taken_for = places.gather(0, kind[None, :, :, None].expand(1, b, k, 2))[0]

    inner, outer = ring(area, sigma, kind)
    radius = inner + (outer - inner) * rand(b, k)
    angle = 2 * math.pi * rand(b, k)
    moved = taken_for + radius.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], dim=-1)
    moved = _as_a_whole(moved, area.sqrt() * shift, math.radians(turn), rand(b, 3))
    limit = torch.tensor([image_size[1] - 1, image_size[0] - 1], dtype=moved.dtype, device=device)
    moved = torch.minimum(moved.clamp(min=0), limit)

    # The labelled keypoint with the largest number always stays, so a pose is never empty.
    chance = rand(b, k).masked_fill(~labelled, -1.0)
    there = labelled & ((chance >= missing) | (chance == chance.amax(1, keepdim=True)))
    return Sampled(moved.masked_fill(~there.unsqueeze(-1), torch.nan), kind, taken_for)


def _as_a_whole(poses: Tensor, reach: Tensor, angle: float, chance: Tensor) -> Tensor:
    """Poses (B, K, 2) turned about their middles by up to ``angle`` either way and moved by up to ``reach``
    (B,)."""
    turned, way, far = chance.unbind(-1)
    turned, way = (2 * turned - 1) * angle, 2 * math.pi * way
    middle = poses.nanmean(1, keepdim=True)
    x, y = (poses - middle).unbind(-1)
    cosine, sine = turned.cos()[:, None], turned.sin()[:, None]
    around = torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)
    # The root makes all places within reach equally likely.
    step = (reach * far.sqrt()).unsqueeze(-1) * torch.stack([way.cos(), way.sin()], dim=-1)
    return middle + around + step[:, None]


def _inverted(truth: Tensor, mirror: Tensor, chance: Tensor) -> Tensor:
    """(B, K, 2): where the mirrored keypoint is; NaN where there is none."""
    k = len(mirror)
    own = torch.arange(k, device=mirror.device)
    symmetric = (mirror != own).any()
    mirrored = truth[:, mirror].masked_fill((mirror == own)[None, :, None], torch.nan)
    # Without symmetry any other labelled keypoint of the animal.
    impossible = torch.isnan(truth).any(-1)[:, None, :] | torch.eye(k, dtype=torch.bool, device=truth.device)
    chosen = chance.masked_fill(impossible, -1.0)
    other = truth.gather(1, chosen.argmax(-1, keepdim=True).expand(-1, -1, 2))
    other = other.masked_fill(impossible.all(-1, keepdim=True), torch.nan)
    return torch.where(symmetric, mirrored, other)


def _swapped(others: Tensor, mirror: Tensor, chance: Tensor) -> Tensor:
    """(B, K, 2): the same or the mirrored keypoint of another animal, chosen at random; NaN where there is
    none."""
    b, n, k, _ = others.shape
    if not n:
        return others.new_full((b, k, 2), torch.nan)
    # For keypoints that mirror onto themselves both halves are the same places, equally often.
    candidates = torch.cat([others, others[:, :, mirror]], dim=1).transpose(1, 2)
    impossible = torch.isnan(candidates).any(-1)
    chosen = chance.masked_fill(impossible, -1.0).argmax(-1)
    place = candidates.gather(2, chosen[..., None, None].expand(-1, -1, 1, 2)).squeeze(2)
    return place.masked_fill(impossible.all(-1, keepdim=True), torch.nan)
