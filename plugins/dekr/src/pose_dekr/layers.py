"""Layers of a DEKR head.

What belongs to one keypoint is a group of channels; the K branches of the paper are K groups of one branch,
computed at once. So every parameter of theirs has an axis over the keypoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pose_core.maps import init_flat
from pose_dekr.deform import affine_taps, deformed_by_torch, deformed_by_torchvision


def make_transition(channels: int, width: int) -> nn.Sequential:
    """Make a 1 x 1 convolution with batch norm and ReLU."""
    return nn.Sequential(_he(nn.Conv2d(channels, width, 1, bias=False)), nn.BatchNorm2d(width), nn.ReLU())


def _he(layer: nn.Conv2d) -> nn.Conv2d:
    """Start values that keep the size of a signal through convolution and ReLU (He et al. 2015)."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside an identity (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _he(nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _he(nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape."""
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + x)


class AdaptiveBlock(nn.Module):
    """A 3 x 3 convolution with taps moved by an affine map that the features predict, beside an identity.

    Args:
        keypoints: K, the number of groups.
        width: channels a group.
        deform: ``torch`` or ``torchvision``.
    """

    def __init__(self, keypoints: int, width: int, deform: str) -> None:
        super().__init__()
        channels = keypoints * width
        self.deform = deform
        self.transform_matrix_conv = nn.Conv2d(channels, 4 * keypoints, 3, padding=1, groups=keypoints)
        self.translation_conv = nn.Conv2d(channels, 2 * keypoints, 3, padding=1, groups=keypoints)
        # Holds the weights of the adaptive convolution, which are those of an ordinary one in shape.
        self.adapt_conv = _he(nn.Conv2d(channels, channels, 3, padding=1, groups=keypoints, bias=False))
        self.bn = nn.BatchNorm2d(channels)
        for layer in (self.transform_matrix_conv, self.translation_conv):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        # The taps start where those of an ordinary convolution are; with a matrix of zeros all would be in
        # one cell.
        assert self.transform_matrix_conv.bias is not None
        with torch.no_grad():
            self.transform_matrix_conv.bias.view(keypoints, 4)[:, [0, 3]] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, K width, h, w) -> the same shape."""
        taps = affine_taps(*self._affine(x))
        compute = deformed_by_torch if self.deform == "torch" else deformed_by_torchvision
        return torch.relu(self.bn(compute(x, *taps, self.adapt_conv.weight)) + x)

    def _affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Matrices (B, 4 K, h, w) and translations (B, 2 K, h, w), by one grouped convolution."""
        layers = (self.transform_matrix_conv, self.translation_conv)
        keypoints = layers[0].groups
        weight = torch.cat(
            [layer.weight.view(keypoints, -1, *layer.weight.shape[1:]) for layer in layers], dim=1
        )
        biases = [layer.bias for layer in layers if layer.bias is not None]
        bias = torch.cat([bias.view(keypoints, -1) for bias in biases], dim=1)
        both = F.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=1, groups=keypoints)
        both = both.view(x.shape[0], keypoints, 6, *x.shape[-2:])
        return both[:, :, :4].flatten(1, 2), both[:, :, 4:].flatten(1, 2)


class HeatmapBranch(nn.Module):
    """Feature map -> heatmaps of the K keypoints and of the centre.

    Args:
        channels: of the feature map.
        keypoints: K.
        width: channels within.
        blocks: number of residual blocks.
        bias: start value of the maps.
    """

    def __init__(self, channels: int, keypoints: int, width: int, blocks: int, bias: float = 0.0) -> None:
        super().__init__()
        self.transition = make_transition(channels, width)
        self.blocks = nn.Sequential(*(BasicBlock(width) for _ in range(blocks)))
        # Apart, for weights can then move between sets of keypoints; the centre is none.
        self.keypoint_maps = nn.Conv2d(width, keypoints, 1)
        self.center_map = nn.Conv2d(width, 1, 1)
        for layer in (self.keypoint_maps, self.center_map):
            init_flat(layer, bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K + 1, h, w), the centre last."""
        x = self.blocks(self.transition(feature))
        return torch.cat([self.keypoint_maps(x), self.center_map(x)], dim=1).contiguous()


class OffsetBranch(nn.Module):
    """Feature map -> the way from each keypoint to each cell, by a branch a keypoint; branches share nothing
    but the feature map.

    Args:
        channels: of the feature map.
        keypoints: K.
        width: channels a keypoint.
        blocks: number of adaptive blocks.
        deform: ``torch`` or ``torchvision``.
    """

    def __init__(self, channels: int, keypoints: int, width: int, blocks: int, deform: str) -> None:
        super().__init__()
        self.transition = make_transition(channels, keypoints * width)
        self.blocks = nn.Sequential(*(AdaptiveBlock(keypoints, width, deform) for _ in range(blocks)))
        self.maps = nn.Conv2d(keypoints * width, 2 * keypoints, 1, groups=keypoints)
        init_flat(self.maps)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 2 K, h, w), x and y of keypoint k in channels 2 k and 2 k + 1."""
        # Groups are read one by one, which needs the channels outermost.
        x = self.transition(feature).contiguous()
        maps: Tensor = self.maps(self.blocks(x))
        return maps.contiguous()
