"""The backbone."""

from __future__ import annotations

from pose_core.interfaces import Backbone, BuildContext
from torch import Tensor, nn

from {{ cookiecutter.__package }}.config import NetworkConfig


class Network(Backbone):
    """Stages of two convolutions; the first of each halves the resolution.

    Its kernel is even and centred on the pixels that a cell covers, so that cells tile the image without a shift.
    """

    def __init__(self, config: NetworkConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        layers: list[nn.Module] = []
        channels = 3
        for stage in range(config.stages):
            outputs = config.channels * 2**stage
            for outgoing, kernel, stride in ((outputs, 4, 2), (outputs, 3, 1)):
                layers += [
                    nn.Conv2d(channels, outgoing, kernel, stride, padding=1, bias=False),
                    nn.BatchNorm2d(outgoing),
                    nn.ReLU(inplace=True),
                ]
                channels = outgoing
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, normalised; H and W are multiples of ``config.size_multiple()``.

        Returns:
            one feature map (B, C, H / stride, W / stride), as ``config.features()`` says.
        """
        return [self.layers(images)]
