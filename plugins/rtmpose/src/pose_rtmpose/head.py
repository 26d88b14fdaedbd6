"""The SimCC head."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Head, KeypointAxis, MapView
from pose_rtmpose.config import AXES, SimccHeadConfig
from pose_rtmpose.layers import GatedAttention, ScaleNorm


class SimccHead(Head):
    """x and y of each keypoint as scores of bins (SimCC, Li et al. 2022), in the form of RTMPose (Jiang et
    al. 2023).

    A convolution makes one map a keypoint; a linear layer turns each map into a vector; gated attention lets
    the vectors see each other; two linear layers score the bins of both axes. Outputs ``x`` (B, K, W *
    split_ratio) and ``y`` (B, K, H * split_ratio), float32; multiplied by the loss's beta they are logits.

    Raises:
        ConfigError: the size of the input is not fixed.
    """

    def __init__(self, config: SimccHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        if context.input_size is None:
            raise ConfigError(
                "rtmpose/simcc needs inputs of one size: set model.preprocess.size to [height, width]"
            )
        height, width = context.input_size
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        cells = (height // feature.stride) * (width // feature.stride)
        k = context.skeleton.num_keypoints
        self.keypoints = context.skeleton.keypoints
        self.final_layer = nn.Conv2d(feature.channels, k, config.kernel, padding=config.kernel // 2)
        self.mlp = nn.Sequential(ScaleNorm(cells), nn.Linear(cells, config.hidden, bias=False))
        self.gau = GatedAttention(config.hidden, config.attention, config.expansion)
        # Names of these layers are those of DeepLabCut 3, so that its weights fit without renaming.
        self.cls_x = nn.Linear(config.hidden, width * config.split_ratio, bias=False)
        self.cls_y = nn.Linear(config.hidden, height * config.split_ratio, bias=False)
        self._initialise()
        self.grid = grid = Grid.cells(1 / config.split_ratio).with_offset(config.grid_offset)
        self.betas = config.betas()
        self.set_codec(
            context.build("target_generator", config.target_generator, grid),
            context.build("predictor", config.decided_predictor(), grid),
            config.losses,
            context,
        )

    def _initialise(self) -> None:
        # Every step keeps its input's scale, and the bins start nearly equal.
        nn.init.kaiming_normal_(self.final_layer.weight, nonlinearity="linear")
        assert self.final_layer.bias is not None
        nn.init.zeros_(self.final_layer.bias)
        linear = self.mlp[1]
        assert isinstance(linear, nn.Linear)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="linear")
        for classifier in (self.cls_x, self.cls_y):
            nn.init.normal_(classifier.weight, std=0.01 * classifier.in_features**-0.5)

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        axes = (KeypointAxis.of(0, self.keypoints),)
        return {"final_layer.weight": axes, "final_layer.bias": axes}

    def describe_maps(self) -> dict[str, MapView]:
        """Distributions over bins."""
        return {
            axis: MapView("distribution", self.keypoints, self.grid, "softmax", self.betas[axis], axis)
            for axis in AXES
        }

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``x`` (B, K, W * split_ratio) and ``y`` (B, K, H * split_ratio).
        """
        maps = self.final_layer(features[self.feature])
        # Bins beside the highest differ by a hundredth: too little for the half precision of mixed training.
        device = maps.device.type
        with (
            torch.autocast(device, enabled=False)
            if torch.amp.is_autocast_available(device)
            else nullcontext()
        ):
            tokens = self.gau(self.mlp(maps.float().flatten(2)))
            return dict(zip(AXES, (self.cls_x(tokens), self.cls_y(tokens)), strict=True))
