"""Conditional top-down: initial poses first, then each of them refined in a crop around it.

The network sees the crop together with the pose that the crop is about (Zhou et al. 2023).
"""

from __future__ import annotations

from dataclasses import replace

from pose_buctd.config import RefineConfig
from pose_buctd.stages.refiner import Refiner
from pose_buctd.stages.track import TrackStage
from pose_core.interfaces import FrameGroup, Stage, StageContext, StageResult, View, find_duplicates


class RefineStage(Stage):
    """The pose network of a conditional top-down model."""

    needs_frames = True

    def __init__(self, config: RefineConfig, context: StageContext) -> None:
        self._refiner = Refiner(context.in_crops(), config.threshold)
        self._duplicate = config.duplicate

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Each initial pose refined; its score is that of the initial pose times that of the refined one. Of
        poses that came out nearly equal that with the highest score is kept."""
        initial = found.predictions
        assert initial is not None
        refined = self._refiner.refine(group, initial)
        scores = refined.scores * initial.scores
        kept = ~find_duplicates(refined.keypoints, scores, self._duplicate)
        return replace(found, predictions=replace(refined, scores=scores * kept), boxes=None, box_scores=None)


def make_refine_stage(config: RefineConfig, context: StageContext) -> Stage:
    """The stage, or one that starts from the poses of the frame before where the context says ``follow``."""
    return TrackStage(config, context) if context.follow else RefineStage(config, context)
