"""The Swin Transformer."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import swin_transformer

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
from pose_swin.config import SwinConfig
from pose_swin.weights import FILES, from_imagenet


class Swin(Backbone):
    """Swin Transformer (Liu et al. 2021), version 1, torchvision's implementation; its parameters are under
    ``features`` and ``norm``, as torchvision names them.

    Raises:
        DownloadError: the pretrained weights that the config insists on cannot be had.
        WeightsError: their file is damaged or of another network.
    """

    def __init__(self, config: SwinConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        patch = config.patch_size
        model = swin_transformer.SwinTransformer(
            patch_size=[patch, patch],
            embed_dim=config.decided_embed(),
            depths=list(config.decided_depths()),
            num_heads=list(config.decided_heads()),
            window_size=[config.window_size, config.window_size],
            stochastic_depth_prob=config.drop_path_rate,
            num_classes=1,
        )
        self.features: nn.Sequential = model.features
        # torchvision's own has the stride of the patches.
        self.features[0][0] = nn.Conv2d(
            3, config.decided_embed(), patch, config.stem_patch_stride, config.decided_padding()
        )
        self.norm: nn.Module = model.norm
        if context.pretrained and (size := config.published()) and config.pretrained:
            load_pretrained(
                self,
                torchvision_file(FILES[size], f"the ImageNet weights of Swin-{size}"),
                required=config.pretrained is True,
                option=f"{context.key}.pretrained",
                convert=from_imagenet,
            )
        last = max(config.out_features)
        if last < STAGES[-1]:
            # It is made for the channels of stage 4.
            self.norm = nn.Identity()
        # A stage is two entries: what leads to its resolution, and its blocks.
        self.features = self.features[: 2 * last]
        self.out_features = config.out_features
        self.before = config.taps == "before"

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
        last = max(self.out_features)
        for stage in STAGES[:last]:
            # torchvision's blocks have the channels last.
            x = self.features[2 * stage - 2](x)
            before = x
            x = self.features[2 * stage - 1](x)
            point = f"stage{stage}"
            if point in inserts:
                (inserted,) = insert(inserts, point, [_channels_first(x)])
                x = inserted.permute(0, 2, 3, 1)
            if stage == last:
                x = self.norm(x)
            if stage in self.out_features:
                maps.append(_channels_first(before if self.before else x))
        return [*maps, _channels_first(x)] if self.before else maps


def _channels_first(x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, C, h, w), contiguous as torch's convolutions make it."""
    return x.permute(0, 3, 1, 2).contiguous()
