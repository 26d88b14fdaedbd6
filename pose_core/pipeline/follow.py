"""Dynamic cropping: one animal, looked at where it was last seen."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace

import numpy as np
import torch

from pose_core.data.boxes import enlarged
from pose_core.data.geometry import (
    FrameGeometry,
    frame_view,
    invert,
    resize_matrix,
    translation_matrix,
    warp,
)
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.pipeline.stages import FrameGroup, Stage, StageResult, View, predictions_through
from pose_core.pipeline.top_down import CropPoses, whole_frame_box
from pose_core.specs import RunSpec
from pose_core.specs.sides import padded_length
from pose_core.structures import ByteArray, FloatArray, Frame, keypoint_boxes

WINDOW_MARGIN = 0.5
"""Free space around the last pose in windows of whole-frame networks, as a fraction of its longer side."""

WINDOW_LEAST = 32.0
"""The least free space, in pixels of the network's input."""


class FollowStage(Stage):
    """Crops around the last pose; the whole frame (or a detector's box) where there is none.

    An animal is lost when the mean score of its keypoints falls below ``inference.follow_threshold``; the frame in
    which that happens is looked at once more, as a whole. Frames depend on each other here and are computed one by one.

    Args:
        model: on its device, in evaluation mode.
        spec: of the run.
        first: finds a box in whole frames; None: there is no detector.
    """

    needs_frames = True

    def __init__(self, model: PoseModel, spec: RunSpec, first: Stage | None = None) -> None:
        self._look = _AnimalLook(model, spec) if spec.model.view == "animal" else _WindowLook(model, spec)
        self._first = first
        self._least = spec.inference.follow_threshold
        self._hidden = spec.inference.threshold
        self._box: FloatArray | None = None

    def begin(self, previous: Frame | None) -> FollowStage:
        """The same stage for one stream of frames, which goes on after ``previous``."""
        stage = copy(self)
        stage._box = None
        if previous is not None and len(previous.instances):
            stage._box = stage._box_of(previous.instances.keypoints[0], previous.instances.keypoint_scores[0])
        return stage

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """What the detector wants to see."""
        return self._first.view(width, height) if self._first is not None else None

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """One animal a frame."""
        poses = [self._one(group, view, i) for i in range(len(group.frames))]
        return replace(
            found,
            predictions=Predictions(**{name: torch.cat([getattr(p, name) for p in poses]) for name in vars(poses[0])}),
        )

    def _one(self, group: FrameGroup, view: View | None, i: int) -> Predictions:
        frame = group.frames[i]
        pose = None
        if self._box is not None:
            pose = self._look.at(frame, self._box)
            self._box = self._seen(pose)
        if self._box is None:
            box = self._detected(group, view, i)
            pose = self._look.at(frame, box) if box is not None else self._look.everywhere(frame, self._seen)
            self._box = self._seen(pose)
        assert pose is not None
        return pose

    def _detected(self, group: FrameGroup, view: View | None, i: int) -> FloatArray | None:
        if self._first is None or view is None:
            return None
        boxes = self._first.run(*group.alone(view, i), StageResult()).boxes
        assert boxes is not None
        best = boxes[0, :1].cpu().numpy()
        return np.asarray(best[0]) if len(best) and np.isfinite(best).all() else None

    def _seen(self, pose: Predictions) -> FloatArray | None:
        if not pose.scores.shape[1]:
            return None
        return self._box_of(pose.keypoints[0, 0].cpu().numpy(), pose.keypoint_scores[0, 0].cpu().numpy())

    def _box_of(self, keypoints: FloatArray, scores: FloatArray) -> FloatArray | None:
        """Where to look next; None when the animal is lost. The same for a pose in memory and one read back from a
        file, in which keypoints below the threshold are missing, so that an interrupted prediction goes on as one
        that was not."""
        shown = np.isfinite(keypoints).all(axis=1) & (scores >= self._hidden)
        if not shown.any() or float(scores[shown].mean()) < self._least:
            return None
        return np.asarray(keypoint_boxes(keypoints[None, shown])[0], np.float32)


class _AnimalLook:
    """Looks at animals through crops."""

    def __init__(self, model: PoseModel, spec: RunSpec) -> None:
        preprocess = spec.model.decided_preprocess()
        self._poses = CropPoses(model, preprocess, spec.skeleton, 1)
        self._least = preprocess.min_box

    def at(self, frame: ByteArray, box: FloatArray) -> Predictions:
        return self._poses.predict([frame], enlarged(box[None], self._least))

    def everywhere(self, frame: ByteArray, seen: Callable[[Predictions], FloatArray | None]) -> Predictions:
        """The whole frame as one crop, in which the animal is small; then a crop around what was found."""
        rough = self._poses.predict([frame], whole_frame_box(frame)[None])
        box = seen(rough)
        return rough if box is None else self.at(frame, box)


class _WindowLook:
    """Looks at animals through windows of the resized frame, as large as needed."""

    def __init__(self, model: PoseModel, spec: RunSpec) -> None:
        self._model = model
        self._preprocess = spec.model.decided_preprocess()
        self._device = model.mean.device
        self._scale = self._preprocess.scale

    def at(self, frame: ByteArray, box: FloatArray) -> Predictions:
        seen = (box.astype(np.float64) + 0.5) * self._scale - 0.5
        extent = seen[2:] - seen[:2]
        free = max(WINDOW_MARGIN * float(extent.max()), WINDOW_LEAST)
        width, height = (padded_length(float(side) + 2 * free, self._model.size_multiple) for side in extent)
        # Whole pixels: the window shows exactly the pixels that the resized frame would.
        left, top = np.round((seen[2:] + seen[:2]) / 2 - [width / 2, height / 2])
        matrix = translation_matrix(-left, -top) @ resize_matrix(self._scale)
        return self._predict(frame, FrameGeometry(matrix, width, height))

    def everywhere(self, frame: ByteArray, seen: Callable[[Predictions], FloatArray | None]) -> Predictions:
        height, width = frame.shape[:2]
        return self._predict(frame, frame_view(width, height, self._preprocess, self._model.size_multiple))

    def _predict(self, frame: ByteArray, geometry: FrameGeometry) -> Predictions:
        image = torch.from_numpy(warp(frame, geometry)).to(self._device).permute(2, 0, 1)[None]
        return predictions_through(self._model.predict(image), invert(geometry.matrix))
