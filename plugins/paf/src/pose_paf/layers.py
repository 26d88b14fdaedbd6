"""Layers of the head that its outputs share, and stages that refine them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_core.maps import make_deconvolution


class Trunk(nn.Sequential):
    """Transposed convolutions that all outputs share, each with batch normalisation and ReLU."""

    def __init__(self, channels: int, hidden: int, layers: int, kernel: int, padding: str) -> None:
        stack: list[nn.Module] = []
        for i in range(layers):
            stack += [
                make_deconvolution(hidden if i else channels, hidden, kernel, padding),
                nn.BatchNorm2d(hidden),
                nn.ReLU(),
            ]
        super().__init__(*stack)


class Stages(nn.Module):
    """First estimates of heatmaps and fields, refined stage by stage (Cao et al. 2017; Lauer et al. 2022).

    A transposed convolution each makes first heatmaps (K), location refinement (2 K), fields (2 L) and D
    features. Every stage sees heatmaps, fields and features and makes new heatmaps and fields; the heatmaps
    of a stage but the first are added to those before it.

    Args:
        channels: C of the feature map.
        keypoints, limbs: K, L.
        features: D.
        stages: their number, at least 1.
        hidden: channels of a hidden layer in each; None: one convolution a stage.
        activation: ReLU on the features.

    Attributes:
        width: channels of what comes out first, D + K + 2 L.
    """

    def __init__(
        self,
        channels: int,
        keypoints: int,
        limbs: int,
        *,
        features: int,
        stages: int,
        hidden: int | None,
        activation: bool,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.width = features + keypoints + 2 * limbs
        # Names are those of DeepLabCut 3.
        self.convt1 = make_deconvolution(channels, keypoints, 3, "same")
        self.convt2 = make_deconvolution(channels, 2 * keypoints, 3, "same")
        self.convt3 = make_deconvolution(channels, 2 * limbs, 3, "same")
        self.convt4 = make_deconvolution(channels, features, 3, "same")
        self.hm_ref_layers = nn.ModuleList(_stage(self.width, hidden, keypoints) for _ in range(stages))
        self.paf_ref_layers = nn.ModuleList(_stage(self.width, hidden, 2 * limbs) for _ in range(stages))

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> maps (B, width, 2 h, 2 w) and first location refinement (B, 2 K, 2 h, 2 w)."""
        heatmap, paf, features = self.convt1(feature), self.convt3(feature), self.convt4(feature)
        if self.activation:
            features = features.relu()
        for i, (refine_heatmap, refine_paf) in enumerate(
            zip(self.hm_ref_layers, self.paf_ref_layers, strict=True)
        ):
            both = torch.cat([heatmap, paf, features], dim=1)
            before, heatmap, paf = heatmap, refine_heatmap(both), refine_paf(both)
            # The first estimates come from another layer, and are replaced and not refined, as in DeepLabCut
            # 3.
            if i:
                heatmap = heatmap + before
        return torch.cat([heatmap, paf, features], dim=1), self.convt2(feature)


def _stage(channels: int, hidden: int | None, outputs: int) -> nn.Module:
    if hidden is None:
        return nn.Conv2d(channels, outputs, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, outputs, 3, padding=1)
    )
