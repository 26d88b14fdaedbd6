"""Limit the boxes of a detector: their number, size and extent.

Prediction and evaluation get the boxes of a detector from here alone.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pose_core.data.geometry import frame_view
from pose_core.data.samples import detector_view
from pose_core.interfaces import (
    FrameGeometry,
    FrameGroup,
    Stage,
    StageContext,
    StageResult,
    View,
    points_through,
)
from pose_core.model.detector import DetectorModel
from pose_core.pipeline.stage_configs import BoxesConfig


class DetectorBoxes:
    """Run a detector on whole frames; a :class:`~pose_core.interfaces.BoxNetwork`.

    Args:
        model: in evaluation mode, on its device.
        max_animals: boxes kept a frame, those with the highest scores; None: all.
    """

    def __init__(self, model: DetectorModel, max_animals: int | None) -> None:
        self._model = model
        self._preprocess = detector_view(model.config)
        self._max_animals = max_animals

    def view(self, width: int, height: int) -> FrameGeometry:
        """Show the whole frame as in the detector's training."""
        return frame_view(width, height, self._preprocess, self._model.size_multiple)

    def predict(self, view: View, width: int, height: int) -> tuple[Tensor, Tensor]:
        """Find boxes within the frames, in their pixels, with scores."""
        boxes, scores = self._model.predict(view.images)
        # A detector gives the highest scores first, so the first boxes are the ones to keep.
        boxes, scores = boxes[:, : self._max_animals], scores[:, : self._max_animals]
        corners = points_through(boxes.reshape(*boxes.shape[:2], 2, 2), view.to_frame)
        return clip_boxes(corners, self._model.config.excess, width, height), scores


def clip_boxes(corners: Tensor, excess: float, width: int, height: int) -> Tensor:
    """Take off what boxes are too large, and clip them to the frame.

    Args:
        corners: (B, N, 2, 2) float32, top left and bottom right, pixels of the frame.
        excess: what the detector was taught to add on each side; never beyond the middle of a box.
        width, height: of the frame in pixels.

    Returns:
        (B, N, 4) float32 ``x1, y1, x2, y2``.
    """
    half = (corners[..., 1, :] - corners[..., 0, :]) / 2
    less = torch.minimum(half, torch.full_like(half, excess))
    # The centre of the top-left pixel is (0, 0), so a frame reaches from -0.5 to its size less 0.5.
    limit = torch.tensor([width, height], device=corners.device) - 0.5
    low = torch.minimum((corners[..., 0, :] + less).clamp(min=-0.5), limit)
    high = torch.minimum((corners[..., 1, :] - less).clamp(min=-0.5), limit)
    return torch.cat([low, high], dim=-1)


class DetectorStage(Stage):
    """Stage that finds boxes with a detector."""

    def __init__(self, config: BoxesConfig, context: StageContext) -> None:
        self._detector = context.detector()

    def view(self, width: int, height: int) -> FrameGeometry:
        """Show a frame as in the detector's training."""
        return self._detector.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Find the boxes within the frames, in their pixels."""
        assert view is not None
        boxes, scores = self._detector.predict(view, group.width, group.height)
        return replace(found, boxes=boxes, box_scores=scores)
