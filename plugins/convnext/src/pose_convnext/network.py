"""The ConvNeXt."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import convnext

from pose_convnext.config import ConvNeXtConfig
from pose_convnext.weights import FILES, from_imagenet
from pose_core.interfaces import (
    NO_INSERTS,
    Backbone,
    BuildContext,
    Inserts,
    insert,
    load_pretrained,
    torchvision_file,
)
from pose_core.specs import STAGES

_INITIAL_STD = 0.02
"""Of the weights of convolutions, as in torchvision's network."""


class ConvNeXt(Backbone):
    """ConvNeXt (Liu et al. 2022), torchvision's implementation; its parameters are under ``features``, as
    torchvision names them.

    Raises:
        DownloadError: the pretrained weights that the config insists on cannot be had.
        WeightsError: their file is damaged or of another network.
    """

    def __init__(self, config: ConvNeXtConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        channels = config.decided_channels()
        settings = [
            convnext.CNBlockConfig(inputs, outputs, depth)
            for inputs, outputs, depth in zip(
                channels, (*channels[1:], None), config.decided_depths(), strict=True
            )
        ]
        model = convnext.ConvNeXt(settings, config.drop_path_rate, num_classes=1)
        self.features: nn.Sequential = model.features
        stem = nn.Conv2d(
            3, channels[0], config.stem_patch_kernel, config.stem_patch_stride, config.decided_padding()
        )
        nn.init.trunc_normal_(stem.weight, std=_INITIAL_STD)
        if stem.bias is not None:
            nn.init.zeros_(stem.bias)
        self.features[0][0] = stem
        if context.pretrained and (size := config.published()) and config.pretrained:
            load_pretrained(
                self,
                torchvision_file(FILES[size], f"the ImageNet weights of ConvNeXt-{size}"),
                required=config.pretrained is True,
                option=f"{context.key}.pretrained",
                convert=from_imagenet,
            )
        # A stage is two entries: what leads to its resolution, and its blocks.
        self.features = self.features[: 2 * max(config.out_features)]
        self.out_features = config.out_features
        self.before = config.taps == "before"

    def stage_parts(self) -> tuple[tuple[str, ...], ...]:
        """Each stage with what leads to its resolution."""
        return tuple((f"features.{i}", f"features.{i + 1}") for i in range(0, len(self.features), 2))

    def forward(self, images: Tensor, *, inserts: Inserts = NO_INSERTS, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of the coarsest stride.
            inserts: at ``stage1`` to ``stage4``, at the end of each; one map.

        Returns:
            a feature map (B, C, H / stride, W / stride) for each stage in ``out_features``; with
            ``taps: before`` the output of the last of them after these.
        """
        x = images
        maps: list[Tensor] = []
        for stage in STAGES[: max(self.out_features)]:
            x = self.features[2 * stage - 2](x)
            before = x
            (x,) = insert(inserts, f"stage{stage}", [self.features[2 * stage - 1](x)])
            if stage in self.out_features:
                maps.append(before if self.before else x)
        return [*maps, x] if self.before else maps
