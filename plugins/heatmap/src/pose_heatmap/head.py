"""The heatmap head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, KeypointAxis, Labels, Predictions, Target
from pose_core.maps import MapsHead, prior_bias, repeat_names, stack_axes
from pose_core.structures import Skeleton
from pose_heatmap.config import HEATMAP, LOCREF, HeatmapHeadConfig


class HeatmapHead(MapsHead):
    """Heatmaps (K maps) and location refinement (2 K maps) of one feature map.

    Outputs ``heatmap`` (B, K, h, w): the blob of each keypoint, about 1 at its centre (logits with the loss
    ``heatmap/bce``); and ``locref`` (B, 2 K, h, w): x and y (channels 2 k and 2 k + 1) from the centre of a
    cell to keypoint k, in pixels of the network's input. The design is that of DeeperCut (Insafutdinov et al.
    2016) and DeepLabCut (Mathis et al. 2018).

    Unique keypoints are shown to the codec as those of one animal, so that any codec does for both.

    Raises:
        ConfigError: unique keypoints are asked for and the skeleton has none.
    """

    def __init__(self, config: HeatmapHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.unique = config.keypoints == "unique"
        if self.unique:
            if not context.skeleton.unique_keypoints:
                raise ConfigError(
                    "keypoints: unique needs a skeleton with unique_keypoints; this one has none, so leave "
                    "the head "
                    "out (null in its place)"
                )
            # From here on they are the keypoints of a skeleton of one animal.
            context = replace(context, skeleton=Skeleton(keypoints=context.skeleton.unique_keypoints))
        self.skeleton = context.skeleton
        self.names = context.skeleton.keypoints
        k = context.skeleton.num_keypoints
        self.heatmap_head = self.make_maps(k, bias=prior_bias(config.heatmaps_are_logits()))
        self.locref_head = self.make_maps(2 * k) if config.location_refinement else None
        self.locref_std = config.locref_std
        self.teaches_absent = config.target_generator.teaches_absent()
        self.set_codec(
            context.build("target_generator", config.target_generator, self.grid),
            context.build("predictor", config.decided_predictor(), self.grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps as declared; one of them is used.

        Returns:
            ``heatmap`` (B, K, h, w) and, with location refinement, ``locref`` (B, 2 K, h, w) in pixels.
        """
        feature = features[self.feature]
        outputs = {HEATMAP: self.heatmap_head(feature)}
        if self.locref_head is not None:
            # The layer works in units of a few pixels: its weights start small, and so would its steps in
            # pixels.
            outputs[LOCREF] = self.locref_head(feature) * self.locref_std
        return outputs

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        axes = stack_axes("heatmap_head", self.heatmap_head, repeat_names(self.names))
        if self.locref_head is None:
            return axes
        return axes | stack_axes("locref_head", self.locref_head, repeat_names(self.names, 2))

    def targets(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        if not self.unique:
            return super().targets(labels, outputs)
        points = labels.unique_keypoints[:, None]
        labels = Labels.from_keypoints(points, unique_keypoints=points[:, 0])
        # An image without any labelled unique keypoint says nothing, unlike an image without animals; where
        # what is unlabelled is taught as absent, it says that they are not there.
        labelled = torch.isfinite(points[:, 0]).all(-1).float()
        if self.teaches_absent:
            labelled = torch.ones_like(labelled)
        targets: dict[str, Target] = {}
        for name, (value, weight) in super().targets(labels, outputs).items():
            known = labelled.repeat_interleave(value.shape[1] // labelled.shape[1], dim=1)[:, :, None, None]
            targets[name] = Target(value, weight * known)
        return targets

    def can_export_decoding(self) -> bool:
        # What decode does beside asking the predictor is arithmetic, too.
        return self.predictor.exportable

    def decode(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        if not self.unique:
            return super().decode(outputs, found)
        batch = outputs[HEATMAP].shape[0]
        decoded = self.predictor(outputs, Predictions.none(batch, self.skeleton, outputs[HEATMAP].device))
        return replace(
            found, unique_keypoints=decoded.keypoints[:, 0], unique_scores=decoded.keypoint_scores[:, 0]
        )
