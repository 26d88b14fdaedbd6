"""The multi-scale ResNet."""

from __future__ import annotations

from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pose_core.interfaces import Backbone, BuildContext, load_timm
from pose_paf.dlcrnet_config import BANK_CHANNELS, DLCRNetConfig

_NAME = "resnet50"


class DLCRNet(Backbone):
    """ResNet-50 (timm's, under ``model``) whose early stages join the last one (Lauer et al. 2022).

    Two banks of strided convolutions bring the first stage (stride 4) and the second one (stride 8) to stride 16;
    at output stride 32 they are averaged once more. All of it learns, the early stages through the banks too.

    Raises:
        ConfigError: the pretrained weights that the config insists on cannot be had.
    """

    def __init__(self, config: DLCRNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        # Without a classifier; weights are loaded below, by a path that neither hangs offline nor unpickles.
        model = timm.create_model(_NAME, pretrained=False, num_classes=0, output_stride=config.output_stride)
        if context.pretrained and config.pretrained:
            load_timm(model, _NAME, required=config.pretrained is True, classifier=("fc.",))
        # Its parts are timm's; nn.Module types them as tensors.
        self.model: Any = model
        self.resized = config.alignment == "resized"
        padding = 0 if self.resized else 1
        # Names are those of DeepLabCut 3, so that its weights can be mapped by name.
        self.conv_block1 = _block(512, 512, 3, 2, padding)
        self.conv_block2 = _block(512, BANK_CHANNELS, 1, 1, 0)
        self.conv_block3 = _block(256, 256, 3, 2, padding)
        self.conv_block4 = _block(256, 256, 3, 2, padding)
        self.conv_block5 = _block(256, BANK_CHANNELS, 1, 1, 0)
        self.freeze_norms(config.freeze_bn)

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of the output stride.

        Returns:
            one feature map (B, 2304, H / stride, W / stride).
        """
        net = self.model
        first = net.layer1(net.maxpool(net.act1(net.bn1(net.conv1(images)))))
        # Of the second stage the third of four blocks, where DeepLabCut 3 takes it.
        second = net.layer2[:3](first)
        last = net.layer4(net.layer3(net.layer2[3:](second)))
        size = (last.shape[-2], last.shape[-1])
        banks = (
            self.conv_block5(self.conv_block4(self.conv_block3(first))),
            self.conv_block2(self.conv_block1(second)),
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
