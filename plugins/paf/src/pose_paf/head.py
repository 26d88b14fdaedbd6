"""The head of part affinity fields."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from torch import Tensor

from pose_core.interfaces import BuildContext, Calibration, Grid, Head, KeypointAxis
from pose_core.maps import Deconvolutions, deconv_grid, prior_bias, repeat_names, stack_axes
from pose_paf.config import HEATMAP, LOCREF, PAF, AssemblyConfig, PafHeadConfig
from pose_paf.graph import choose_limbs, limb_names
from pose_paf.layers import Stages, Trunk
from pose_paf.pruning import FloatArray, candidate_graphs, limb_affinities, separability


class PafHead(Head):
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
        self.pruned = config.graph == "pruned"
        self.predictor_config = config.decided_predictor()
        self.told = replace(context, skeleton=replace(skeleton, edges=limb_names(self.limbs, skeleton)))
        self.set_codec(
            self.told.build("target_generator", config.target_generator, self.grid),
            self.told.build("predictor", self.predictor_config, self.grid),
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

    def calibrate(self, data: Calibration) -> dict[str, object]:
        """With ``graph: pruned``: which limbs join animals.

        Of graphs that connect all keypoints, from the best tree up to all limbs, the one with the smallest
        error on the validation images; of equal ones the smallest. What a limb is worth is measured on the
        training images (Lauer et al. 2022).
        """
        config = self.predictor_config
        if not self.pruned or not isinstance(config, AssemblyConfig) or config.limbs is not None:
            return {}
        within: list[list[FloatArray]] = [[] for _ in self.limbs]
        between: list[list[FloatArray]] = [[] for _ in self.limbs]
        for outputs, labels in data.training():
            for values, found in zip(
                (within, between),
                limb_affinities(outputs[PAF], labels.keypoints, self.limbs, self.grid),
                strict=True,
            ):
                for limb, array in enumerate(found):
                    values[limb].append(array)
        worth = separability(
            *([np.concatenate(v) for v in values] for values in (within, between)), seed=data.seed
        )
        graphs = candidate_graphs(worth, self.limbs, len(self.keypoints))
        configs = [config.model_copy(update={"limbs": graph}) for graph in graphs]
        errors = data.errors([self.told.build("predictor", c, self.grid) for c in configs])
        best = min(range(len(graphs)), key=lambda i: (errors[i], len(graphs[i])))
        return {"predictor": {"limbs": list(graphs[best])}}

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        """The axes over keypoints, and those over limbs: a limb is carried over where both of its ends
        are."""
        keypoints, points = repeat_names(self.keypoints), repeat_names(self.keypoints, 2)
        fields = [(self.keypoints[a], self.keypoints[b]) for a, b in self.limbs for _ in "xy"]
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
