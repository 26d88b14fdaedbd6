"""The heatmap head of keypoint tokens."""

from __future__ import annotations

from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Grid, Head
from pose_core.maps import init_flat, prior_bias
from pose_tokenpose.config import HEATMAP, TokenHeatmapConfig


class TokenHeatmapHead(Head):
    """Heatmaps from keypoint tokens: normalisation and one linear layer, shared by all keypoints (TokenPose,
    Li et al. 2021). It holds nothing keypoint by keypoint: which keypoint a heatmap shows is in its token.

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
        # Each cell is an output of its own, which is why the size of the input is fixed.
        self.to_heatmap = nn.Linear(channels, self.size[0] * self.size[1])
        init_flat(self.to_heatmap, prior_bias(config.heatmaps_are_logits()))
        grid = Grid.cells(config.stride).with_offset(config.grid_offset)
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
