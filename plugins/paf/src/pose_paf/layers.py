"""Layers of the head, and where their output cells lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_core.interfaces import Grid


def deconv_shape(kernel: int, padding: str) -> tuple[int, int]:
    """Padding and output padding of a transposed convolution of stride 2.

    ``same`` turns n cells into 2n, ``valid`` uses no padding (2n - 2 + kernel).
    """
    if padding == "valid":
        return 0, 0
    return (kernel - 1) // 2, kernel % 2


def refined_grid(grid: Grid, layers: int, kernel: int, padding: str) -> Grid:
    """Grid of the output of ``layers`` transposed convolutions of stride 2 on a map with this grid.

    An impulse in cell i comes out of one layer around cell ``2 i + c`` with ``c = (kernel - 1) / 2 - padding``, so
    output cell o lies where input cell ``(o - c) / 2`` would.
    """
    shift = (kernel - 1) / 2 - deconv_shape(kernel, padding)[0]
    for _ in range(layers):
        grid = Grid(stride=grid.stride / 2, offset=grid.offset - shift * grid.stride / 2)
    return grid


def deconvolution(channels: int, outputs: int, kernel: int, padding: str) -> nn.ConvTranspose2d:
    """A transposed convolution of stride 2 that keeps the variance of what comes out of a ReLU."""
    layer = nn.ConvTranspose2d(channels, outputs, kernel, 2, *deconv_shape(kernel, padding))
    # Each output cell sums over a quarter of the kernel, which is the fan-in that counts.
    nn.init.normal_(layer.weight, std=(2 / (channels * kernel**2 / 4)) ** 0.5)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def start_flat(layer: nn.ConvTranspose2d | nn.Conv2d, bias: float = 0.0) -> None:
    """Maps start nearly constant, so that the first steps are not spent on undoing noise."""
    nn.init.normal_(layer.weight, std=0.001)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)


class Trunk(nn.Sequential):
    """Transposed convolutions that all outputs share, each with batch normalisation and ReLU."""

    def __init__(self, channels: int, hidden: int, layers: int, kernel: int, padding: str) -> None:
        stack: list[nn.Module] = []
        for i in range(layers):
            stack += [
                deconvolution(hidden if i else channels, hidden, kernel, padding),
                nn.BatchNorm2d(hidden),
                nn.ReLU(),
            ]
        super().__init__(*stack)


class Maps(nn.Module):
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
        widths = [channels, *[hidden] * (layers - 1), outputs]
        stack: list[nn.Module] = []
        for i in range(layers):
            if i:
                stack.append(nn.ReLU())
            stack.append(deconvolution(widths[i], widths[i + 1], kernel, padding))
        self.deconv_layers = nn.Sequential(*stack)
        self.final_conv = nn.Identity() if layers else nn.Conv2d(channels, outputs, 1)
        last = stack[-1] if layers else self.final_conv
        assert isinstance(last, nn.ConvTranspose2d | nn.Conv2d)
        start_flat(last, bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, outputs, h', w'), contiguous."""
        maps: Tensor = self.final_conv(self.deconv_layers(feature))
        # Codecs and losses read map by map, also where the network computes channels-last.
        return maps.contiguous()


class Stages(nn.Module):
    """First estimates of heatmaps and fields, refined stage by stage (Cao et al. 2017; Lauer et al. 2022).

    A transposed convolution each makes first heatmaps (K), location refinement (2 K), fields (2 L) and D features.
    Every stage sees heatmaps, fields and features and makes new heatmaps and fields; the heatmaps of a stage but the
    first are added to those before it.

    Args:
        channels: C of the feature map.
        keypoints, limbs: K, L.
        features: D.
        stages: their number, at least 1.
        hidden: channels of a hidden layer in each; None: one convolution a stage.
        activation: ReLU on the features.

    Attributes:
        width: channels of what comes out first, D + K + 2 L.
    """

    def __init__(
        self,
        channels: int,
        keypoints: int,
        limbs: int,
        *,
        features: int,
        stages: int,
        hidden: int | None,
        activation: bool,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.width = features + keypoints + 2 * limbs
        # Names are those of DeepLabCut 3.
        self.convt1 = deconvolution(channels, keypoints, 3, "same")
        self.convt2 = deconvolution(channels, 2 * keypoints, 3, "same")
        self.convt3 = deconvolution(channels, 2 * limbs, 3, "same")
        self.convt4 = deconvolution(channels, features, 3, "same")
        self.hm_ref_layers = nn.ModuleList(_stage(self.width, hidden, keypoints) for _ in range(stages))
        self.paf_ref_layers = nn.ModuleList(_stage(self.width, hidden, 2 * limbs) for _ in range(stages))

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> maps (B, width, 2 h, 2 w) and first location refinement (B, 2 K, 2 h, 2 w)."""
        heatmap, paf, features = self.convt1(feature), self.convt3(feature), self.convt4(feature)
        if self.activation:
            features = features.relu()
        for i, (refine_heatmap, refine_paf) in enumerate(zip(self.hm_ref_layers, self.paf_ref_layers, strict=True)):
            both = torch.cat([heatmap, paf, features], dim=1)
            before, heatmap, paf = heatmap, refine_heatmap(both), refine_paf(both)
            if i:
                heatmap = heatmap + before
        return torch.cat([heatmap, paf, features], dim=1), self.convt2(feature)


def _stage(channels: int, hidden: int | None, outputs: int) -> nn.Module:
    if hidden is None:
        return nn.Conv2d(channels, outputs, 3, padding=1)
    return nn.Sequential(nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, outputs, 3, padding=1))
