"""Predict poses in whole frames, or in windows at the same resolution."""

from __future__ import annotations

import numpy as np

from pose_core.data.device_warp import show_frames
from pose_core.data.geometry import (
    frame_view,
    invert,
    keypoint_matrix,
    resize_matrix,
    translation_matrix,
)
from pose_core.interfaces import (
    FrameGeometry,
    FrameGroup,
    Network,
    Picture,
    Predictions,
    Stage,
    StageContext,
    StageResult,
    View,
)
from pose_core.pipeline.follow import FollowStage
from pose_core.pipeline.limits import keep_best
from pose_core.pipeline.stage_configs import WholeFrameConfig
from pose_core.specs import Preprocess
from pose_core.specs.sides import padded_length
from pose_core.structures import FloatArray

WINDOW_MARGIN = 0.5
"""Free space around the box in windows, as a fraction of its longer side."""

WINDOW_MIN_MARGIN = 32.0
"""The least free space, in pixels of the network's input."""


class WholeFrames:
    """Run a pose network on whole frames; a :class:`~pose_core.interfaces.FrameNetwork`.

    Args:
        network: in evaluation mode, on its device.
        preprocess: of the network.
    """

    def __init__(self, network: Network, preprocess: Preprocess) -> None:
        self._network = network
        self._preprocess = preprocess

    @property
    def fixed_size(self) -> bool:
        """Whether the network takes inputs of one size only."""
        return self._preprocess.size is not None

    def view(self, width: int, height: int) -> FrameGeometry:
        """Resize and pad a frame as in training, on the right and at the bottom."""
        return frame_view(width, height, self._preprocess, self._network.size_multiple)

    def predict(self, view: View, initial: Predictions | None = None) -> Predictions:
        """Find the animals, in pixels of the frames."""
        # Not the matrix of the pixels: imported models may have keypoints half a pixel off (`half_pixel`).
        to_frame = view.to_frame
        if not self._preprocess.half_pixel:
            to_frame = invert(keypoint_matrix(invert(view.to_frame), self._preprocess))
        if initial is not None:
            initial = initial.through(invert(to_frame))
        return self._network.predict(view.images, initial).through(to_frame)

    def predict_frame(self, frame: Picture) -> Predictions:
        """Find the animals of one frame."""
        height, width = frame.shape[:2]
        return self._predict(frame, self.view(width, height))

    def predict_window(self, frame: Picture, box: FloatArray) -> Predictions:
        """Find the animals in a window of the resized frame around a box."""
        # Resizing keeps the outer edges of pixels, which lie half a pixel from their centres.
        seen = (box.astype(np.float64) + 0.5) * self._preprocess.scale - 0.5
        extent = seen[2:] - seen[:2]
        free = max(WINDOW_MARGIN * float(extent.max()), WINDOW_MIN_MARGIN)
        width, height = (
            padded_length(float(side) + 2 * free, self._network.size_multiple) for side in extent
        )
        # Whole pixels: the window shows exactly the pixels that the resized frame would.
        left, top = np.round((seen[2:] + seen[:2]) / 2 - [width / 2, height / 2])
        matrix = translation_matrix(-left, -top) @ resize_matrix(self._preprocess.scale)
        return self._predict(frame, FrameGeometry(matrix, width, height))

    def _predict(self, frame: Picture, geometry: FrameGeometry) -> Predictions:
        image = show_frames([frame], [geometry], self._network.device)
        return self.predict(View(image, invert(geometry.matrix)))


class WholeFrameStage(Stage):
    """Stage with a network that sees whole frames, of one animal or several."""

    def __init__(self, config: WholeFrameConfig, context: StageContext) -> None:
        self._network = context.whole_frames()
        self._max_animals = context.max_animals

    def view(self, width: int, height: int) -> FrameGeometry:
        """Show a frame as in the network's training."""
        return self._network.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Find animals; those found before go to a network with extra inputs."""
        assert view is not None
        # A new result: boxes of an earlier stage do not correspond to these animals.
        return StageResult(keep_best(self._network.predict(view, found.predictions), self._max_animals))


def make_whole_frame_stage(config: WholeFrameConfig, context: StageContext) -> Stage:
    """Make the stage; with ``follow`` one that looks around the last pose."""
    return FollowStage(context) if context.follow else WholeFrameStage(config, context)
