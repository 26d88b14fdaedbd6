from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_core.specs import PredictorConfig
from pose_core.structures import Skeleton


class FromCells(Predictor):
    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        points = self.grid.to_pixels(outputs["cell"])[:, None]  # one animal
        return found.with_animals(points, torch.ones_like(points[..., 0]))


skeleton = Skeleton(("nose", "tail"))
read = FromCells(PredictorConfig(), BuildContext(skeleton), Grid.cells(4))
found = read({"cell": torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])}, Predictions.none(1, skeleton))
assert found.keypoints[0, 0].tolist() == [[5.5, 9.5], [1.5, 1.5]]
