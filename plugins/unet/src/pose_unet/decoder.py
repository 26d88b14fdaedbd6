"""The decoder of a U-Net as a neck."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pose_core.interfaces import BuildContext, Neck
from pose_unet.decoder_config import DecoderConfig
from pose_unet.layers import Layers, decode


class DecoderNeck(Neck):
    """The decoder of a U-Net (Ronneberger et al. 2015) for the feature maps of any backbone.

    Raises:
        ValueError: feature maps that :meth:`DecoderConfig.blocks` refuses.
    """

    def __init__(self, config: DecoderConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        layers = Layers(config.norm, config.kernel, config.up, config.crop)
        start = config.start(context.features)
        self.blocks = config.blocks(context.features)
        self.start = start.stride
        self.outputs = [feature.stride for feature in config.features(context.features)]
        self.middle = layers.block(context.features[-1].channels, start.channels, config.middle_convs)
        self.up, self.decoder = layers.decoder(start.channels, self.blocks)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Args:
            features: (B, C, h, w) each, from fine to coarse; each twice as large as the next.

        Returns:
            a map for each stride of ``outputs``, from fine to coarse.
        """
        x = features[-1]
        # Empty without a middle block.
        if len(self.middle):
            x = self.middle(F.max_pool2d(x, 2))
        decoded = decode(self.up, self.decoder, self.blocks, x, features)
        made = {self.start: x}
        made |= {block.output.stride: y for block, y in zip(self.blocks, decoded, strict=True)}
        return [made[stride] for stride in self.outputs]
