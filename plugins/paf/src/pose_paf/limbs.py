"""What heads with part affinity fields have in common: their limbs, and the choice of those that join animals."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pose_core.interfaces import BuildContext, Calibration, Grid, Head, MapView, Predictor
from pose_core.maps import Entries
from pose_paf.config import PAF, FieldsHeadConfig, GroupingConfig, PafHeadConfig
from pose_paf.graph import Pairs, choose_limbs, limb_names
from pose_paf.pruning import FloatArray, candidate_graphs, limb_affinities, separability


class LimbsHead(Head):
    """Base of the heads with an output ``paf``.

    The codec is told the limbs as the edges of its skeleton, in the order of their maps.

    Attributes:
        limbs: pairs of indices of keypoints, in the order of their maps.
        keypoints: names.
        grid: of the maps; a subclass sets it.
    """

    limbs: Pairs
    keypoints: tuple[str, ...]
    grid: Grid

    def choose_limbs(self, config: PafHeadConfig | FieldsHeadConfig, context: BuildContext) -> None:
        """Decide the limbs; comes before the layers.

        Raises:
            ConfigError: the graph does not fit the skeleton.
        """
        self.keypoints = context.skeleton.keypoints
        self.limbs = choose_limbs(config.graph, context.skeleton)

    def set_limb_codec(self, config: PafHeadConfig | FieldsHeadConfig, context: BuildContext) -> None:
        """Set the codec and the losses; comes after the grid.

        Raises:
            ConfigError: the predictor is to use a limb that the graph does not have.
        """
        skeleton = context.skeleton
        told = replace(context, skeleton=replace(skeleton, edges=limb_names(self.limbs, skeleton)))
        self.pruned = config.graph == "pruned"
        self.predictor_config = config.decided_predictor()
        # Any: a predictor is known by the name of its kind only.
        self.build_predictor: Any = partial(told.build, "predictor")
        predictor: Predictor = self.build_predictor(self.predictor_config, self.grid)
        self.set_codec(
            told.build("target_generator", config.target_generator, self.grid),
            predictor,
            config.losses,
            context,
        )

    def field_entries(self) -> Entries:
        """For each map of the fields the names of its limb's ends."""
        return [(self.keypoints[a], self.keypoints[b]) for a, b in self.limbs for _ in "xy"]

    def describe_maps(self) -> dict[str, MapView]:
        """Only the limbs need words: a graph may have others than the skeleton."""
        limbs = (f"{self.keypoints[a]}–{self.keypoints[b]}" for a, b in self.limbs)
        return {PAF: MapView("vector", tuple(limbs))}

    def calibrate(self, data: Calibration) -> dict[str, object]:
        """With ``graph: pruned``: which limbs join animals.

        Of graphs that connect all keypoints, from the best tree up to all limbs, the one with the smallest
        error on the validation images; of equal ones the smallest. What a limb is worth is measured on the
        training images (Lauer et al. 2022).
        """
        config = self.predictor_config
        if not self.pruned or not isinstance(config, GroupingConfig) or config.limbs is not None:
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
        errors = data.errors([self.build_predictor(c, self.grid) for c in configs])
        best = min(range(len(graphs)), key=lambda i: (errors[i], len(graphs[i])))
        return {"predictor": {"limbs": list(graphs[best])}}
