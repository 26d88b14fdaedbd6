"""The feature pyramid."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import Conv2dNormActivation

from pose_core.interfaces import BuildContext, Neck
from pose_timm.fpn_config import FPNConfig


class FPN(Neck):
    """A feature pyramid (Lin et al. 2017) that puts out its finest map, with batch norms."""

    def __init__(self, config: FPNConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.first = config.chosen(context.features)
        self.lateral = nn.ModuleList(
            Conv2dNormActivation(f.channels, config.channels, 1, activation_layer=None)
            for f in context.features[self.first :]
        )
        self.output = Conv2dNormActivation(config.channels, config.channels, 3)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Args:
            features: maps (B, C, h, w) from fine to coarse.

        Returns:
            one map (B, channels, h, w) of the finest that is used.
        """
        maps = [lateral(x) for lateral, x in zip(self.lateral, features[self.first :], strict=True)]
        x = maps.pop()
        while maps:
            finer = maps.pop()
            x = finer + interpolate(x, size=finer.shape[-2:], mode="nearest")
        return [self.output(x)]
