"""Candidates and part affinity fields -> animals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_core.maps import gather_candidates, spread_candidates
from pose_paf.affinity import penalize_length, score_limbs
from pose_paf.assembly import assemble
from pose_paf.config import HEATMAP, LOCREF, PAF, AssemblyConfig, GroupingConfig
from pose_paf.peaks import find_blobs, smooth


class GroupingPredictor(Predictor):
    """Bottom-up grouping (Cao et al. 2017): every pair of candidates that may be a limb is scored along the
    fields, limbs are assigned optimally and merged to animals.

    The candidates are the keypoints of all animals that the heads before this one found: animals with several
    are taken apart. Scores are computed on the device for all images at once, assignments on the host. The
    same outputs and candidates give the same animals. The limbs are the edges of the context's skeleton.

    Raises:
        ConfigError: ``limbs`` names a limb that the graph does not have.
    """

    def __init__(self, config: GroupingConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        edges, skeleton = context.skeleton.edge_indices, context.skeleton
        used = tuple(range(len(edges))) if config.limbs is None else tuple(sorted(set(config.limbs)))
        if wrong := [number for number in used if number >= len(edges)]:
            raise ConfigError(
                f"predictor.limbs: there is no limb {wrong[0]}; the graph's {len(edges)} limbs count from 0"
            )
        self.limbs = tuple(edges[number] for number in used)
        self.every_limb = len(used) == len(edges)
        self.register_buffer("used", torch.tensor(used, dtype=torch.int64), persistent=False)
        self.grouping = config
        self.candidates = config.decided_candidates(skeleton.num_individuals)
        self.limit = config.limit(skeleton.num_individuals)
        self.min_keypoints = config.decided_min_keypoints(skeleton.num_keypoints)

    used: Tensor

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``paf`` (B, 2 L, h, w).
            found: the candidates.

        Returns:
            the animals of each image, the highest score first; the score of an animal is the mean of those of
            its keypoints times the mean affinity of its limbs. Unique keypoints are those of ``found``.
        """
        positions, scores = gather_candidates(found, self.candidates)
        return self.group(positions, scores, outputs[PAF], found)

    def group(self, positions: Tensor, scores: Tensor, paf: Tensor, found: Predictions) -> Predictions:
        """Join candidates to animals.

        Args:
            positions: (B, K, M, 2) of candidates in pixels, NaN where missing.
            scores: (B, K, M) in [0, 1].
            paf: (B, 2 L, h, w).
            found: replaced but for its unique keypoints.
        """
        affinity = self.score(positions, paf)
        # One copy to the host for the whole batch.
        parts = [t.flatten(1) for t in (positions, scores, affinity)]
        host = torch.cat(parts, dim=1).cpu().numpy()
        at = np.cumsum([t.shape[1] for t in parts])
        animals = [
            assemble(
                image[at[1] :].reshape(affinity.shape[1:]),
                image[: at[0]].reshape(positions.shape[1:]),
                image[at[0] : at[1]].reshape(scores.shape[1:]),
                self.limbs,
                min_affinity=self.grouping.min_affinity,
                min_keypoints=self.min_keypoints,
                limit=self.limit,
            )
            for image in host
        ]
        count = max((len(total) for _, _, total in animals), default=0)
        batch, k = scores.shape[:2]
        points = np.full((batch, count, k, 2), np.nan, np.float32)
        values, totals = np.zeros((batch, count, k), np.float32), np.zeros((batch, count), np.float32)
        for row, (keypoints, value, total) in enumerate(animals):
            points[row, : len(total)], values[row, : len(total)], totals[row, : len(total)] = (
                keypoints,
                value,
                total,
            )
        return found.with_animals(
            *(torch.from_numpy(array).to(paf.device) for array in (points, values, totals))
        )

    def score(self, positions: Tensor, paf: Tensor) -> Tensor:
        """Affinities (B, L, M, M) of the limbs that are used, between all candidates (B, K, M, 2)."""
        # Half precision would tie candidates, and ties are broken by place, not by the field.
        paf, config = paf.float(), self.grouping
        if not self.every_limb:
            used = self.used.to(paf.device)
            paf = paf.index_select(1, torch.stack([2 * used, 2 * used + 1], dim=1).flatten())
        ends = torch.tensor(self.limbs, device=positions.device)
        starts, stops = positions[:, ends[:, 0]], positions[:, ends[:, 1]]
        affinity = score_limbs(
            paf, starts, stops, self.grid, samples=config.samples, nearest=config.sampling == "nearest"
        )
        if not config.length_penalty:
            return affinity
        longest = config.long_limb * max(paf.shape[-2:]) * self.grid.stride
        return penalize_length(affinity, starts, stops, longest, config.length_penalty)


class AssemblyPredictor(GroupingPredictor):
    """Bottom-up decoding of one head that makes heatmaps and fields: its blobs are the candidates.

    Raises:
        ConfigError: ``limbs`` names a limb that the graph does not have.
    """

    def __init__(self, config: AssemblyConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.config = config
        self.sigmoid = bool(config.sigmoid)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``heatmap`` (B, K, h, w), ``locref`` (B, 2 K, h, w) in pixels, ``paf`` (B, 2 L, h, w).
            found: replaced but for its unique keypoints.

        Returns:
            the animals of each image, the highest score first; a keypoint's score is the height of its blob,
            that of an animal the mean of those times the mean affinity of its limbs.
        """
        positions, scores = self.find_blobs(outputs)
        return self.group(positions, scores, outputs[PAF], found)

    def find_candidates(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """The blobs of the heatmaps."""
        return found.with_animals(*spread_candidates(*self.find_blobs(outputs)))

    def find_blobs(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Positions (B, K, M, 2) of blobs in pixels, NaN where there are fewer, and heights (B, K, M) in [0, 1]."""
        # Half precision would tie cells beside a peak, and ties are broken by place, not by height.
        config, maps = self.config, outputs[HEATMAP].float()
        maps = smooth(maps.sigmoid() if self.sigmoid else maps, config.blur)
        positions, scores = find_blobs(
            maps,
            outputs[LOCREF].float(),
            self.grid,
            self.candidates,
            nms=config.nms,
            threshold=config.threshold,
            window=config.window,
        )
        return positions, scores.clamp(0, 1)
