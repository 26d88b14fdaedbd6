"""The ResNet."""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor, nn

from pose_core.interfaces import NO_INSERTS, Backbone, BuildContext, Inserts, insert, load_timm
from pose_core.specs import STAGES
from pose_resnet.config import BLOCKS, ResNetConfig, insert_point


class ResNet(Backbone):
    """ResNet (He et al. 2016), timm's implementation; its parameters are under ``model``, as timm names them.

    Raises:
        ConfigError: the pretrained weights that the config insists on cannot be had.
    """

    def __init__(self, config: ResNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        # Without a classifier; weights are loaded below, by a path that neither hangs offline nor unpickles.
        name = config.timm_name()
        model = timm.create_model(name, pretrained=False, num_classes=0, output_stride=config.output_stride)
        if context.pretrained and config.pretrained:
            option = f"{context.key}.pretrained"
            load_timm(model, name, required=config.pretrained is True, classifier=("fc.",), option=option)
        for stage in STAGES[max(config.out_features) :]:
            setattr(model, f"layer{stage}", nn.Identity())
        # Its parts are timm's; nn.Module types them as tensors.
        self.model: Any = model
        self.blocks = BLOCKS[config.depth]
        self.out_features = config.out_features
        self.freeze_norms(config.freeze_bn)

    def stage_parts(self) -> tuple[tuple[str, ...], ...]:
        """The stem goes with the first stage."""
        stages = [(f"model.layer{stage}",) for stage in STAGES[: max(self.out_features)]]
        return (("model.conv1", "model.bn1", *stages[0]), *stages[1:])

    def forward(self, images: Tensor, *, inserts: Inserts = NO_INSERTS, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of the coarsest stride.
            inserts: at ``stage1`` to ``stage4``, at the end of each, and at ``stage2_block3`` and the like,
                after each block before it; one map.

        Returns:
            a feature map (B, C, H / stride, W / stride) for each stage in ``out_features``.
        """
        x = self.model.maxpool(self.model.act1(self.model.bn1(self.model.conv1(images))))
        features: list[Tensor] = []
        for stage in STAGES[: max(self.out_features)]:
            for block, layer in enumerate(getattr(self.model, f"layer{stage}"), 1):
                (x,) = insert(inserts, insert_point(stage, block, self.blocks), [layer(x)])
            if stage in self.out_features:
                features.append(x)
        return features
