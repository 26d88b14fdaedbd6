"""Heatmaps and part affinity fields -> animals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_paf.affinity import score_limbs
from pose_paf.assembly import assemble
from pose_paf.config import HEATMAP, LOCREF, PAF, AssemblyConfig
from pose_paf.peaks import find_blobs, smooth


class AssemblyPredictor(Predictor):
    """Bottom-up decoding (Cao et al. 2017): blobs are found in the heatmaps, every pair of blobs that may be
    a limb is scored along the fields, limbs are assigned optimally and merged to animals.

    Blobs and scores are computed on the device for all images at once, assignments on the host. The same
    outputs give the same animals. The limbs are the edges of the context's skeleton.

    Raises:
        ConfigError: ``limbs`` names a limb that the graph does not have.
    """

    def __init__(self, config: AssemblyConfig, context: BuildContext, grid: Grid) -> None:
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
        self.sigmoid = bool(config.sigmoid)
        self.config = config
        self.candidates = config.decided_candidates(skeleton.num_individuals)
        self.limit = config.limit(skeleton.num_individuals)
        self.min_keypoints = config.decided_min_keypoints(skeleton.num_keypoints)

    used: Tensor

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``heatmap`` (B, K, h, w), ``locref`` (B, 2 K, h, w) in pixels, ``paf`` (B, 2 L, h, w).
            found: replaced but for its unique keypoints.

        Returns:
            the animals of each image, the highest score first; a keypoint's score is the height of its blob,
            that of an animal the mean of those times the mean affinity of its limbs.
        """
        positions, scores, affinity = self.candidate_limbs(outputs)
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
                min_affinity=self.config.min_affinity,
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
        device = outputs[HEATMAP].device
        return found.with_animals(*(torch.from_numpy(array).to(device) for array in (points, values, totals)))

    def candidate_limbs(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What is assembled.

        Returns:
            positions (B, K, M, 2) of blobs in pixels, NaN where missing; their scores (B, K, M) in [0, 1];
            affinities (B, L, M, M) of the limbs that are used.
        """
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
        paf = outputs[PAF].float()
        if not self.every_limb:
            used = self.used.to(paf.device)
            paf = paf.index_select(1, torch.stack([2 * used, 2 * used + 1], dim=1).flatten())
        ends = torch.tensor(self.limbs, device=positions.device)
        affinity = score_limbs(
            paf,
            positions[:, ends[:, 0]],
            positions[:, ends[:, 1]],
            self.grid,
            samples=config.samples,
            nearest=config.sampling == "nearest",
        )
        return positions, scores.clamp(0, 1), affinity
