"""Heatmap -> animals with one keypoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pose_centroid.config import HEATMAP, CentresPredictorConfig
from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_core.maps import find_peaks, order_by_height


class CentresPredictor(Predictor):
    """Local maxima, refined between cells by a Gaussian fitted around each.

    The first stage of top-down models in SLEAP (Pereira et al. 2022), and the peaks of CenterNet (Zhou et al. 2019)
    without its sizes. An animal's score is the height of its peak, clipped to [0, 1].

    Raises:
        ConfigError: the model learns several keypoints an animal.
    """

    exportable = True

    def __init__(self, config: CentresPredictorConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        if context.skeleton.num_keypoints != 1:
            raise ConfigError(
                f"{config.type}: finds one point an animal, and this model learns "
                f"{context.skeleton.num_keypoints} keypoints; use model.method: centroid"
            )
        self.sigmoid = bool(config.sigmoid)
        self.config = config
        self.limit = config.limit(context.skeleton.num_individuals)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``heatmap`` (B, 1, h, w).
            found: replaced but for its unique keypoints.

        Returns:
            the animals of each image, the highest peaks first; NaN and score 0 beyond the last.
        """
        config, maps = self.config, outputs[HEATMAP].float()
        maps = maps.sigmoid() if self.sigmoid else maps
        # Half of the twins may be among those that are looked at, so twice as many are.
        count = self.limit if not config.distance else 2 * self.limit
        positions, scores = find_peaks(
            maps,
            self.grid,
            count,
            side=config.nms,
            threshold=config.threshold,
            window=config.window,
        )
        points, scores = positions[:, 0], scores[:, 0]
        if config.distance:
            points, scores = keep_distant(points, scores, config.distance)
        points, scores = points[:, : self.limit], scores[:, : self.limit]
        return found.with_animals(points[:, :, None], scores[:, :, None])


def keep_distant(points: Tensor, scores: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Keep of points near each other the one with the highest score.

    Args:
        points: (B, M, 2) in pixels, NaN where missing; the highest score first.
        scores: (B, M), 0 where missing.
        distance: points nearer than this are the same.

    Returns:
        points and scores of the same shapes, those that are kept first.
    """
    near = torch.linalg.vector_norm(points[:, :, None] - points[:, None], dim=-1) < distance
    dropped = scores <= 0
    for rank in range(1, scores.shape[1]):  # a point goes because of one that stayed: sequential by nature
        dropped[:, rank] |= (near[:, :rank, rank] & ~dropped[:, :rank]).any(1)
    scores = scores.masked_fill(dropped, 0.0)
    points = points.masked_fill(dropped[..., None], torch.nan)
    order = order_by_height((~dropped).float())
    return points.gather(1, order[..., None].expand_as(points)), scores.gather(1, order)
