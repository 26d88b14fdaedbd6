from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pose_core.interfaces import (
    BuildContext,
    Grid,
    Head,
    Labels,
    Predictions,
    Predictor,
    Target,
    TargetGenerator,
)
from pose_core.specs import Feature, HeadConfig, PredictorConfig, TargetGeneratorConfig
from pose_core.structures import Skeleton


class Cells(TargetGenerator):
    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        points = labels.keypoints[:, 0]
        known = torch.isfinite(points).all(-1, keepdim=True)
        return {"cell": Target(self.grid.to_cells(points.nan_to_num()), known.float())}


class FromCells(Predictor):
    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        points = self.grid.to_pixels(outputs["cell"])[:, None]
        return found.with_animals(points, torch.ones_like(points[..., 0]))


class Regression(Head):
    def __init__(self, config: HeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        (feature,) = context.features
        self.linear = nn.Linear(feature.channels, 2 * context.skeleton.num_keypoints)
        grid = Grid.of(feature)
        # A head of a plugin makes them of its config: context.build("predictor", config.predictor, grid).
        targets = Cells(TargetGeneratorConfig(), context, grid)
        self.set_codec(targets, FromCells(PredictorConfig(), context, grid), {}, context)

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        return {"cell": self.linear(features[0].mean((2, 3))).unflatten(1, (-1, 2))}


skeleton = Skeleton(("nose", "tail"))
head = Regression(HeadConfig(), BuildContext(skeleton, features=(Feature(8, 4),)))
outputs = head([torch.zeros(3, 8, 6, 6)])
assert outputs["cell"].shape == (3, 2, 2)
assert head.decode(outputs, Predictions.none(3, skeleton)).keypoints.shape == (3, 1, 2, 2)
