"""Layers of a heatmap head, and where their output cells lie."""

from __future__ import annotations

from torch import Tensor, nn

from pose_core.interfaces import Grid


def deconv_shape(kernel: int, padding: str) -> tuple[int, int]:
    """Padding and output padding of a transposed convolution of stride 2.

    ``same`` turns n cells into 2n, ``valid`` uses no padding (2n - 2 + kernel).
    """
    if padding == "valid":
        return 0, 0
    return (kernel - 1) // 2, kernel % 2


def head_grid(feature_stride: float, layers: int, kernel: int, padding: str) -> Grid:
    """Grid of the output of ``layers`` transposed convolutions of stride 2 on a feature map.

    The cells of the feature map tile the image (``Grid.cells``). An impulse in cell i comes out of one layer around
    cell ``2 i + c`` with ``c = (kernel - 1) / 2 - padding``, so output cell o lies where input cell ``(o - c) / 2``
    would.
    """
    grid = Grid.cells(feature_stride)
    shift = (kernel - 1) / 2 - deconv_shape(kernel, padding)[0]
    for _ in range(layers):
        grid = Grid(stride=grid.stride / 2, offset=grid.offset - shift * grid.stride / 2)
    return grid


class Deconvolution(nn.Module):
    """Feature map -> maps: transposed convolutions of stride 2 with ReLU between them, or one 1 x 1 convolution.

    Args:
        channels: of the feature map.
        outputs: number of maps.
        layers: number of transposed convolutions; 0: a 1 x 1 convolution.
        hidden: channels between them.
        kernel: of the transposed convolutions.
        padding: ``same`` or ``valid``.
        bias: start value of the last layer's bias.
    """

    def __init__(
        self, channels: int, outputs: int, *, layers: int, hidden: int, kernel: int, padding: str, bias: float = 0.0
    ) -> None:
        super().__init__()
        # Names and order are those of DeepLabCut 3, so that its weights can be mapped by name.
        pad, extra = deconv_shape(kernel, padding)
        widths = [channels, *[hidden] * (layers - 1), outputs]
        stack: list[nn.Module] = []
        for i in range(layers):
            if i:
                stack.append(nn.ReLU())
            stack.append(nn.ConvTranspose2d(widths[i], widths[i + 1], kernel, 2, pad, extra))
        self.deconv_layers = nn.Sequential(*stack)
        self.final_conv = nn.Identity() if layers else nn.Conv2d(channels, outputs, 1)
        last = stack[-1] if layers else self.final_conv
        assert isinstance(last, nn.ConvTranspose2d | nn.Conv2d)
        assert last.bias is not None
        for layer in stack[:-1]:
            if isinstance(layer, nn.ConvTranspose2d):
                # Each output cell sums over a quarter of the kernel, which is the fan-in that counts.
                nn.init.normal_(layer.weight, std=(2 / (layer.in_channels * kernel**2 / 4)) ** 0.5)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        # Maps start nearly constant, so that the first steps are not spent on undoing noise.
        nn.init.normal_(last.weight, std=0.001)
        nn.init.constant_(last.bias, bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, outputs, h', w'), contiguous."""
        maps: Tensor = self.final_conv(self.deconv_layers(feature))
        # Codecs and losses read map by map, also where the network computes channels-last.
        return maps.contiguous()
