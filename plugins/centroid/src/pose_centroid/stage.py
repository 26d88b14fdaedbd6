"""The first stage of models that look at crops of fixed extent."""

from __future__ import annotations

from dataclasses import replace

import torch

from pose_centroid.config import CentresConfig
from pose_core.errors import ConfigError
from pose_core.interfaces import FrameGeometry, FrameGroup, Stage, StageContext, StageResult, View


class CentresStage(Stage):
    """Centres of animals, as boxes without extent (``x1 = x2``, ``y1 = y2``), best first.

    Raises:
        ConfigError: the network finds several keypoints an animal, or looks at crops.
    """

    def __init__(self, config: CentresConfig, context: StageContext) -> None:
        self._network = context.whole_frames()
        assert context.network is not None
        names = context.network.skeleton.keypoints
        if len(names) != 1:
            raise ConfigError(
                f"{context.origin}: finds {', '.join(names)}, and a centroid model finds one point an animal; "
                "name the run of one"
            )
        self._max_animals = context.max_animals

    def view(self, width: int, height: int) -> FrameGeometry:
        """As the network wants to see the frame."""
        return self._network.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Find the centres, in pixels of the frames."""
        assert view is not None
        animals = self._network.predict(view)
        scores, order = animals.scores.sort(dim=1, descending=True, stable=True)
        points = animals.keypoints[:, :, 0].gather(1, order[..., None].expand(-1, -1, 2))
        scores, points = scores[:, : self._max_animals], points[:, : self._max_animals]
        points = points.masked_fill((scores <= 0)[..., None], torch.nan)
        return replace(found, boxes=torch.cat([points, points], dim=-1), box_scores=scores)
