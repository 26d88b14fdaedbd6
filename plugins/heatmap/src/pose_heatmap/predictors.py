"""Heatmaps -> the keypoints of one animal, or all candidates for keypoints."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_core.maps import Fit, find_peaks, highest_cell, refine_peaks, spread_candidates
from pose_core.specs import HeatmapPredictorConfig
from pose_heatmap.config import HEATMAP, LOCREF, ArgmaxConfig, PeaksConfig, SubpixelConfig


class _OneAnimal(Predictor):
    """Reads one animal from heatmaps; every keypoint gets a position, a missing one has a low score."""

    exportable = True

    window = 1
    share = 1.0
    fit: Fit = "gaussian"

    def __init__(self, config: HeatmapPredictorConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.sigmoid = bool(config.sigmoid)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``heatmap`` (B, K, h, w) and perhaps ``locref`` (B, 2 K, h, w) in pixels.
            found: replaced but for its unique keypoints.

        Returns:
            one animal an image; a keypoint's score is the height of its blob, clipped to [0, 1].
        """
        maps = outputs[HEATMAP].float()
        index, value = highest_cell(maps)
        score = value.sigmoid() if self.sigmoid else value.clamp(0, 1)
        positions = refine_peaks(
            maps,
            index,
            self.grid,
            locref=outputs.get(LOCREF),
            window=self.window,
            share=self.share,
            logits=self.sigmoid,
            fit=self.fit,
        )
        return found.with_animals(positions.transpose(1, 2), score.transpose(1, 2))


class ArgmaxPredictor(_OneAnimal):
    """The centre of the highest cell, plus location refinement where there is any (DeeperCut, DeepLabCut)."""

    def __init__(self, config: ArgmaxConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)


class SubpixelPredictor(_OneAnimal):
    """The centre of a Gaussian fitted around the highest cell (:func:`pose_core.maps.fit_gaussian`; or, as
    ``fit`` says, the mean of the cells), averaged with location refinement where there is any."""

    def __init__(self, config: SubpixelConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.window = config.window
        self.share = config.locref
        self.fit = config.fit


class PeaksPredictor(Predictor):
    """All local maxima of each map, as candidates: each is an animal with this one keypoint.

    A later head groups them (``paf/fields``, ``heatmap/identity`` with ``heatmap/group_by_identity``, or that
    of any plugin), which is what bottom-up methods do (Cao et al. 2017). Without one, every candidate is
    reported as an animal.
    """

    def __init__(self, config: PeaksConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.config = config
        self.sigmoid = bool(config.sigmoid)
        self.count = config.decided_candidates(context.skeleton.num_individuals)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``heatmap`` (B, K, h, w) and perhaps ``locref`` (B, 2 K, h, w) in pixels.
            found: replaced but for its unique keypoints.

        Returns:
            animals with one keypoint each, those of the first keypoint first; a score is the height of a
            peak, clipped to [0, 1].
        """
        maps = outputs[HEATMAP].float()
        positions, scores = find_peaks(
            maps.sigmoid() if self.sigmoid else maps,
            self.grid,
            self.count,
            locref=outputs.get(LOCREF),
            side=self.config.nms,
            threshold=self.config.threshold,
            window=self.config.window,
            share=self.config.locref,
            fit=self.config.fit,
        )
        return found.with_animals(*spread_candidates(positions, scores))
