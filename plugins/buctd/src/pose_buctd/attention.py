"""How a feature map attends to conditions, over positions and over channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pose_buctd.conditions import axes_of_convolution
from pose_core.interfaces import KeypointAxis


class PositionAttention(nn.Module):
    """Queries from the conditions at each cell; keys and values from the features at all cells."""

    def __init__(self, features: int, conditions: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.feature_conv = nn.Conv2d(features, features, 3, padding=1)
        self.condition_conv = nn.Conv2d(conditions, conditions, 3, padding=1)
        self.query = nn.Linear(conditions, heads * features)
        self.key = nn.Linear(features, heads * features)
        self.value = nn.Linear(features, heads * features)
        self.out = nn.Linear(heads * features, features)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        """(B, C, h, w) from features (B, C, h, w) and conditions (B, K, ., .) of h w cells."""
        b, c, h, w = x.shape
        cells = self.feature_conv(x).flatten(2).mT
        asking = self.condition_conv(conditions).flatten(2).mT
        query, key, value = (
            layer(source).reshape(b, h * w, self.heads, c).transpose(1, 2)
            for layer, source in ((self.query, asking), (self.key, cells), (self.value, cells))
        )
        found = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        out: Tensor = self.out(found.transpose(1, 2).reshape(b, h * w, self.heads * c))
        return out.mT.reshape(b, c, h, w)


class ConditionalChannelAttention(nn.Module):
    """Queries from maps made of the conditions, one a channel; keys and values are the channels of the
    features."""

    def __init__(self, features: int, conditions: int, cells: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.feature_conv = nn.Conv2d(features, features, 3, padding=1)
        self.condition_conv = nn.Conv2d(conditions, features, 3, padding=1)
        # Heads share the cells and not the channels here; Coam refuses a number that leaves a remainder.
        self.out = nn.Linear(cells // heads * heads, cells)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        """(B, C, h, w) from features (B, C, h, w) and conditions (B, K, ., .) of h w cells."""
        b, c, h, w = x.shape
        key, query = (
            maps.reshape(b, c, self.heads, h * w // self.heads).transpose(1, 2)
            for maps in (self.feature_conv(x), self.condition_conv(conditions))
        )
        found = functional.scaled_dot_product_attention(
            query, key, key, dropout_p=self.dropout if self.training else 0.0
        )
        out: Tensor = self.out(found.transpose(1, 2).reshape(b, c, h * w))
        return out.reshape(b, c, h, w)


class ConditionalAttention(nn.Module):
    """CoAM of one feature map (Zhou et al. 2023; the dual attention of Fu et al. 2019 with queries from
    conditions).

    Args:
        features: channels C of the map.
        conditions: maps of the conditions.
        size: (height, width) of the map.
        image_size: (height, width) of the network's input, and of the conditions.
        heads: of the attention.
        dropout: of the attention weights.
        channel_only: channel attention alone, multiplied with the features.
        transposed: conditions are resized to (width, height), and their cells taken in that order.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        features: int,
        conditions: int,
        size: tuple[int, int],
        image_size: tuple[int, int],
        heads: int,
        dropout: float,
        channel_only: bool,
        transposed: bool,
    ) -> None:
        super().__init__()
        cells = size[0] * size[1]
        self.channel = ConditionalChannelAttention(features, conditions, cells, heads, dropout)
        self.position = None if channel_only else PositionAttention(features, conditions, heads, dropout)
        to = size[::-1] if transposed else size
        self.register_buffer("rows", _resizing(image_size[0], to[0]), persistent=False)
        self.register_buffer("columns", _resizing(image_size[1], to[1]).mT.contiguous(), persistent=False)
        self._start_as_identity(image_size[0] / size[0])

    def keypoint_axes(self, encoding: str, names: tuple[str, ...]) -> dict[str, tuple[KeypointAxis, ...]]:
        """The layers that take conditions."""
        axes = axes_of_convolution("channel.condition_conv", encoding, names)
        if self.position is not None:
            axes |= axes_of_convolution("position.condition_conv", encoding, names, inwards=True)
            axes |= axes_of_convolution("position.query", encoding, names)
        return axes

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        """(B, C, h, w) from features of that shape and conditions (B, K, H, W) in the size of the image."""
        small = self.rows @ conditions @ self.columns
        by_channel: Tensor = self.channel(x, small)
        if self.position is None:
            return x * by_channel
        attended: Tensor = x + (self.position(x, small) + by_channel)
        return attended

    def _start_as_identity(self, stride: float) -> None:
        """Features pass unchanged at first, so that pretrained weights around keep their meaning."""
        parts: list[ConditionalChannelAttention | PositionAttention] = [self.channel]
        if self.position is not None:
            parts.append(self.position)
        for part in parts:
            nn.init.zeros_(part.out.weight)
            # Of a factor the identity is one.
            nn.init.constant_(part.out.bias, 1.0 if self.position is None else 0.0)
            # A blob shrinks with the resolution; layers of coarse maps make up for it.
            nn.init.normal_(part.condition_conv.weight, std=stride / 12)
        if self.position is not None:
            for layer in (self.position.query, self.position.key, self.position.value):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)


def _resizing(length: int, to: int) -> Tensor:
    """(to, length): bilinear resizing along one axis, each cell the mean over what it covers
    (antialiased)."""
    # As an image of columns that are ones at one place each: torch 2.15 resizes images of width 1 wrongly.
    columns = torch.eye(length)[None, None]
    return functional.interpolate(
        columns, size=(to, length), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]
