import torch
from torch import Tensor, nn

from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import BackboneConfig, Feature
from pose_core.structures import Skeleton


class HalvesConfig(BackboneConfig):
    def features(self) -> tuple[Feature, ...]:
        return (Feature(channels=8, stride=2),)


class Halves(Backbone):
    def __init__(self, config: HalvesConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.layer = nn.Conv2d(3, 8, 4, stride=2, padding=1)

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        return [self.layer(images)]


(feature,) = Halves(HalvesConfig(), BuildContext(Skeleton(("nose",))))(torch.zeros(1, 3, 32, 48))
assert feature.shape == (1, 8, 16, 24)
