"""Both directions of the head's code: labels -> targets, outputs -> an animal."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pose_core.interfaces import Labels, Predictions, Predictor, Target, TargetGenerator
from torch import Tensor

from {{ cookiecutter.__package }}.config import CONFIDENCE, POSITION


class IntegralTargets(TargetGenerator):
    """The positions of the first animal's keypoints.

    A keypoint that a visible animal lacks may be anywhere, so it teaches nothing; an image without an animal teaches
    that there is none.
    """

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, in pixels of the network's input.
            outputs: not used.

        Returns:
            ``position`` (B, K, 2) in cells, with weight 1 where labelled; ``confidence`` (B, K), 1 where labelled.
        """
        batch, _, keypoints, _ = labels.keypoints.shape
        nobody = labels.keypoints.new_full((batch, 1, keypoints, 2), torch.nan)
        points = torch.cat([labels.keypoints, nobody], dim=1)[:, 0]
        labelled = torch.isfinite(points).all(-1)
        known = labelled | ~labelled.any(-1, keepdim=True)
        position = torch.where(labelled[..., None], self.grid.to_cells(points), 0.0)
        return {
            POSITION: Target(position, labelled[..., None].float()),
            CONFIDENCE: Target(labelled.float(), known.float()),
        }


class IntegralPredictor(Predictor):
    """One animal an image; the score of a keypoint is its confidence."""

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``position`` (B, K, 2) in cells, ``confidence`` (B, K).
            found: what the heads before this one found.

        Returns:
            ``found`` with its animals replaced.
        """
        points = self.grid.to_pixels(outputs[POSITION].float())
        return found.with_animals(points[:, None], outputs[CONFIDENCE].float()[:, None])
