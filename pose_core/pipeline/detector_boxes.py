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
        clip: whether boxes end at the edges of the frame. A clipped box has another centre, which is all that
            counts for crops of fixed extent.
    """

    def __init__(self, model: DetectorModel, max_animals: int | None, clip: bool = True) -> None:
        self._model = model
        self._preprocess = detector_view(model.config)
        self._max_animals = max_animals
        self._clip = clip

    def view(self, width: int, height: int) -> FrameGeometry:
        """Show the whole frame as in the detector's training."""
        return frame_view(width, height, self._preprocess, self._model.size_multiple)

    def predict(self, view: View, width: int, height: int) -> tuple[Tensor, Tensor]:
        """Find boxes in pixels of the frames, with scores."""
        boxes, scores = self._model.predict(view.images)
        # A detector gives the highest scores first, so the first boxes are the ones to keep.
        boxes, scores = boxes[:, : self._max_animals], scores[:, : self._max_animals]
        corners = points_through(boxes.reshape(*boxes.shape[:2], 2, 2), view.to_frame)
        corners = take_off(corners, self._model.config.excess)
        boxes = clip_corners(corners, width, height) if self._clip else corners
        return boxes.flatten(2), scores


def take_off(corners: Tensor, excess: float) -> Tensor:
    """Take off what boxes are too large on each side; never beyond the middle of a box.

    Args:
        corners: (B, N, 2, 2) float32, top left and bottom right, pixels of the frame.
        excess: what the detector was taught to add on each side.
    """
    half = (corners[..., 1, :] - corners[..., 0, :]) / 2
    less = torch.minimum(half, torch.full_like(half, excess))
    return torch.stack([corners[..., 0, :] + less, corners[..., 1, :] - less], dim=-2)


def clip_corners(corners: Tensor, width: int, height: int) -> Tensor:
    """Clip boxes to the frame.

    Args:
        corners: (B, N, 2, 2) float32, top left and bottom right, pixels of the frame.
        width, height: of the frame in pixels.
    """
    # The centre of the top-left pixel is (0, 0), so a frame reaches from -0.5 to its size less 0.5.
    limit = torch.tensor([width, height], device=corners.device) - 0.5
    return torch.minimum(corners.clamp(min=-0.5), limit)


class DetectorStage(Stage):
    """Stage that finds boxes with a detector."""

    def __init__(self, config: BoxesConfig, context: StageContext) -> None:
        self._detector = context.detector()

    def view(self, width: int, height: int) -> FrameGeometry:
        """Show a frame as in the detector's training."""
        return self._detector.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Find the boxes, in pixels of the frames."""
        assert view is not None
        boxes, scores = self._detector.predict(view, group.width, group.height)
        return replace(found, boxes=boxes, box_scores=scores)
