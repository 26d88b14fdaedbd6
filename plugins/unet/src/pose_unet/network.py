"""Build the U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pose_core.interfaces import Backbone, BuildContext
from pose_unet.config import UNetConfig


class UNet(Backbone):
    """Encoder-decoder with skip connections (Ronneberger et al. 2015).

    Cells of every level tile the image: pooling and the stem (an even kernel, centred on its cell) do not
    shift maps.
    """

    def __init__(self, config: UNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        levels = config.levels()
        channels = 3
        self.stem: nn.Module = nn.Identity()
        if config.stem_stride > 1:
            self.stem = _make_convolution(
                config,
                channels,
                levels[0].channels,
                2 * config.stem_stride,
                config.stem_stride,
                config.stem_stride // 2,
            )
            channels = levels[0].channels
        self.encoder = nn.ModuleList()
        skips: list[int] = []
        for level in levels:
            # A coarsest level without convolutions is the pooled level before it.
            coarsest = level is levels[-1] and len(levels) > 1
            block = (
                nn.Identity()
                if coarsest and not config.middle_block
                else _make_block(config, channels, level.channels)
            )
            channels = channels if isinstance(block, nn.Identity) else level.channels
            self.encoder.append(block)
            skips.append(channels)
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        self.skip: list[int] = []
        # The decoder stops at the stride of the output: finer levels would be computed for nothing.
        for i in reversed(range(len(levels) - 1)):
            if levels[i].stride < config.output_stride:
                break
            self.up.append(_make_upsampling(config, channels))
            self.decoder.append(_make_block(config, channels + skips[i], levels[i].channels))
            self.skip.append(i)
            channels = levels[i].channels

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of ``max_stride``.

        Returns:
            one feature map (B, C, H / output_stride, W / output_stride).
        """
        x = self.stem(images)
        levels: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if i else x)
            levels.append(x)
        for up, block, i in zip(self.up, self.decoder, self.skip, strict=True):
            x = block(torch.cat([levels[i], up(x)], dim=1))
        return [x]


def _make_convolution(
    config: UNetConfig, channels: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    norm: nn.Module | None = None
    # The bias of a convolution before a normalisation has no effect, so it has none there.
    if config.norm == "batch":
        norm = nn.BatchNorm2d(outputs)
    elif config.norm == "group":
        norm = nn.GroupNorm(_count_groups(outputs), outputs)
    conv = nn.Conv2d(
        channels, outputs, kernel, stride, kernel // 2 if padding is None else padding, bias=norm is None
    )
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(*(layer for layer in (conv, norm, nn.ReLU(inplace=True)) if layer is not None))


def _count_groups(channels: int) -> int:
    """Count groups: at most 16, of at least 8 channels each, that divide the channels."""
    return max(g for g in range(1, 17) if channels % g == 0 and (channels // g >= 8 or g == 1))


def _make_block(config: UNetConfig, channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            _make_convolution(config, outputs if i else channels, outputs, config.kernel)
            for i in range(config.convs_per_block)
        )
    )


def _make_upsampling(config: UNetConfig, channels: int) -> nn.Module:
    if config.up == "transposed":
        return nn.ConvTranspose2d(channels, channels, 2, 2)
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
