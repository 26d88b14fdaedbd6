"""PreNet: image and conditions become one image for any backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pose_buctd.conditions import axes_of_convolution, channels, check_channels
from pose_buctd.config import CONDITIONS, PreNetConfig
from pose_core.interfaces import Backbone, BuildContext, KeypointAxis

_HIDDEN = 64


class PreNet(Backbone):
    """The conditional pre-network of BUCTD (Zhou et al. 2023) before another backbone.

    image: convolution 3 x 3 to 64 channels, batch norm, convolution 7 x 7 to 3 channels, batch norm;
    conditions: convolution 7 x 7 to 3 channels, batch norm; their sum goes into the backbone. At the start
    the image passes through but for its mean and contrast, so that pretrained weights of the backbone keep
    their meaning, and conditions show as faint blobs.
    """

    def __init__(self, config: PreNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.channels = channels(config.encoding, context)
        self.encoding = config.encoding
        self.names = context.skeleton.keypoints
        self.within = tuple(config.backbone.extra_inputs())
        self.image = nn.Sequential(
            nn.Conv2d(3, _HIDDEN, 3, padding=1),
            nn.BatchNorm2d(_HIDDEN),
            nn.Conv2d(_HIDDEN, 3, 7, padding=3),
            nn.BatchNorm2d(3),
        )
        self.conditions = nn.Sequential(nn.Conv2d(self.channels, 3, 7, padding=3), nn.BatchNorm2d(3))
        self._pass_the_image_through(config.gain)
        self.backbone: Backbone = context.within("backbone").build("backbone", config.backbone)

    def keypoint_axes(self) -> Mapping[str, Sequence[KeypointAxis]]:
        """The convolution of the conditions, and what the backbone within has."""
        return axes_of_convolution("conditions.0", self.encoding, self.names) | {
            f"backbone.{name}": each for name, each in self.backbone.keypoint_axes().items()
        }

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, normalised.
            extra: ``conditions`` (B, K, H, W), or (B, 3, H, W) of colours.

        Returns:
            the feature maps of the backbone within.

        Raises:
            ConfigError: the conditions have another encoding than the network was made for.
        """
        conditions = extra[CONDITIONS]
        check_channels(conditions, self.channels)
        features: list[Tensor] = self.backbone(
            self.image(images) + self.conditions(conditions), **{name: extra[name] for name in self.within}
        )
        return features

    def _pass_the_image_through(self, gain: float) -> None:
        first, _, second, _ = self.image
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        with torch.no_grad():
            # Three of the hidden channels are the image; the others are free to learn, and count for little
            # yet.
            nn.init.dirac_(first.weight[:3])
            nn.init.normal_(second.weight, std=1e-3)
            second.weight[:, :3].zero_()
            nn.init.dirac_(second.weight[:, :3])
            for convolution in (first, second):
                assert convolution.bias is not None
                nn.init.zeros_(convolution.bias)
            blobs, norm = self.conditions
            # Blobs of different keypoints seldom meet: what counts is the area of one.
            nn.init.normal_(blobs.weight, std=1 / 7)  # type: ignore[arg-type]
            nn.init.zeros_(blobs.bias)  # type: ignore[arg-type]
            nn.init.constant_(norm.weight, gain)  # type: ignore[arg-type]
