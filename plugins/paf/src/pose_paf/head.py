"""The head of part affinity fields."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Head, KeypointAxis
from pose_paf.config import HEATMAP, LOCREF, PAF, PafHeadConfig
from pose_paf.graph import choose_limbs, names
from pose_paf.layers import Maps, Stages, Trunk, refined_grid

_PRIOR = 0.01
"""Probability of a blob that logits start from (the focal loss's trick, Lin et al. 2017)."""


class PafHead(Head):
    """Heatmaps (K), location refinement (2 K) and part affinity fields (2 L) of one feature map.

    Outputs ``heatmap`` (B, K, h, w): the blob of each keypoint, about 1 at its centre (logits with the loss
    ``heatmap/bce``); ``locref`` (B, 2 K, h, w): x and y (channels 2 k and 2 k + 1) from the centre of a cell to
    keypoint k, in pixels of the network's input; ``paf`` (B, 2 L, h, w): x and y (channels 2 l and 2 l + 1) of the
    direction of limb l, of length about 1 on the limb and 0 elsewhere (Cao et al. 2017).

    The codec is told the limbs as the edges of its skeleton, in the order of their maps.

    Attributes:
        limbs: pairs of indices of keypoints, in the order of their maps.

    Raises:
        ConfigError: the graph does not fit the skeleton.
    """

    def __init__(self, config: PafHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        skeleton = context.skeleton
        self.limbs = choose_limbs(config.graph, skeleton)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        layers = config.layers_on(feature)
        channels, grid = feature.channels, Grid.cells(feature.stride)
        k, pairs = skeleton.num_keypoints, len(self.limbs)
        self.trunk: Trunk | None = None
        self.staged: Stages | None = None
        if config.stages:
            self.staged = Stages(
                channels,
                k,
                pairs,
                features=config.stage_features,
                stages=config.stages,
                hidden=config.stage_channels,
                activation=config.stage_activation,
            )
            channels, layers = self.staged.width, layers - 1
            grid = refined_grid(grid, 1, 3, "same")
        elif layers > 1:
            self.trunk = Trunk(
                channels, config.deconv_channels, layers - 1, config.deconv_kernel, config.deconv_padding
            )
            channels = config.deconv_channels
            grid = refined_grid(grid, layers - 1, config.deconv_kernel, config.deconv_padding)
            layers = 1
        grid = refined_grid(grid, layers, config.deconv_kernel, config.deconv_padding)
        self.grid = grid if config.grid_offset is None else replace(grid, offset=config.grid_offset)
        make = partial(
            Maps,
            layers=layers,
            hidden=config.deconv_channels,
            kernel=config.deconv_kernel,
            padding=config.deconv_padding,
        )
        bias = math.log(_PRIOR / (1 - _PRIOR)) if config.heatmaps_are_logits() else 0.0
        self.heatmap_head = make(channels, k, bias=bias)
        self.locref_head = make(2 * k if self.staged is not None else channels, 2 * k)
        self.paf_head = make(channels, 2 * pairs)
        self.locref_std = config.locref_std
        told = replace(context, skeleton=replace(skeleton, edges=names(self.limbs, skeleton)))
        self.set_codec(
            told.build("target_generator", config.target_generator, self.grid),
            told.build("predictor", config.decided_predictor(), self.grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``heatmap`` (B, K, h, w), ``locref`` (B, 2 K, h, w) in pixels and ``paf`` (B, 2 L, h, w).
        """
        feature = features[self.feature]
        if self.staged is not None:
            feature, locref = self.staged(feature)
        else:
            if self.trunk is not None:
                feature = self.trunk(feature)
            locref = feature
        return {
            HEATMAP: self.heatmap_head(feature),
            LOCREF: self.locref_head(locref) * self.locref_std,
            PAF: self.paf_head(feature),
        }

    def keypoint_axes(self) -> dict[str, KeypointAxis]:
        """The axes over keypoints of heatmaps and location refinement.

        Fields have an axis over limbs, and stages have inputs of keypoints, limbs and features in a row, for which
        :class:`KeypointAxis` has no words; a head that differs in one of these cannot be taken over.
        """
        axes: dict[str, KeypointAxis] = {}
        if self.staged is not None:
            return axes
        for part, values in (("heatmap_head", 1), ("locref_head", 2)):
            layers = len(getattr(self, part).deconv_layers)
            # A transposed convolution has its outputs on the second axis of its weights.
            last = f"{part}.deconv_layers.{2 * layers - 2 if layers > 1 else 0}" if layers else f"{part}.final_conv"
            axes[f"{last}.weight"] = KeypointAxis(1 if layers else 0, values)
            axes[f"{last}.bias"] = KeypointAxis(0, values)
        return axes
