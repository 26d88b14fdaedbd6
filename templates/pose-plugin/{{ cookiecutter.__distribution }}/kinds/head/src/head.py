"""The head."""

from __future__ import annotations

import torch
from pose_core.interfaces import BuildContext, Grid, Head, KeypointAxis
from pose_core.maps import init_flat, repeat_names, stack_axes
from torch import Tensor, nn

from {{ cookiecutter.__package }}.config import CONFIDENCE, POSITION, IntegralHeadConfig

_SHARPNESS = 10.0
"""Factor of the map's logits: a map must become sharp before its mean leaves the middle of the image."""


class IntegralHead(Head):
    """The position of a keypoint is the mean place under a map of probabilities (Sun et al. 2018).

    Outputs ``position`` (B, K, 2), x and y in cells of ``grid``, and ``confidence`` (B, K) in [0, 1]. Made for one
    animal: that of the frame, or of the crop.
    """

    def __init__(self, config: IntegralHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        self.names = context.skeleton.keypoints
        self.where = nn.Conv2d(feature.channels, len(self.names), 1)
        self.certain = nn.Conv2d(feature.channels, len(self.names), 1)
        for layer in (self.where, self.certain):
            init_flat(layer)
        self.grid = Grid.of(feature).with_offset(config.grid_offset)
        self.set_codec(
            context.build("target_generator", config.target_generator, self.grid),
            context.build("predictor", config.decided_predictor(), self.grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared by the backbone or neck; one of them is used.

        Returns:
            ``position`` (B, K, 2) x and y in cells; ``confidence`` (B, K).
        """
        feature = features[self.feature]
        height, width = feature.shape[-2:]
        # In half precision the mean over many cells would be off by whole ones.
        share = (self.where(feature).float() * _SHARPNESS).flatten(2).softmax(-1).unflatten(-1, (height, width))
        x = (share.sum(-2) * torch.arange(width, device=feature.device)).sum(-1)
        y = (share.sum(-1) * torch.arange(height, device=feature.device)).sum(-1)
        confidence = (share * self.certain(feature).float()).sum((-2, -1)).sigmoid()
        return {POSITION: torch.stack([x, y], dim=-1), CONFIDENCE: confidence}

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        """Both layers have a channel for each keypoint: weights move between sets of keypoints by their names."""
        entries = repeat_names(self.names)
        return stack_axes("where", self.where, entries) | stack_axes("certain", self.certain, entries)
