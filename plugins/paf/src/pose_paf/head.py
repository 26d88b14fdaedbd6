"""The heads of part affinity fields."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, KeypointAxis
from pose_core.maps import Deconvolutions, MapsHead, deconv_grid, prior_bias, repeat_names, stack_axes
from pose_paf.config import HEATMAP, LOCREF, PAF, FieldsHeadConfig, PafHeadConfig
from pose_paf.layers import Stages, Trunk
from pose_paf.limbs import LimbsHead


class FieldsHead(LimbsHead, MapsHead):
    """Part affinity fields (2 L maps) alone, of a feature map of their own.

    Output ``paf`` (B, 2 L, h, w): x and y (channels 2 l and 2 l + 1) of the direction of limb l, of length
    about 1 on the limb and 0 elsewhere (Cao et al. 2017). Its predictor groups candidates that a head before
    it found, on a grid of its own.

    Raises:
        ConfigError: the graph does not fit the skeleton.
    """

    def __init__(self, config: FieldsHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.choose_limbs(config, context)
        self.paf_head = self.make_maps(2 * len(self.limbs))
        self.set_limb_codec(config, context)

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``paf`` (B, 2 L, h, w).
        """
        return {PAF: self.paf_head(features[self.feature])}

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        """A limb is carried over where both of its ends are."""
        return stack_axes("paf_head", self.paf_head, self.field_entries())


class PafHead(LimbsHead):
    """Heatmaps (K), location refinement (2 K) and part affinity fields (2 L) of one feature map.

    Outputs ``heatmap`` (B, K, h, w): the blob of each keypoint, about 1 at its centre (logits with the loss
    ``heatmap/bce``); ``locref`` (B, 2 K, h, w): x and y (channels 2 k and 2 k + 1) from the centre of a cell
    to keypoint k, in pixels of the network's input; ``paf`` (B, 2 L, h, w): x and y (channels 2 l and 2 l +
    1) of the direction of limb l, of length about 1 on the limb and 0 elsewhere (Cao et al. 2017).

    The codec is told the limbs as the edges of its skeleton, in the order of their maps.

    Attributes:
        limbs: pairs of indices of keypoints, in the order of their maps.

    Raises:
        ConfigError: the graph does not fit the skeleton.
    """

    def __init__(self, config: PafHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.choose_limbs(config, context)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        layers = config.layers_on(feature)
        channels, grid = feature.channels, Grid.of(feature)
        k, pairs = len(self.keypoints), len(self.limbs)
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
            # The stages begin with a transposed convolution of their own, so one layer less follows.
            grid = deconv_grid(grid, 1, 3, "same")
        elif layers > 1:
            self.trunk = Trunk(
                channels, config.deconv_channels, layers - 1, config.deconv_kernel, config.deconv_padding
            )
            channels = config.deconv_channels
            grid = deconv_grid(grid, layers - 1, config.deconv_kernel, config.deconv_padding)
            layers = 1
        grid = deconv_grid(grid, layers, config.deconv_kernel, config.deconv_padding)
        self.grid = grid.with_offset(config.grid_offset)
        make = partial(
            Deconvolutions,
            layers=layers,
            hidden=config.deconv_channels,
            kernel=config.deconv_kernel,
            padding=config.deconv_padding,
        )
        self.heatmap_head = make(channels, k, bias=prior_bias(config.heatmaps_are_logits()))
        self.locref_head = make(2 * k if self.staged is not None else channels, 2 * k)
        self.paf_head = make(channels, 2 * pairs)
        self.locref_std = config.locref_std
        self.set_limb_codec(config, context)

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
        """The axes over keypoints, and those over limbs: a limb is carried over where both of its ends
        are."""
        keypoints, points = repeat_names(self.keypoints), repeat_names(self.keypoints, 2)
        fields = self.field_entries()
        axes: dict[str, tuple[KeypointAxis, ...]] = {}
        seen = None
        if self.staged is not None:
            # What a stage sees, side by side.
            seen = [*keypoints, *fields, *[()] * (self.staged.width - len(keypoints) - len(fields))]
            for layer, outputs in (("convt1", keypoints), ("convt2", points), ("convt3", fields)):
                axes |= stack_axes(f"staged.{layer}", getattr(self.staged, layer), outputs)
            for layers, outputs in (("hm_ref_layers", keypoints), ("paf_ref_layers", fields)):
                for i, stage in enumerate(getattr(self.staged, layers)):
                    axes |= stack_axes(f"staged.{layers}.{i}", stage, outputs, seen)
        axes |= stack_axes("heatmap_head", self.heatmap_head, keypoints, seen)
        axes |= stack_axes("locref_head", self.locref_head, points, points if seen else None)
        return axes | stack_axes("paf_head", self.paf_head, fields, seen)
