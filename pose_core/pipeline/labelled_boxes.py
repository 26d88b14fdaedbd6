"""Supply labelled boxes, to evaluate a pose network without a detector's errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pose_core.data.boxes import CropRule
from pose_core.data.samples import find_cropped
from pose_core.interfaces import FrameGroup, Stage, StageContext, StageResult, View
from pose_core.pipeline.stage_configs import BoxesConfig
from pose_core.structures import FloatArray


class LabelledBoxesStage(Stage):
    """Supply the box of each animal that has a labelled keypoint.

    Boxes are made as in training: enlarged to ``min_box``, and around the centre that was learned.
    """

    def __init__(self, config: BoxesConfig, context: StageContext) -> None:
        assert context.labels is not None
        rule = CropRule(context.skeleton, context.min_box, context.centre)
        # An animal with a box alone has no keypoints that a pose could be compared with.
        self._boxes: list[FloatArray] = [
            rule.around_labels(record)[find_cropped(record, context.skeleton)] for record in context.labels
        ]

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Give the boxes, with score 1."""
        chosen = [self._boxes[index] for index in group.indices]
        most = max(map(len, chosen), default=0)
        boxes, scores = (
            np.full((len(chosen), most, 4), np.nan, np.float32),
            np.zeros((len(chosen), most), np.float32),
        )
        for row, of_frame in enumerate(chosen):
            boxes[row, : len(of_frame)], scores[row, : len(of_frame)] = of_frame, 1.0
        on_device = [torch.from_numpy(array).to(group.device) for array in (boxes, scores)]
        return replace(found, boxes=on_device[0], box_scores=on_device[1])
