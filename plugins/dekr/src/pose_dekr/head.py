"""The DEKR head."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Head, KeypointAxis, MapView
from pose_core.maps import prior_bias
from pose_dekr.config import HEATMAP, OFFSET, DekrHeadConfig
from pose_dekr.layers import HeatmapBranch, OffsetBranch

_CENTRE = "centre of the animal"


class DekrHead(Head):
    """Heatmaps and offsets of one feature map: disentangled keypoint regression (Geng et al. 2021).

    Outputs ``heatmap`` (B, K + 1, h, w): the blobs of the keypoints, and of the centres of the animals in the
    last map, about 1 in the middle (logits with the loss ``heatmap/bce``); and ``offset`` (B, 2 K, h, w): x
    and y (channels 2 k and 2 k + 1) from keypoint k of the animal whose centre is near to the centre of the
    cell, in cells. A keypoint lies at the cell minus its offset.

    Each keypoint has a branch of its own, of adaptive blocks that see where they should look.
    """

    def __init__(self, config: DekrHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        self.grid = Grid.of(feature).with_offset(config.grid_offset)
        self.keypoints = context.skeleton.keypoints
        k = len(self.keypoints)
        self.width = config.offset_channels
        bias = prior_bias(config.heatmaps_are_logits())
        self.heatmap_head = HeatmapBranch(
            feature.channels, k, config.heatmap_channels, config.heatmap_blocks, bias
        )
        self.offset_head = OffsetBranch(
            feature.channels, k, config.offset_channels, config.offset_blocks, config.deform
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
            ``heatmap`` (B, K + 1, h, w) and ``offset`` (B, 2 K, h, w) in cells.
        """
        feature = features[self.feature]
        return {HEATMAP: self.heatmap_head(feature), OFFSET: self.offset_head(feature)}

    def describe_maps(self) -> dict[str, MapView]:
        """The last heatmap is that of the centres, and offsets are ways back, in cells, that are read there."""
        activation: Literal["sigmoid", "none"] = "sigmoid" if HEATMAP in self.logits else "none"
        return {
            HEATMAP: MapView("score", (*self.keypoints, _CENTRE), activation=activation),
            OFFSET: MapView(
                "offset", self.keypoints, scale=-self.grid.stride, read_at=HEATMAP, read_label=_CENTRE
            ),
        }

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        maps = (KeypointAxis.of(0, self.keypoints),)
        axes: dict[str, tuple[KeypointAxis, ...]] = {
            f"heatmap_head.keypoint_maps.{name}": maps for name in ("weight", "bias")
        }
        values = {"transform_matrix_conv": 4, "translation_conv": 2, "maps": 2}
        for name, tensor in self.offset_head.state_dict().items():
            # Everything of this branch belongs to keypoints but the counters of the batch norms.
            if tensor.dim() > 0:
                entries = values.get(name.split(".")[-2], self.width)
                axes[f"offset_head.{name}"] = (KeypointAxis.of(0, self.keypoints, entries),)
        return axes
