"""Build the U-Net."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pose_core.interfaces import Backbone, BuildContext
from pose_unet.config import UNetConfig
from pose_unet.layers import Layers, decode

_STEM_KERNEL = 7
"""Kernel size of the stem's blocks."""


class UNet(Backbone):
    """Encoder-decoder with skip connections (Ronneberger et al. 2015).

    Cells of every level tile the image: pooling and the stem (an even kernel, centred on its cell, or blocks
    that are pooled) do not shift maps. Of ``up: transposed3`` each block shifts them by half a finer cell.
    """

    def __init__(self, config: UNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        layers = Layers(config.norm, config.kernel, config.up, config.crop)
        channels = 3
        self.stem: nn.Module = nn.Identity()
        if stem_blocks := config.stem_blocks():
            stem: list[nn.Module] = []
            for outputs in stem_blocks:
                stem += [
                    layers.block(channels, outputs, config.convs_per_block, _STEM_KERNEL),
                    nn.MaxPool2d(2),
                ]
                channels = outputs
            self.stem = nn.Sequential(*stem)
        elif config.stem_stride > 1:
            outputs, stride = config.levels()[0].channels, config.stem_stride
            self.stem = layers.convolution(channels, outputs, 2 * stride, stride, stride // 2)
            channels = outputs
        self.encoder = nn.ModuleList()
        maps = config.encoder_maps()
        for i, level in enumerate(maps):
            # Neither has convolutions: the stem as the finest level, and a coarsest one without middle block.
            pooled = i == len(maps) - 1 and i > 0 and not config.middle_block
            if pooled or (i == 0 and config.stem == "convolutions_only"):
                self.encoder.append(nn.Identity())
            else:
                self.encoder.append(layers.block(channels, level.channels, config.convs_per_block))
            channels = level.channels
        self.blocks = config.blocks()
        self.outputs = [feature.stride for feature in config.features()]
        self.max_stride = config.max_stride
        self.up, self.decoder = layers.decoder(channels, self.blocks)

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of ``max_stride``.

        Returns:
            a feature map (B, C, H / stride, W / stride) for each stride of ``outputs``, from fine to coarse.
        """
        x = self.stem(images)
        levels: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if i else x)
            levels.append(x)
        decoded = decode(self.up, self.decoder, self.blocks, x, levels)
        made = {self.max_stride: x}
        made |= {block.output.stride: y for block, y in zip(self.blocks, decoded, strict=True)}
        return [made[stride] for stride in self.outputs]
