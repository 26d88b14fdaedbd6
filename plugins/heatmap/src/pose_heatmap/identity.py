"""Which individual an animal is: a map for each individual, read where another head found keypoints.

A place belongs to one individual, so the maps of a place compete (softmax) and are learned only where an
animal is. Nothing is asked of them elsewhere, because they are read at keypoints only; that leaves out the
background, which is nearly all of an image. (DeepLabCut 3 learns each map against the background, by binary
cross-entropy; the loss ``heatmap/bce`` does that here.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import (
    BuildContext,
    Grid,
    KeypointAxis,
    Labels,
    Predictions,
    Predictor,
    Target,
    TargetGenerator,
)
from pose_core.maps import (
    KeypointWindows,
    paint_maximum,
    prior_bias,
    repeat_names,
    sample_bilinear,
    stack_axes,
)
from pose_heatmap.config import IDENTITY, AssignIdentityConfig, IdentityConfig, IdentityHeadConfig
from pose_heatmap.head import MapsHead


class IdentityHead(MapsHead):
    """Maps of individuals.

    Output ``identity`` (B, N, h, w): logits, of which individual the place is.

    Raises:
        ConfigError: the skeleton has no individuals that could be told apart.
    """

    def __init__(self, config: IdentityHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        skeleton = context.skeleton
        if not skeleton.identified or skeleton.num_individuals < 2:
            raise ConfigError(
                "heatmap/identity needs a skeleton with several individuals, each the same animal in every "
                "frame "
                "(identified: true); this one has none, so leave the head out (null in its place)"
            )
        self.individuals = skeleton.individuals
        self.heatmap_head = self.make_maps(skeleton.num_individuals, bias=prior_bias(not config.exclusive()))
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


class AssignIdentityPredictor(Predictor):
    """Names for the animals that other heads found.

    The probability that an animal is an individual is the mean over its keypoints, weighted by their scores,
    of what the maps say there (bilinear between cells). The names of a frame are given all at once, none
    twice, so that the expected number of right names is largest (the sum of probabilities, each weighted with
    the mean score of the animal's keypoints: an animal that is doubtful takes no name from one that is
    certain). Without a name (-1) stay animals beyond the number of individuals and those for which the best
    name left is improbable.
    """

    def __init__(self, config: AssignIdentityConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.sigmoid = bool(config.sigmoid)
        chance = 1 / context.skeleton.num_individuals
        self.threshold = chance / 2 if config.threshold is None else config.threshold

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``identity`` (B, N, h, w) logits.
            found: the animals.

        Returns:
            ``found`` with identities.
        """
        if not found.keypoints.shape[1]:
            return found
        probability, weight = self.probabilities(outputs[IDENTITY], found)
        benefit = (probability * weight[..., None]).detach().double().cpu().numpy()
        certain = (probability >= self.threshold).cpu().numpy()
        identity = np.full(benefit.shape[:2], -1, np.int64)
        for number, (animals, enough) in enumerate(zip(benefit, certain, strict=True)):
            # Empty rows only pad the batch, and would take names from animals.
            rows = np.flatnonzero(animals.any(axis=1))
            at, names = linear_sum_assignment(animals[rows], maximize=True)
            named = enough[rows[at], names]
            identity[number, rows[at[named]]] = names[named]
        return replace(found, identity=torch.from_numpy(identity).to(found.identity.device))

    def probabilities(self, maps: Tensor, found: Predictions) -> tuple[Tensor, Tensor]:
        """How probable it is that an animal is an individual.

        Args:
            maps: (B, N, h, w) logits.
            found: A animals an image.

        Returns:
            (B, A, N) probabilities, 0 for animals without keypoints or where the maps are not finite; and (B,
            A) in [0, 1], the mean score of the animal's keypoints.
        """
        # Any place will do for missing keypoints, whose weight is 0 below; NaN would spoil the sampling.
        values = sample_bilinear(maps.float(), self.grid.to_cells(found.keypoints.float().nan_to_num()))
        values = values.sigmoid() if self.sigmoid else values.softmax(1)
        seen = torch.isfinite(found.keypoints).all(-1) & torch.isfinite(values).all(1)
        score = torch.where(seen, found.keypoint_scores, 0.0).clamp(min=0)
        total = score.sum(-1)
        weighted = (torch.where(seen[:, None], values, 0.0) * score[:, None]).sum(-1)
        probability = (weighted / total.clamp(min=1e-12)[:, None]).transpose(1, 2)
        return probability, total / seen.sum(-1).clamp(min=1)
