import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Loss
from pose_core.specs import LossConfig
from pose_core.structures import Skeleton


class Absolute(Loss):
    def forward(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        weight = weight.expand_as(target)
        return ((output - target).abs() * weight).sum() / weight.sum().clamp(min=1e-12)


loss = Absolute(LossConfig(), BuildContext(Skeleton(("nose",))))
assert loss(torch.ones(2, 3), torch.zeros(2, 3), torch.ones(1)) == 1
assert loss(torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(1)) == 0
