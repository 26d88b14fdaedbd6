"""HRNet with attention to conditions."""

from __future__ import annotations

import functools
import operator
from typing import Any

import timm
from torch import Tensor, nn

from pose_buctd.coam import ConditionalAttention
from pose_buctd.conditions import channels, check_channels
from pose_buctd.config import CONDITIONS, HRNetCoamConfig
from pose_core.errors import ConfigError
from pose_core.interfaces import Backbone, BuildContext, KeypointAxis, load_timm

_STRIDE = 4
_CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""What belongs to the classifier: the beginnings of its names in timm."""


class HRNetCoam(Backbone):
    """HRNet (Sun et al. 2019; timm's, under ``model``) with conditional attention modules (CoAM, Zhou et al. 2023)
    behind the transitions that the config names, one for each branch, under ``attention.<transition>.<branch>``.

    The layers of stage 4 that lead to other branches than the finest are kept, so that weights of the whole network
    load, but they are neither computed nor trained.

    Raises:
        ConfigError: the input size is not fixed, no multiple of 32, or the heads do not divide the cells.
        DownloadError: the pretrained weights that the config insists on cannot be had.
        WeightsError: their file is damaged or of another network.
    """

    def __init__(self, config: HRNetCoamConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        size = context.input_size
        if size is None:
            raise ConfigError("model.preprocess.size: buctd/hrnet_coam needs a fixed size, such as [256, 256]")
        if any(length % config.size_multiple() for length in size):
            raise ConfigError(
                f"model.preprocess.size: buctd/hrnet_coam needs multiples of {config.size_multiple()}, not {list(size)}"
            )
        name = f"hrnet_w{config.width}"
        # Its parts are timm's; nn.Module types them as tensors.
        model: Any = timm.create_model(
            name, pretrained=False, features_only=True, feature_location="", out_indices=(1, 2, 3, 4)
        )
        if context.pretrained and config.pretrained:
            load_timm(model, name, required=config.pretrained is True, classifier=_CLASSIFIER)
        self.model = model
        self.size = size
        self.channels = channels(config.encoding, context)
        self.encoding = config.encoding
        self.names = context.skeleton.keypoints
        self.attention = nn.ModuleDict(
            {str(stage): self._attention(config, stage, size) for stage in sorted(config.stages)}
        )
        for layers in model.stage4[-1].fuse_layers[1:]:
            layers.requires_grad_(False)
        self.freeze_norms(config.freeze_bn)

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        """The layers of the attention that take conditions."""
        axes: dict[str, tuple[KeypointAxis, ...]] = {}
        for stage, branches in self.attention.items():
            every: Any = branches
            for i, branch in enumerate(every):
                for name, each in branch.keypoint_axes(self.encoding, self.names).items():
                    axes[f"attention.{stage}.{i}.{name}"] = each
        return axes

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32 of the size it was made for.
            extra: ``conditions`` (B, K, H, W), or (B, 3, H, W) of colours.

        Returns:
            one map (B, width, H / 4, W / 4).

        Raises:
            ConfigError: the images or the conditions are not of the size or encoding that the network was made for.
        """
        conditions = extra[CONDITIONS]
        check_channels(conditions, self.channels)
        if tuple(images.shape[-2:]) != tuple(self.size):
            raise ConfigError(
                f"buctd/hrnet_coam was made for images of {self.size[0]} x {self.size[1]} pixels and gets "
                f"{images.shape[-2]} x {images.shape[-1]}; set model.preprocess.size and train it for that size"
            )
        model = self.model
        x = model.act1(model.bn1(model.conv1(images)))
        x = model.layer1(model.act2(model.bn2(model.conv2(x))))
        maps: list[Tensor] = [transition(x) for transition in model.transition1]
        maps = model.stage2(self._attend("1", maps, conditions))
        maps = self._attend("2", _transition(model.transition2, maps), conditions)
        maps = _transition(model.transition3, model.stage3(maps))
        maps = self._attend("3", maps, conditions)
        *earlier, last = model.stage4
        for module in earlier:
            maps = module(maps)
        branches = [branch(x) for branch, x in zip(last.branches, maps, strict=True)]
        addends = [layer(x) for layer, x in zip(last.fuse_layers[0], branches, strict=True)]
        return [last.fuse_act(functools.reduce(operator.add, addends))]

    def _attend(self, stage: str, maps: list[Tensor], conditions: Tensor) -> list[Tensor]:
        if stage not in self.attention:
            return maps
        branches: Any = self.attention[stage]
        return [branch(x, conditions) for branch, x in zip(branches, maps, strict=True)]

    def _attention(self, config: HRNetCoamConfig, stage: int, size: tuple[int, int]) -> nn.ModuleList:
        height, width = (length // _STRIDE for length in size)
        branches = [(config.width << i, (height >> i, width >> i)) for i in range(stage + 1)]
        if cells := next((h * w for _, (h, w) in branches if h * w % config.heads), 0):
            raise ConfigError(f"model.backbone.heads: {config.heads} heads do not divide the {cells} cells of a branch")
        return nn.ModuleList(
            ConditionalAttention(
                features,
                self.channels,
                cells_of_branch,
                size,
                config.heads,
                config.dropout,
                config.attention == "channel",
                config.transposed,
            )
            for features, cells_of_branch in branches
        )


def _transition(transition: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
    """The branches of the next stage: those there are, and a new one made of the coarsest."""
    return [maps[i] if isinstance(layer, nn.Identity) else layer(maps[-1]) for i, layer in enumerate(transition)]
