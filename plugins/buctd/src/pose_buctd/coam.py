"""CoAM: attention to conditions within another backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from pose_buctd.attention import ConditionalAttention
from pose_buctd.conditions import channels, check_channels
from pose_buctd.config import CONDITIONS, CoamConfig
from pose_core.errors import ConfigError
from pose_core.interfaces import Backbone, BuildContext, Insert, KeypointAxis
from pose_core.specs import Feature


class Coam(Backbone):
    """Conditional attention modules (CoAM, Zhou et al. 2023) at insert points of another backbone.

    They are under ``attention.<insert point>.<feature map>``, the backbone is under ``backbone``.

    Raises:
        ConfigError: the input size is not fixed, no multiple of what the backbone needs, or the heads do not
            divide the cells.
    """

    def __init__(self, config: CoamConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        size = context.input_size
        if size is None:
            raise ConfigError("model.preprocess.size: buctd/coam needs a fixed size, such as [256, 256]")
        multiple = config.size_multiple()
        if any(length % multiple for length in size):
            raise ConfigError(
                f"model.preprocess.size: buctd/coam needs multiples of {multiple}, not {list(size)}"
            )
        self.size = size
        self.channels = channels(config.encoding, context)
        self.encoding = config.encoding
        self.names = context.skeleton.keypoints
        # The backbone within may take extra inputs itself, and gets no others.
        self.within = tuple(config.backbone.extra_inputs())
        self.backbone: Backbone = context.within("backbone").build("backbone", config.backbone)
        points = config.backbone.insert_points()
        self.attention = nn.ModuleDict(
            {
                point: nn.ModuleList(
                    self._attention(config, feature, context.key) for feature in points[point]
                )
                for point in points
                if point in config.at
            }
        )

    def keypoint_axes(self) -> Mapping[str, Sequence[KeypointAxis]]:
        """The layers of the attention that take conditions, and what the backbone within has."""
        axes = {f"backbone.{name}": each for name, each in self.backbone.keypoint_axes().items()}
        for point in self.attention:
            for i, attention in enumerate(self._modules_at(point)):
                for name, each in attention.keypoint_axes(self.encoding, self.names).items():
                    axes[f"attention.{point}.{i}.{name}"] = each
        return axes

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32 of the size it was made for.
            extra: ``conditions`` (B, K, H, W), or (B, 3, H, W) of colours.

        Returns:
            the feature maps of the backbone within.

        Raises:
            ConfigError: the images or the conditions are not of the size or encoding that the network was
                made for.
        """
        conditions = extra[CONDITIONS]
        check_channels(conditions, self.channels)
        if tuple(images.shape[-2:]) != tuple(self.size):
            raise ConfigError(
                f"buctd/coam was made for images of {self.size[0]} x {self.size[1]} pixels and gets "
                f"{images.shape[-2]} x {images.shape[-1]}; set model.preprocess.size and train it for that "
                "size"
            )
        features: list[Tensor] = self.backbone(
            images,
            inserts={point: self._attend(point, conditions) for point in self.attention},
            **{name: extra[name] for name in self.within},
        )
        return features

    def _attend(self, point: str, conditions: Tensor) -> Insert:
        def attend(maps: list[Tensor]) -> list[Tensor]:
            return [each(x, conditions) for each, x in zip(self._modules_at(point), maps, strict=True)]

        return attend

    def _modules_at(self, point: str) -> list[ConditionalAttention]:
        return [cast(ConditionalAttention, each) for each in cast(nn.ModuleList, self.attention[point])]

    def _attention(self, config: CoamConfig, feature: Feature, key: str) -> ConditionalAttention:
        height, width = (length // feature.stride for length in self.size)
        if height * width % config.heads:
            raise ConfigError(
                f"{key}.heads: {config.heads} heads do not divide the {height * width} cells of a map"
            )
        return ConditionalAttention(
            feature.channels,
            self.channels,
            (height, width),
            self.size,
            config.heads,
            config.dropout,
            config.attention == "channel",
            config.transposed,
        )
