from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Target, TargetGenerator
from pose_core.specs import TargetGeneratorConfig
from pose_core.structures import Skeleton


class Cells(TargetGenerator):
    """The cell of the first animal's keypoints."""

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        points = labels.keypoints[:, 0]
        known = torch.isfinite(points).all(-1, keepdim=True)
        return {"cell": Target(self.grid.to_cells(points.nan_to_num()), known.float())}


points = torch.tensor([[[[5.5, 9.5], [torch.nan, torch.nan]]]])
labels = Labels.from_keypoints(points)
context = BuildContext(Skeleton(("nose", "tail")))
target = Cells(TargetGeneratorConfig(), context, Grid.cells(4))(labels, {})["cell"]
assert target.value[0, 0].tolist() == [1.0, 2.0]
assert target.weight.flatten().tolist() == [1.0, 0.0]  # what is not labelled never counts
