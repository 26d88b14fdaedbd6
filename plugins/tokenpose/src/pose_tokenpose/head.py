"""The heatmap head of keypoint tokens."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Grid, Head
from pose_tokenpose.config import HEATMAP, TokenHeatmapConfig

_PRIOR = 0.01
"""Probability of a blob that logits start from (the focal loss's trick, Lin et al. 2017)."""


class TokenHeatmapHead(Head):
    """Heatmaps from keypoint tokens: normalisation and one linear layer, shared by all keypoints (TokenPose, Li et al.
    2021). It holds nothing keypoint by keypoint: which keypoint a heatmap shows is in its token.

    Output ``heatmap`` (B, K, h, w): the blob of each keypoint, about 1 at its centre (logits with the loss
    ``heatmap/bce``). Cells tile the network's input.

    Raises:
        ValueError: features or input size that :meth:`TokenHeatmapConfig.check` refuses.
    """

    def __init__(self, config: TokenHeatmapConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.size = config.heatmap_size(context.features, context.input_size)
        channels = context.features[0].channels
        self.norm = nn.LayerNorm(channels)
        self.to_heatmap = nn.Linear(channels, self.size[0] * self.size[1])
        # Maps start nearly constant, so that the first steps are not spent on undoing noise.
        nn.init.normal_(self.to_heatmap.weight, std=0.001)
        nn.init.constant_(
            self.to_heatmap.bias, math.log(_PRIOR / (1 - _PRIOR)) if config.heatmaps_are_logits() else 0.0
        )
        grid = Grid.cells(config.stride)
        if config.grid_offset is not None:
            grid = replace(grid, offset=config.grid_offset)
        self.set_codec(
            context.build("target_generator", config.target_generator, grid),
            context.build("predictor", config.decided_predictor(), grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: keypoint tokens, one tensor (B, K, C).

        Returns:
            ``heatmap`` (B, K, h, w).
        """
        return {HEATMAP: self.to_heatmap(self.norm(features[0])).unflatten(2, self.size)}
