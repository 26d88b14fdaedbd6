"""The centroid head."""

from __future__ import annotations

from torch import Tensor

from pose_centroid.config import HEATMAP, CentroidHeadConfig
from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Head
from pose_core.maps import Deconvolutions, deconv_grid, prior_bias


class CentroidHead(Head):
    """A heatmap (B, 1, h, w) of one feature map: a Gaussian of height 1 at the centre of every animal.

    The first stage of top-down models in SLEAP (Pereira et al. 2022), and the heatmap of CenterNet (Zhou et al.
    2019) without its sizes. Its output is ``heatmap``; logits with the loss ``heatmap/bce``.

    Raises:
        ConfigError: the model learns several keypoints an animal.
    """

    def __init__(self, config: CentroidHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        if context.skeleton.num_keypoints != 1:
            raise ConfigError(
                f"{config.type}: finds one point an animal, and this model learns "
                f"{context.skeleton.num_keypoints} keypoints; use model.method: centroid"
            )
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        layers, kernel, padding = config.layers_on(feature), config.deconv_kernel, config.deconv_padding
        cells = deconv_grid(Grid.cells(feature.stride), layers, kernel, padding)
        self.grid = cells.with_offset(config.grid_offset)
        self.heatmap_head = Deconvolutions(
            feature.channels,
            1,
            layers=layers,
            hidden=config.deconv_channels,
            kernel=kernel,
            padding=padding,
            bias=prior_bias(config.heatmaps_are_logits()),
        )
        self.set_codec(
            context.build("target_generator", config.target_generator, self.grid),
            context.build("predictor", config.decided_predictor(), self.grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``heatmap`` (B, 1, h, w).
        """
        return {HEATMAP: self.heatmap_head(features[self.feature])}
