"""The HRNet."""

from __future__ import annotations

import functools
import operator
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from pose_core.interfaces import NO_INSERTS, Backbone, BuildContext, Inserts, insert, load_timm
from pose_hrnet.config import HRNetConfig
from pose_hrnet.weights import CLASSIFIER


class HRNet(Backbone):
    """HRNet (Sun et al. 2019; Wang et al. 2020), timm's implementation; its parameters are under ``model``,
    as timm names them.

    Where one branch is put out (``branches: first`` and ``incremental``), the layers of stage 4 that lead to
    the other branches are kept, so that weights of the whole network load, but they are neither computed nor
    trained.

    Raises:
        DownloadError: the pretrained weights that the config insists on cannot be had.
        WeightsError: their file is damaged or of another network.
    """

    def __init__(self, config: HRNetConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        name = config.timm_name()
        location = "incre" if config.branches == "incremental" else ""
        # Weights are loaded below, by a path that neither hangs offline nor unpickles.
        model = timm.create_model(
            name, pretrained=False, features_only=True, feature_location=location, out_indices=(1, 2, 3, 4)
        )
        if context.pretrained and config.pretrained:
            option = f"{context.key}.pretrained"
            load_timm(model, name, required=config.pretrained is True, classifier=CLASSIFIER, option=option)
        # Its parts are timm's; nn.Module types them as tensors.
        self.model: Any = model
        self.branches = config.branches
        if config.branches in ("first", "incremental"):
            # They never get a gradient, and DDP waits for one from every parameter that is trained.
            for unused in self._unused():
                unused.requires_grad_(False)
        self.freeze_norms(config.freeze_bn)

    def forward(self, images: Tensor, *, inserts: Inserts = NO_INSERTS, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of 32.
            inserts: at ``transition1`` to ``transition3``, before the stages 2 to 4: all branches that there
                are.

        Returns:
            one map (B, C, H / 4, W / 4), C being the width (``first``), 15 times the width (``concatenated``)
            or 128 (``incremental``); with ``all`` four maps, of strides 4, 8, 16 and 32.
        """
        maps = self._before_last_fusion(images, inserts)
        last = self.model.stage4[-1]
        if self.branches in ("all", "concatenated"):
            maps = last(maps)
            return maps if self.branches == "all" else [_joined(maps)]
        branches = [branch(x) for branch, x in zip(last.branches, maps, strict=True)]
        # The fusion of timm's module for its first output alone: the others would be thrown away.
        addends = [layer(x) for layer, x in zip(last.fuse_layers[0], branches, strict=True)]
        finest: Tensor = last.fuse_act(functools.reduce(operator.add, addends))
        return [self.model.incre_modules[0](finest) if self.branches == "incremental" else finest]

    def _before_last_fusion(self, images: Tensor, inserts: Inserts) -> list[Tensor]:
        """The four branches before the last module of stage 4."""
        model = self.model
        x = model.act1(model.bn1(model.conv1(images)))
        x = model.layer1(model.act2(model.bn2(model.conv2(x))))
        maps: list[Tensor] = insert(
            inserts, "transition1", [transition(x) for transition in model.transition1]
        )
        maps = insert(inserts, "transition2", _transition(model.transition2, model.stage2(maps)))
        maps = insert(inserts, "transition3", _transition(model.transition3, model.stage3(maps)))
        for module in list(model.stage4)[:-1]:
            maps = module(maps)
        return maps

    def _unused(self) -> list[nn.Module]:
        """The parts that do not influence the finest branch."""
        unused: list[nn.Module] = list(self.model.stage4[-1].fuse_layers[1:])
        if self.branches == "incremental":
            unused += list(self.model.incre_modules[1:])
        return unused


def _transition(transition: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
    """The branches of the next stage: those there are, and a new one made of the coarsest."""
    return [
        maps[i] if isinstance(layer, nn.Identity) else layer(maps[-1]) for i, layer in enumerate(transition)
    ]


def _joined(maps: list[Tensor]) -> Tensor:
    """All maps in the resolution of the first, concatenated."""
    size = maps[0].shape[-2:]
    coarse = [functional.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in maps[1:]]
    return torch.cat([maps[0], *coarse], dim=1)
