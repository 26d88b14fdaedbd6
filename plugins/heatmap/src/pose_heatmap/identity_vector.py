"""Which individual the animal of a crop is: one number for each individual, from all of the crop.

For networks that look at crops (top-down). Names are given by the core, to all animals of a frame at once.
The design, a pooled bottleneck and a small perceptron, is that of SLEAP (Pereira et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from pose_core.interfaces import (
    BuildContext,
    Grid,
    Head,
    KeypointAxis,
    Labels,
    Predictions,
    Predictor,
    Target,
    TargetGenerator,
)
from pose_heatmap.identity import find_individuals
from pose_heatmap.identity_config import (
    IDENTITY,
    IdentityOfCropConfig,
    IdentityVectorHeadConfig,
    IdentityVectorTargetConfig,
)


class IdentityVectorHead(Head):
    """Logits of individuals from a pooled feature map.

    Output ``identity`` (B, I): logits, of which individual the animal of the crop is.

    Raises:
        ConfigError: the skeleton has no individuals that could be told apart.
    """

    def __init__(self, config: IdentityVectorHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.individuals = find_individuals(context.skeleton, config.type)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        self.tokens, self.pool = feature.tokens, config.pool
        widths = [feature.channels, *[config.units] * config.layers]
        stack: list[nn.Module] = []
        for before, after in pairwise(widths):
            stack += [nn.Linear(before, after), nn.ReLU()]
        self.hidden_layers = nn.Sequential(*stack)
        self.classifier = nn.Linear(widths[-1], len(self.individuals))
        grid = Grid.of(feature)
        self.set_codec(
            context.build("target_generator", config.target_generator, grid),
            context.build("predictor", config.decided_predictor(), grid),
            config.losses,
            context,
        )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps (B, C, h, w) or tokens (B, K, C) as declared; one of them is used.

        Returns:
            ``identity`` (B, I) logits.
        """
        # Tokens have their channels last.
        values = features[self.feature] if self.tokens else features[self.feature].flatten(2).transpose(1, 2)
        pooled = values.amax(1) if self.pool == "max" else values.mean(1)
        return {IDENTITY: self.classifier(self.hidden_layers(pooled))}

    def keypoint_axes(self) -> dict[str, tuple[KeypointAxis, ...]]:
        axis = (KeypointAxis.of(0, self.individuals, individuals=True),)
        return {"classifier.weight": axis, "classifier.bias": axis}


class IdentityVectorTargets(TargetGenerator):
    """The individual of the animal that the crop is about, which stands first; one without a name teaches
    nothing."""

    def __init__(self, config: IdentityVectorTargetConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)

    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch; only the first animal of each image counts.
            outputs: ``identity`` (B, I), for its shape.

        Returns:
            ``identity``: 1 for the individual, else 0, (B, I); weights (B, 1), 0 where it is unknown.
        """
        batch, individuals = outputs[IDENTITY].shape
        nobody = torch.full((batch, 1), -1, dtype=torch.int64, device=labels.identity.device)
        identity = torch.cat([labels.identity, nobody], dim=1)[:, :1]
        known = (identity >= 0) & (identity < individuals)
        every = torch.arange(individuals, device=identity.device)
        return {IDENTITY: Target(((identity == every) & known).float(), known.float())}


class IdentityOfCropPredictor(Predictor):
    """Who the animal of the crop is."""

    exportable = True

    def __init__(self, config: IdentityOfCropConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.sigmoid = bool(config.sigmoid)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``identity`` (B, I) logits.
            found: the animal of each crop.

        Returns:
            ``found`` with identity scores, 0 where the logits are not finite.
        """
        logits = outputs[IDENTITY].float()
        chances = (logits.sigmoid() if self.sigmoid else logits.softmax(-1)).nan_to_num(0.0)
        # A row without an animal stays one of whom nothing is known.
        there = found.scores > 0
        return replace(found, identity_scores=torch.where(there[..., None], chances[:, None], 0.0))
