from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Neck
from pose_core.specs import Feature, NeckConfig
from pose_core.structures import Skeleton


class FinestConfig(NeckConfig):
    def features(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        return (Feature(channels=16, stride=features[0].stride),)


class Finest(Neck):
    def __init__(self, config: FinestConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.layer = nn.Conv2d(context.features[0].channels, 16, 1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [self.layer(features[0])]


context = BuildContext(Skeleton(("nose",)), features=(Feature(8, 4),))
(feature,) = Finest(FinestConfig(), context)([torch.zeros(1, 8, 6, 6)])
assert feature.shape == (1, 16, 6, 6)
