"""Maps of individuals -> who the animals found are, or which candidates belong to one animal.

Both fill ``identity_scores``; the core names the animals of a frame by them, once, after the last stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_core.maps import gather_candidates, sample_bilinear
from pose_heatmap.identity_config import IDENTITY, GroupByIdentityConfig, IdentityAtKeypointsConfig


class _MapsOfIndividuals(Predictor):
    """What predictors that read maps of individuals have in common."""

    def __init__(
        self,
        config: IdentityAtKeypointsConfig | GroupByIdentityConfig,
        context: BuildContext,
        grid: Grid,
    ) -> None:
        super().__init__(config, context, grid)
        self.sigmoid = bool(config.sigmoid)

    def read(self, maps: Tensor, points: Tensor) -> Tensor:
        """Probability of each individual at points, bilinear between cells.

        Args:
            maps: (B, I, h, w) logits.
            points: (B, P, Q, 2) pixels of the network's input; at NaN any value comes out.

        Returns:
            (B, I, P, Q).
        """
        values = sample_bilinear(maps.float(), self.grid.to_cells(points.float().nan_to_num()))
        return values.sigmoid() if self.sigmoid else values.softmax(1)

    def describe(self, maps: Tensor, found: Predictions) -> Predictions:
        """The animals with ``identity_scores``: the mean over the keypoints of each, weighted by their
        scores, of what the maps (B, I, h, w) say there; 0 where they are not finite."""
        if not found.keypoints.shape[1]:
            return found
        values = self.read(maps, found.keypoints)
        # Any place did for missing keypoints, which count nothing.
        seen = torch.isfinite(found.keypoints).all(-1) & torch.isfinite(values).all(1)
        score = torch.where(seen, found.keypoint_scores, 0.0).clamp(min=0)
        weighted = (torch.where(seen[:, None], values, 0.0) * score[:, None]).sum(-1)
        chances = weighted / score.sum(-1).clamp(min=1e-12)[:, None]
        # Rounding may lift a mean of ones above one.
        return replace(found, identity_scores=chances.transpose(1, 2).clamp(0, 1))


class IdentityAtKeypointsPredictor(_MapsOfIndividuals):
    """Who the animals are that other heads found: the mean of the maps at their keypoints."""

    exportable = True

    def __init__(self, config: IdentityAtKeypointsConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``identity`` (B, I, h, w) logits.
            found: the animals.

        Returns:
            ``found`` with identity scores.
        """
        return self.describe(outputs[IDENTITY], found)


class GroupByIdentityPredictor(_MapsOfIndividuals):
    """Candidates grouped to animals by individual, one animal an individual at most.

    In each frame the candidates of a keypoint are assigned to individuals so that the sum of their
    probabilities is largest (Kuhn 1955), each weighted with the candidate's score; a candidate stays only
    where its own best individual is the one that it was assigned to. This is how SLEAP's bottom-up identity
    models group (Pereira et al. 2022), which weight nothing (``by_score: false``).
    """

    def __init__(self, config: GroupByIdentityConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.by_score = config.by_score

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``identity`` (B, I, h, w) logits.
            found: candidates; animals with several keypoints are taken apart.

        Returns:
            (B, I) animals in the order of the individuals, NaN where an individual has no candidate; with
            identity scores.
        """
        maps = outputs[IDENTITY]
        positions, scores = gather_candidates(found)
        batch, keypoints, candidates = scores.shape
        chosen = np.full((batch, keypoints, maps.shape[1]), candidates, np.int64)
        if candidates:
            chances = self.read(maps, positions)
            weight = torch.where(scores > 0, scores if self.by_score else torch.ones_like(scores), 0.0)
            usable = torch.isfinite(chances).all(1, keepdim=True) & (scores > 0)[:, None]
            host = torch.where(usable, chances, 0.0).permute(0, 2, 3, 1)
            for place, (chance, worth) in enumerate(
                zip(
                    host.flatten(0, 1).double().cpu().numpy(),
                    (host * weight[..., None]).flatten(0, 1).double().cpu().numpy(),
                    strict=True,
                )
            ):
                at, to = linear_sum_assignment(worth, maximize=True)
                own = (chance[at].argmax(-1) == to) & (chance[at, to] > 0)
                chosen[place // keypoints, place % keypoints, to[own]] = at[own]
        # One place more than there are candidates stands for none.
        index = torch.from_numpy(chosen).to(scores.device)
        nowhere = positions.new_full((batch, keypoints, 1, 2), torch.nan)
        points = torch.cat([positions, nowhere], 2).gather(2, index[..., None].expand(-1, -1, -1, 2))
        values = torch.cat([scores, torch.zeros_like(nowhere[..., 0])], 2).gather(2, index)
        return self.describe(maps, found.with_animals(points.transpose(1, 2), values.transpose(1, 2)))
