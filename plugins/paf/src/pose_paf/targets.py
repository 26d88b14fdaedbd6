"""Labels -> part affinity fields."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_core.maps import mask_background, present_animals
from pose_paf.config import PAF, FieldTargetConfig, PafTargetConfig
from pose_paf.strips import Strips, find_strips

_LEAST = 0.01
"""Pixels below which the ends of a limb are one point and the limb has no direction."""


_QUARTIC_SUPPORT = 2.2
"""Widths after which a quartic vector counts as zero (there it is 0.000008 long)."""


class FieldTargets(TargetGenerator):
    """Part affinity fields (Cao et al. 2017).

    In the strip of a limb, ``width`` pixels to either side, the field is the unit vector from its first
    keypoint to its second one (times 1 - distance / width with the profile ``linear``, as Lauer et al. 2022
    have it; times exp(-(distance / width)^4 / 2) with ``quartic``, the distance being that from the limb and
    not from its line, as Pereira et al. 2022 have it). Where strips of several animals overlap, the nearest
    limb wins, of equally near ones the animal that comes first; or vectors are added up.

    A limb with an unlabelled end, or with both ends in one place, teaches nothing, and near an animal that
    lacks it the background has weight 0 (:func:`pose_core.maps.mask_background`); with ``missing: absent`` it
    is background. Labelled strips count everywhere. An image without any animal is background.

    The limbs are the edges of the context's skeleton.
    """

    def __init__(self, config: FieldTargetConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.width = config.decided_width(grid.stride)
        self.profile, self.summed = config.profile, config.overlap == "sum"
        self.teaches_absent = config.teaches_absent()
        limbs = torch.tensor(context.skeleton.edge_indices, dtype=torch.int64).view(-1, 2)
        self.register_buffer("first", limbs[:, 0], persistent=False)
        self.register_buffer("second", limbs[:, 1], persistent=False)

    first: Tensor
    second: Tensor

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: of the head, for their shapes.

        Returns:
            ``paf``: vectors (B, 2 L, h, w), x before y, of length at most 1 (added up: more), and bool
            weights.
        """
        size = (outputs[PAF].shape[-2], outputs[PAF].shape[-1])
        first, second = self.first.to(labels.keypoints.device), self.second.to(labels.keypoints.device)
        points = labels.keypoints
        ways = points[:, :, second] - points[:, :, first]
        lengths = ways.square().sum(-1).sqrt()
        known = torch.isfinite(lengths) & (lengths > _LEAST)
        batch, animal, limb = known.nonzero(as_tuple=True)
        length = lengths[batch, animal, limb]
        direction = ways[batch, animal, limb] / length[:, None]
        start = self.grid.to_cells(points[batch, animal, first[limb]])
        quartic = self.profile == "quartic"
        reach = self.width / self.grid.stride * (_QUARTIC_SUPPORT if quartic else 1)
        found = find_strips(start, direction, length / self.grid.stride, size, reach, round_ends=quartic)
        value = points.new_zeros(len(points), len(first), 2, size[0] * size[1])
        painted = self._paint(value, found, direction, batch, animal, limb)
        weight = self._weights(labels, known, size, painted)
        return {PAF: Target(value.view(len(points), -1, *size), weight)}

    def _paint(
        self, value: Tensor, found: Strips, direction: Tensor, batch: Tensor, animal: Tensor, limb: Tensor
    ) -> Tensor:
        """Write vectors into ``value`` (B, L, 2, h * w); returns where their x went, (C,) places in it,
        flattened."""
        cells = value.shape[-1]
        plane = batch * value.shape[1] + limb
        flat = value.view(-1)
        place = (2 * cells * plane)[found.limb] + found.cell
        vector, away = direction[found.limb], found.across
        if self.profile == "linear":
            vector = vector * (1 - away)[:, None]
        elif self.profile == "quartic":
            assert found.past is not None
            away = (away.square() + found.past.square()).sqrt()
            vector = vector * torch.exp((_QUARTIC_SUPPORT * away) ** 4 * -0.5)[:, None]
        if self.summed:
            flat.scatter_add_(0, place, vector[:, 0])
            flat.scatter_add_(0, place + cells, vector[:, 1])
            return place
        if value.device.type != "cpu" or int(animal.max() if len(animal) else 0) > 0:
            # Closeness takes the place of x until the nearest limb is known; it is above 0 and differs
            # between animals.
            close = 2 - away - 1e-5 * animal[found.limb]
            wins = close >= flat.scatter_reduce_(0, place, close, "amax")[place]
            place, vector = place[wins], vector[wins]
        flat.scatter_(0, place, vector[:, 0])
        flat.scatter_(0, place + cells, vector[:, 1])
        return place

    def _weights(self, labels: Labels, known: Tensor, size: tuple[int, int], painted: Tensor) -> Tensor:
        """Bool, (B, 2 L, 1, 1) where whole maps are certain or not, else (B, 2 L, h, w)."""
        if self.teaches_absent:
            return known.new_ones(len(known), 2 * known.shape[2], 1, 1)
        lacks = present_animals(labels)[..., None] & ~known
        weight = mask_background(labels, lacks, self.grid, size, values=2)
        if weight is None:
            return lacks.new_ones(len(lacks), 2 * lacks.shape[2], 1, 1)
        if weight.shape[-2:] == size:
            # x and y of a field are neighbouring maps, so the second place lies one map further.
            weight.view(-1).index_fill_(0, torch.cat([painted, painted + size[0] * size[1]]), True)
        return weight


class PafTargets(FieldTargets):
    """Part affinity fields, beside the targets of the generator ``maps``."""

    def __init__(self, config: PafTargetConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.maps: TargetGenerator = context.build("target_generator", config.maps, grid)

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: of the head, for their shapes.

        Returns:
            those of ``maps``, and ``paf``.
        """
        return {**self.maps(labels, outputs), **super().forward(labels, outputs)}
