"""Layers that make maps of a feature map, and the values that they start from."""

from __future__ import annotations

import math

from torch import Tensor, nn

from pose_core.maps.grid import deconv_padding


def prior_bias(logits: bool, probability: float = 0.01) -> float:
    """Start value for the bias of a layer that makes heatmaps.

    Logits start where a blob has a low probability (Lin et al., "Focal Loss for Dense Object Detection",
    2017). From 0, the first steps of a cross-entropy would go into learning that most of an image is
    background.

    Args:
        logits: whether the heatmaps are logits; others start at 0.
        probability: of a blob in a cell, for logits.
    """
    return math.log(probability / (1 - probability)) if logits else 0.0


def init_flat(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, bias: float = 0.0) -> None:
    """Let a layer start with outputs that are nearly ``bias`` everywhere.

    The first steps of training are then not spent on undoing noise.
    """
    nn.init.normal_(layer.weight, std=0.001)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)


def make_deconvolution(channels: int, outputs: int, kernel: int, padding: str) -> nn.ConvTranspose2d:
    """Make a transposed convolution of stride 2 that keeps the variance of what comes out of a ReLU.

    The start values are those of He et al. 2015.

    Args:
        channels: of the input.
        outputs: channels of the output.
        kernel: size in cells.
        padding: ``same`` or ``valid``, as in :func:`pose_core.maps.deconv_padding`.
    """
    layer = nn.ConvTranspose2d(channels, outputs, kernel, 2, *deconv_padding(kernel, padding))
    # With stride 2, each output cell sums over a quarter of the kernel: that is the fan-in that counts.
    nn.init.normal_(layer.weight, std=(2 / (channels * kernel**2 / 4)) ** 0.5)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class Deconvolutions(nn.Module):
    """Feature map -> maps: transposed convolutions of stride 2 with ReLU between them, or one 1 x 1
    convolution.

    The last layer starts flat (:func:`init_flat`).

    Args:
        channels: C of the feature map.
        outputs: number of maps.
        layers: number of transposed convolutions; 0 makes it a 1 x 1 convolution.
        hidden: channels between them.
        kernel: size of the transposed convolutions in cells.
        padding: ``same`` or ``valid``, as in :func:`pose_core.maps.deconv_padding`.
        bias: start value of the last layer's bias, see :func:`prior_bias`.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        layers: int,
        hidden: int,
        kernel: int,
        padding: str,
        bias: float = 0.0,
    ) -> None:
        super().__init__()
        # The names of the parameters are a contract: saved weights and importers of trained models go by
        # them.
        widths = [channels, *[hidden] * (layers - 1), outputs]
        stack: list[nn.Module] = []
        for i in range(layers):
            if i:
                stack.append(nn.ReLU())
            stack.append(make_deconvolution(widths[i], widths[i + 1], kernel, padding))
        self.deconv_layers = nn.Sequential(*stack)
        self.final_conv = nn.Identity() if layers else nn.Conv2d(channels, outputs, 1)
        last = stack[-1] if layers else self.final_conv
        assert isinstance(last, nn.ConvTranspose2d | nn.Conv2d)
        init_flat(last, bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) float -> (B, outputs, h', w'), contiguous."""
        maps: Tensor = self.final_conv(self.deconv_layers(feature))
        # Codecs and losses read map by map, also where the network computes channels-last.
        return maps.contiguous()
