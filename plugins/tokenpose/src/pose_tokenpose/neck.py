"""The transformer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, KeypointAxis, Neck
from pose_tokenpose.config import TransformerConfig

_INITIAL_STD = 0.02
"""Of tokens and weights, as in ViT."""


def sine_positions(rows: int, columns: int, dim: int) -> Tensor:
    """Fixed position embedding of the cells of a table (Vaswani et al. 2017, in 2-D and scaled to 2 pi as in
    DETR, Carion et al. 2020).

    Args:
        rows, columns: of the table.
        dim: length of a vector, a multiple of 4.

    Returns:
        (rows * columns, dim) float32, row by row; the first half says y, the second x, sines and cosines
        alternate.
    """
    # The small number is part of the embedding that TokenPose's weights were trained with.
    y = torch.arange(1, rows + 1, dtype=torch.float32) / (rows + 1e-6) * (2 * math.pi)
    x = torch.arange(1, columns + 1, dtype=torch.float32) / (columns + 1e-6) * (2 * math.pi)
    wavelength = 10000.0 ** (torch.arange(0, dim // 2, 2, dtype=torch.float32) / (dim // 2))

    def waves(position: Tensor) -> Tensor:
        angle = position[:, None] / wavelength
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)

    halves = [
        waves(y)[:, None].expand(rows, columns, dim // 2),
        waves(x)[None, :].expand(rows, columns, dim // 2),
    ]
    return torch.cat(halves, dim=-1).reshape(rows * columns, dim)


class TransformerLayer(nn.Module):
    """A transformer layer with normalisation first: self-attention, then two linear layers with GELU between
    them (Dosovitskiy et al. 2021)."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.projection = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, dim) -> the same shape."""
        # (B, T, 3, heads, d) -> three times (B, heads, T, d).
        qkv = self.qkv(self.attention_norm(tokens)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.dropout(self.projection(attended))
        hidden = self.dropout(F.gelu(self.expand(self.mlp_norm(tokens))))
        contracted: Tensor = self.dropout(self.contract(hidden))
        return tokens + contracted


class TransformerNeck(Neck):
    """TokenPose (Li et al. 2021): patches of a feature map and one learnable token a keypoint go through a
    transformer; the keypoint tokens after each block of layers, side by side, are what comes out.

    Raises:
        ValueError: feature maps or input size that :meth:`TransformerConfig.check` refuses.
    """

    def __init__(self, config: TransformerConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.feature = config.chosen_feature(context.features)
        self.patches = config.patches(context.features, context.input_size)
        self.patch_size = config.patch_size
        # The first block whose later layers see the positions again.
        self.repeated_from = {"every_layer": 0, "later_blocks": 1, "first_layer": config.blocks}[
            config.positions
        ]
        self.keypoints = context.skeleton.keypoints
        self.num_keypoints = len(self.keypoints)
        channels = context.features[self.feature].channels
        self.keypoint_token = nn.Parameter(torch.empty(1, self.num_keypoints, config.dim))
        # Fixed, but a parameter as in the reference, so that parameter counts agree.
        self.pos_embedding = nn.Parameter(
            sine_positions(*self.patches, config.dim)[None], requires_grad=False
        )
        self.patch_to_embedding = nn.Linear(
            channels * config.patch_size[0] * config.patch_size[1], config.dim
        )
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                TransformerLayer(config.dim, config.heads, config.hidden_width(), config.dropout)
                for _ in range(config.depth)
            )
            for _ in range(config.blocks)
        )
        nn.init.trunc_normal_(self.keypoint_token, std=_INITIAL_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_INITIAL_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        return {"keypoint_token": (KeypointAxis.of(1, self.keypoints),)}

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Args:
            features: feature maps as declared; one of them is used, (B, C, h, w).

        Returns:
            one tensor (B, K, blocks * dim).

        Raises:
            ValueError: the map has another size than the network was built for.
        """
        visual = self.patch_to_embedding(self.cut_patches(features[self.feature])) + self.pos_embedding
        tokens = self.dropout(torch.cat([self.keypoint_token.expand(visual.shape[0], -1, -1), visual], dim=1))
        # Keypoint tokens have no place in the image: their rows are 0.
        positions = F.pad(self.pos_embedding, (0, 0, self.num_keypoints, 0))
        found = []
        for number, block in enumerate(self.blocks):
            assert isinstance(block, nn.ModuleList)
            for i, layer in enumerate(block):
                # Never before the first layer of a block, as in the reference.
                if i and number >= self.repeated_from:
                    tokens = tokens + positions
                tokens = layer(tokens)
            found.append(tokens[:, : self.num_keypoints])
        return [torch.cat(found, dim=2)]

    def cut_patches(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, patches, cells a patch * C)."""
        (rows, columns), (high, wide) = self.patches, self.patch_size
        if feature.shape[2:] != (rows * high, columns * wide):
            raise ValueError(
                f"the transformer was built for feature maps of {rows * high} x {columns * wide} cells, "
                f"not {feature.shape[2]} x {feature.shape[3]}; give the network images of its "
                "model.preprocess.size"
            )
        # Channels come last within a patch, in which order the weights of TokenPose expect them.
        cells = feature.reshape(*feature.shape[:2], rows, high, columns, wide)
        return cells.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
