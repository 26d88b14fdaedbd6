"""The multi-scale ResNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pose_core.interfaces import Backbone, BuildContext, Insert
from pose_paf.dlcrnet_config import BANK_CHANNELS, DLCRNetConfig


class DLCRNet(Backbone):
    """A ResNet (under ``backbone``) whose early stages join the last one (Lauer et al. 2022).

    Two banks of strided convolutions bring an early map of stride 4 and one of stride 8 to stride 16; at
    output stride 32 they are averaged once more. All of it learns, the early stages through the banks too.
    """

    def __init__(self, config: DLCRNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.backbone: Backbone = context.within("backbone").build("backbone", config.backbone)
        self.early = config.early
        self.resized = config.alignment == "resized"
        padding = 0 if self.resized else 1
        points = config.backbone.insert_points()
        finer, coarser = (points[point][0].channels for point in config.early)
        # Names are those of DeepLabCut 3, so that its weights can be mapped by name.
        self.conv_block1 = _block(coarser, coarser, 3, 2, padding)
        self.conv_block2 = _block(coarser, BANK_CHANNELS, 1, 1, 0)
        self.conv_block3 = _block(finer, finer, 3, 2, padding)
        self.conv_block4 = _block(finer, finer, 3, 2, padding)
        self.conv_block5 = _block(finer, BANK_CHANNELS, 1, 1, 0)
        self.freeze_norms(config.freeze_bn)

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of the output stride.
            extra: what the backbone within takes.

        Returns:
            one feature map (B, C + 256, H / stride, W / stride), C and stride being those of the backbone
            within.
        """
        # Inserts may change maps on their way; these only look, and hand the maps on as they are.
        kept: dict[str, Tensor] = {}

        def keep(point: str) -> Insert:
            def insert(maps: list[Tensor]) -> list[Tensor]:
                (kept[point],) = maps
                return maps

            return insert

        (last,) = self.backbone(images, inserts={point: keep(point) for point in self.early}, **extra)
        finer, coarser = (kept[point] for point in self.early)
        size = (last.shape[-2], last.shape[-1])
        banks = (
            self.conv_block5(self.conv_block4(self.conv_block3(finer))),
            self.conv_block2(self.conv_block1(coarser)),
        )
        return [torch.cat([*(self._fit(bank, size) for bank in banks), last], dim=1)]

    def _fit(self, bank: Tensor, size: tuple[int, int]) -> Tensor:
        """A bank at the resolution of the last stage."""
        if self.resized:
            return F.interpolate(bank, size=size, mode="bilinear", antialias=True)
        return bank if bank.shape[-2:] == size else F.avg_pool2d(bank, 2, ceil_mode=True)


def _block(channels: int, outputs: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, outputs, kernel, stride, padding)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
