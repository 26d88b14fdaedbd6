"""Layers of CSPNeXt, with the names of the published weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNorm(nn.Module):
    """Convolution that keeps or halves the size, then batch norm and SiLU.

    Args:
        inputs, outputs: channels.
        kernel: odd size.
        stride: 1 or 2.
        groups: of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        # PyTorch knows no gain for SiLU; that of ReLU is close.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        return functional.silu(self.norm(self.conv(x)), inplace=True)


class SeparableConv(nn.Module):
    """5x5 convolution of each channel by itself, then a 1x1 convolution across channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvNorm(channels, channels, 5, groups=channels)
        self.pointwise_conv = ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        pointwise: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return pointwise


class Block(nn.Module):
    """3x3 convolution and a separable 5x5 convolution, added to the input where ``residual``."""

    def __init__(self, channels: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, 3)
        self.conv2 = SeparableConv(channels)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        out: Tensor = self.conv2(self.conv1(x))
        return out + x if self.residual else out


class ChannelAttention(nn.Module):
    """Weight each channel by a function of the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x * functional.hardsigmoid(self.fc(x.mean(dim=(2, 3), keepdim=True)))


class CrossStage(nn.Module):
    """Cross-stage partial layer (Wang et al. 2020).

    Half of the channels goes through the blocks, half past them.

    Args:
        channels: of input and output.
        blocks: number of blocks.
        residual: True if each block adds its input.
    """

    def __init__(self, channels: int, blocks: int, residual: bool) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = ConvNorm(channels, half)
        self.short_conv = ConvNorm(channels, half)
        self.final_conv = ConvNorm(2 * half, channels)
        self.blocks = nn.Sequential(*(Block(half, residual) for _ in range(blocks)))
        self.attention = ChannelAttention(2 * half)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        both = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], dim=1)
        out: Tensor = self.final_conv(self.attention(both))
        return out


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling (He et al. 2015) over 5x5, 9x9 and 13x13 cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvNorm(channels, half)
        self.conv2 = ConvNorm(4 * half, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        maps = [self.conv1(x)]
        # The maximum over 5x5 of the maxima over 5x5 is that
        # over 9x9, and once more that over 13x13, at less work.
        for _ in range(3):
            maps.append(functional.max_pool2d(maps[-1], 5, stride=1, padding=2))
        out: Tensor = self.conv2(torch.cat(maps, dim=1))
        return out
