"""The head of part affinity fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Grid, Head, KeypointAxis
from pose_paf.config import HEATMAP, LOCREF, PAF, PafHeadConfig
from pose_paf.graph import choose_limbs, names
from pose_paf.layers import Maps, Stages, Trunk, refined_grid

_PRIOR = 0.01
"""Probability of a blob that logits start from (the focal loss's trick, Lin et al. 2017)."""


class PafHead(Head):
    """Heatmaps (K), location refinement (2 K) and part affinity fields (2 L) of one feature map.

    Outputs ``heatmap`` (B, K, h, w): the blob of each keypoint, about 1 at its centre (logits with the loss
    ``heatmap/bce``); ``locref`` (B, 2 K, h, w): x and y (channels 2 k and 2 k + 1) from the centre of a cell to
    keypoint k, in pixels of the network's input; ``paf`` (B, 2 L, h, w): x and y (channels 2 l and 2 l + 1) of the
    direction of limb l, of length about 1 on the limb and 0 elsewhere (Cao et al. 2017).

    The codec is told the limbs as the edges of its skeleton, in the order of their maps.

    Attributes:
        limbs: pairs of indices of keypoints, in the order of their maps.

    Raises:
        ConfigError: the graph does not fit the skeleton.
    """

    def __init__(self, config: PafHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        skeleton = context.skeleton
        self.keypoints = skeleton.keypoints
        self.limbs = choose_limbs(config.graph, skeleton)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        layers = config.layers_on(feature)
        channels, grid = feature.channels, Grid.cells(feature.stride)
        k, pairs = skeleton.num_keypoints, len(self.limbs)
        self.trunk: Trunk | None = None
        self.staged: Stages | None = None
        if config.stages:
            self.staged = Stages(
                channels,
                k,
                pairs,
                features=config.stage_features,
                stages=config.stages,
                hidden=config.stage_channels,
                activation=config.stage_activation,
            )
            channels, layers = self.staged.width, layers - 1
            grid = refined_grid(grid, 1, 3, "same")
        elif layers > 1:
            self.trunk = Trunk(
                channels, config.deconv_channels, layers - 1, config.deconv_kernel, config.deconv_padding
            )
            channels = config.deconv_channels
            grid = refined_grid(grid, layers - 1, config.deconv_kernel, config.deconv_padding)
            layers = 1
        grid = refined_grid(grid, layers, config.deconv_kernel, config.deconv_padding)
        self.grid = grid if config.grid_offset is None else replace(grid, offset=config.grid_offset)
        make = partial(
            Maps,
            layers=layers,
            hidden=config.deconv_channels,
            kernel=config.deconv_kernel,
            padding=config.deconv_padding,
        )
        bias = math.log(_PRIOR / (1 - _PRIOR)) if config.heatmaps_are_logits() else 0.0
        self.heatmap_head = make(channels, k, bias=bias)
        self.locref_head = make(2 * k if self.staged is not None else channels, 2 * k)
        self.paf_head = make(channels, 2 * pairs)
        self.locref_std = config.locref_std
        told = replace(context, skeleton=replace(skeleton, edges=names(self.limbs, skeleton)))
        self.set_codec(
            told.build("target_generator", config.target_generator, self.grid),
            told.build("predictor", config.decided_predictor(), self.grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``heatmap`` (B, K, h, w), ``locref`` (B, 2 K, h, w) in pixels and ``paf`` (B, 2 L, h, w).
        """
        feature = features[self.feature]
        if self.staged is not None:
            feature, locref = self.staged(feature)
        else:
            if self.trunk is not None:
                feature = self.trunk(feature)
            locref = feature
        return {
            HEATMAP: self.heatmap_head(feature),
            LOCREF: self.locref_head(locref) * self.locref_std,
            PAF: self.paf_head(feature),
        }

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        """The axes over keypoints, and those over limbs: a limb is carried over where both of its ends are."""
        keypoints = [(name,) for name in self.keypoints]
        points = [entry for entry in keypoints for _ in "xy"]
        fields = [(self.keypoints[a], self.keypoints[b]) for a, b in self.limbs for _ in "xy"]
        axes: dict[str, tuple[KeypointAxis, ...]] = {}
        seen: list[tuple[str, ...]] | None = None
        if self.staged is not None:
            # What a stage sees, side by side.
            seen = [*keypoints, *fields, *[()] * (self.staged.width - len(keypoints) - len(fields))]
            for name, entries in (("convt1", keypoints), ("convt2", points), ("convt3", fields)):
                axes |= _convolution_axes(f"staged.{name}", getattr(self.staged, name), entries)
            for name, entries in (("hm_ref_layers", keypoints), ("paf_ref_layers", fields)):
                for i, stage in enumerate(getattr(self.staged, name)):
                    layers = {str(n): part for n, part in stage.named_modules() if isinstance(part, nn.Conv2d)}
                    for n, (layer, part) in enumerate(layers.items()):
                        last, first = n == len(layers) - 1, n == 0
                        where = f"staged.{name}.{i}" + (f".{layer}" if layer else "")
                        axes |= _convolution_axes(where, part, entries if last else None, seen if first else None)
        for part, entries, arriving in (
            ("heatmap_head", keypoints, seen),
            ("locref_head", points, points if seen else None),
            ("paf_head", fields, seen),
        ):
            maps = getattr(self, part)
            layers = {n: m for n, m in maps.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
            for n, (layer, module) in enumerate(layers.items()):
                outputs = entries if n == len(layers) - 1 else None
                axes |= _convolution_axes(f"{part}.{layer}", module, outputs, arriving if n == 0 else None)
        return axes


def _convolution_axes(
    name: str,
    layer: nn.Conv2d | nn.ConvTranspose2d,
    outputs: Sequence[tuple[str, ...]] | None,
    inputs: Sequence[tuple[str, ...]] | None = None,
) -> dict[str, tuple[KeypointAxis, ...]]:
    """Axes of a convolution's weight and bias; None: the channels belong to no keypoints."""
    # A transposed convolution has its inputs first.
    transposed = isinstance(layer, nn.ConvTranspose2d)
    found = [
        KeypointAxis(axis, tuple(entries))
        for axis, entries in ((int(transposed), outputs), (int(not transposed), inputs))
        if entries is not None
    ]
    axes = {f"{name}.weight": tuple(found)} if found else {}
    if outputs is not None:
        axes[f"{name}.bias"] = (KeypointAxis(0, tuple(outputs)),)
    return axes
