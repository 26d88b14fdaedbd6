"""Layers that the U-Net and the decoder are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pose_unet.blocks import Block


@dataclass(frozen=True)
class Layers:
    """How layers are made, by the settings of the same names.

    Attributes:
        norm: ``batch``, ``group`` or ``none``.
        kernel: size of the convolutions.
        up: ``bilinear``, ``transposed`` or ``transposed3``.
        crop: ``first`` or ``last``.
    """

    norm: str
    kernel: int
    up: str
    crop: str

    def convolution(
        self, channels: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None
    ) -> nn.Sequential:
        """Make a convolution with its normalisation and a ReLU; padding keeps the size by default."""
        norm: nn.Module | None = None
        # The bias of a convolution before a normalisation has no effect, so it has none there.
        if self.norm == "batch":
            norm = nn.BatchNorm2d(outputs)
        elif self.norm == "group":
            norm = nn.GroupNorm(_count_groups(outputs), outputs)
        conv = nn.Conv2d(
            channels, outputs, kernel, stride, kernel // 2 if padding is None else padding, bias=norm is None
        )
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        return nn.Sequential(*(layer for layer in (conv, norm, nn.ReLU(inplace=True)) if layer is not None))

    def block(
        self, channels: int, outputs: int, convolutions: int, kernel: int | None = None
    ) -> nn.Sequential:
        """Make several convolutions, one after the other; kernel: that of the settings by default."""
        return nn.Sequential(
            *(
                self.convolution(outputs if i else channels, outputs, kernel or self.kernel)
                for i in range(convolutions)
            )
        )

    def upsampling(self, channels: int, outputs: int) -> nn.Module:
        """Make what doubles the resolution.

        Args:
            channels: of the input.
            outputs: channels of the block, which ``transposed3`` puts out; the others keep the input's.
        """
        if self.up == "transposed3":
            return Transposed3(channels, outputs, self.crop)
        if self.up == "transposed":
            return nn.ConvTranspose2d(channels, channels, 2, 2)
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)

    def decoder(self, channels: int, blocks: Sequence[Block]) -> tuple[nn.ModuleList, nn.ModuleList]:
        """Make the layers of a decoder: what doubles the resolution, and the convolutions, block by block."""
        ups, convolutions = nn.ModuleList(), nn.ModuleList()
        for block in blocks:
            outputs = block.output.channels
            ups.append(self.upsampling(channels, outputs))
            arriving = outputs if self.up == "transposed3" else channels
            convolutions.append(self.block(arriving + block.skip_channels, outputs, block.convolutions))
            channels = outputs
        return ups, convolutions


class Transposed3(nn.ConvTranspose2d):
    """A transposed convolution of kernel 3 and stride 2 from n to 2n cells a side, and a ReLU.

    Without padding it has 2n + 1 cells; ``crop`` says which row and column is left out. The last is where
    Keras leaves it out for padding "same", the first where torch does for padding 1 and output padding 1.
    """

    def __init__(self, channels: int, outputs: int, crop: str) -> None:
        first = crop == "first"
        super().__init__(channels, outputs, 3, 2, padding=int(first), output_padding=int(first))
        self.crop = crop

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, h, w) -> (B, outputs, 2h, 2w)."""
        x = super().forward(x, output_size)
        return (x if self.crop == "first" else x[..., :-1, :-1]).relu()


def decode(
    ups: nn.ModuleList, convolutions: nn.ModuleList, blocks: Sequence[Block], x: Tensor, maps: list[Tensor]
) -> list[Tensor]:
    """Run a decoder.

    Args:
        ups, convolutions, blocks: as :meth:`Layers.decoder` made them and got them.
        x: (B, C, h, w), the input of the first block.
        maps: those of the encoder, by the numbers in ``blocks``.

    Returns:
        the output of every block.
    """
    outputs: list[Tensor] = []
    for up, convolve, block in zip(ups, convolutions, blocks, strict=True):
        x = up(x)
        x = convolve(x if block.skip is None else torch.cat([maps[block.skip], x], dim=1))
        outputs.append(x)
    return outputs


def _count_groups(channels: int) -> int:
    """Count groups: at most 16, of at least 8 channels each, that divide the channels."""
    return max(g for g in range(1, 17) if channels % g == 0 and (channels // g >= 8 or g == 1))
