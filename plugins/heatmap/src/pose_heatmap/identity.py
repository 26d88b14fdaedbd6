"""Which individual a place belongs to: a map for each individual, read where another head found keypoints.

A place belongs to one individual, so the maps of a place compete (softmax) and are learned only where an
animal is. Nothing is asked of them elsewhere, because they are read at keypoints only; that leaves out the
background, which is nearly all of an image. (DeepLabCut 3 learns each map against the background, by binary
cross-entropy; the loss ``heatmap/bce`` does that here.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, KeypointAxis, Labels, MapView, Target, TargetGenerator
from pose_core.maps import KeypointWindows, MapsHead, paint_maximum, prior_bias, repeat_names, stack_axes
from pose_core.structures import Skeleton
from pose_heatmap.identity_config import IDENTITY, IdentityConfig, IdentityHeadConfig


def find_individuals(skeleton: Skeleton, head: str) -> tuple[str, ...]:
    """The individuals that a head can tell apart.

    Args:
        skeleton: of the model.
        head: its type, for the message.

    Raises:
        ConfigError: the skeleton has no individuals that could be told apart.
    """
    if not skeleton.identified or skeleton.num_individuals < 2:
        raise ConfigError(
            f"{head} needs a skeleton with several individuals, each the same animal in every frame "
            "(identified: true); this one has none, so leave the head out (null in its place)"
        )
    return skeleton.individuals


class IdentityHead(MapsHead):
    """Maps of individuals.

    Output ``identity`` (B, N, h, w): logits, of which individual the place is.

    Raises:
        ConfigError: the skeleton has no individuals that could be told apart.
    """

    def __init__(self, config: IdentityHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.individuals = find_individuals(context.skeleton, config.type)
        self.heatmap_head = self.make_maps(len(self.individuals), bias=prior_bias(not config.exclusive()))
        self.activation: Literal["softmax", "sigmoid"] = "softmax" if config.exclusive() else "sigmoid"
        self.set_codec(
            context.build("target_generator", config.decided_target_generator(), self.grid),
            context.build("predictor", config.decided_predictor(), self.grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``identity`` (B, N, h, w) logits.
        """
        return {IDENTITY: self.heatmap_head(features[self.feature])}

    def describe_maps(self) -> dict[str, MapView]:
        """Individuals, that compete where the loss compares them."""
        return {IDENTITY: MapView("class", self.individuals, activation=self.activation)}

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        return stack_axes("heatmap_head", self.heatmap_head, repeat_names(self.individuals), individuals=True)


class IdentityTargets(TargetGenerator):
    """Discs around all labelled keypoints of an animal, in the map of its individual.

    Where discs of several animals overlap, the nearest keypoint decides. Animals of unknown identity count
    for that, and their places have weight 0. The background has weight 0 too, or with ``background`` is 0 in
    every map.
    """

    def __init__(self, config: IdentityConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.radius = config.decided_radius(grid.stride)
        self.background = bool(config.background)
        self.individuals = context.skeleton.num_individuals

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, pixels of the network's input.
            outputs: ``identity`` (B, N, h, w), for its shape.

        Returns:
            ``identity``: values 0 or 1, (B, N, h, w), of one individual at most; weights (B, 1, h, w).
        """
        maps = outputs[IDENTITY]
        batch, individuals, h, w = maps.shape
        if not labels.keypoints.shape[1]:
            weight = maps.new_full((batch, 1, h, w), float(self.background), dtype=torch.float32)
            return {IDENTITY: Target(torch.zeros_like(maps, dtype=torch.float32), weight)}
        # One map an animal, with discs around all of its keypoints.
        windows = KeypointWindows.around(labels.keypoints, self.grid, (h, w), self.radius)
        squared = windows.squared_distance() / self.radius**2
        closeness = torch.where(windows.inside() & (squared <= 1), 2 - squared, 0.0)
        # At least 1 inside every disc, so that 0 is left for places without an animal.
        nearness, owner = paint_maximum(windows.index().flatten(2), closeness.flatten(2), (h, w)).max(
            1, keepdim=True
        )
        identity = labels.identity[:, :, None, None].expand(-1, -1, h, w).gather(1, owner)
        occupied = nearness > 0
        known = occupied & (identity >= 0) & (identity < individuals)
        every = torch.arange(individuals, device=maps.device)[:, None, None]
        value = ((identity == every) & known).float()
        weight = (known | ~occupied if self.background else known).float()
        return {IDENTITY: Target(value, weight)}
