"""The CSPNeXt."""

from __future__ import annotations

from torch import Tensor, nn

from pose_core.interfaces import NO_INSERTS, Backbone, BuildContext, Inserts, insert
from pose_core.specs import STAGES
from pose_cspnext.config import CSPNeXtConfig
from pose_cspnext.layers import ConvNorm, CrossStage, PyramidPooling


class CSPNeXt(Backbone):
    """CSPNeXt (Lyu et al. 2022): a stem of stride 2 and four stages, each of which halves the resolution."""

    def __init__(self, config: CSPNeXtConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        channels, blocks = config.channels(), config.blocks()
        # The channels are halved before they are rounded, as in the published weights.
        narrow = int(64 * config.widen // 2)
        self.stem = nn.Sequential(
            ConvNorm(3, narrow, 3, stride=2), ConvNorm(narrow, narrow, 3), ConvNorm(narrow, channels[0], 3)
        )
        for stage in STAGES[: max(config.out_features)]:
            last = stage == STAGES[-1]
            parts: list[nn.Module] = [ConvNorm(channels[stage - 1], channels[stage], 3, stride=2)]
            if last:
                parts.append(PyramidPooling(channels[stage]))
            # The last stage has no shortcuts, as RTMDet was published.
            parts.append(CrossStage(channels[stage], blocks[stage - 1], residual=not last))
            self.add_module(f"stage{stage}", nn.Sequential(*parts))
        self.out_features = config.out_features
        self.freeze_norms(config.freeze_bn)

    def forward(self, images: Tensor, *, inserts: Inserts = NO_INSERTS, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of the coarsest stride.
            inserts: at ``stage1`` to ``stage4``, at the end of each; one map.

        Returns:
            a feature map (B, C, H / stride, W / stride) for each stage in ``out_features``.
        """
        x: Tensor = self.stem(images)
        features: list[Tensor] = []
        for stage in STAGES[: max(self.out_features)]:
            name = f"stage{stage}"
            (x,) = insert(inserts, name, [self.get_submodule(name)(x)])
            if stage in self.out_features:
                features.append(x)
        return features
