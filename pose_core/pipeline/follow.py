"""Crop dynamically around one animal, where it was last seen."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Protocol

import numpy as np

from pose_core.errors import ConfigError, argument
from pose_core.interfaces import (
    CropNetwork,
    EarlierStages,
    FrameGeometry,
    FrameGroup,
    FrameNetwork,
    Picture,
    Predictions,
    Stage,
    StageContext,
    StageResult,
    View,
)
from pose_core.structures import FloatArray, Frame, keypoint_boxes, present_keypoints


class FollowStage(Stage):
    """Look at one animal around its last pose.

    Where there is none, look at the whole frame or in a box that an earlier stage finds.

    An animal is lost when the mean score of its keypoints falls below ``inference.follow_threshold``; the
    frame in which that happens is looked at once more, as a whole. Frames depend on each other here and are
    computed one by one.

    Raises:
        ConfigError: there may be several animals, or the network takes whole frames of one size only.
    """

    needs_frames = True
    sequential = True
    takes_over = True

    def __init__(self, context: StageContext) -> None:
        if context.skeleton.num_individuals > 1:
            raise ConfigError(
                f"{argument('follow')}: is for one animal, and the project of this run has "
                f"{context.skeleton.num_individuals}; leave it out"
            )
        self._look: _Look = _CropLook(context.crops) if context.crops is not None else _WindowLook(context)
        self._search = EarlierStages(context.before)
        self._threshold = context.follow_threshold
        self._hidden = context.keypoint_thresholds
        self._box: FloatArray | None = None
        self._body = list(context.skeleton.body_indices)

    def begin(self, previous: Frame | None) -> FollowStage:
        """Copy the stage for one stream of frames, which goes on after ``previous``."""
        # A shallow copy: streams share the networks, and each has the place of its animal.
        stage = copy(self)
        stage._box = None
        if previous is not None and len(previous.instances):
            stage._box = stage._box_of(previous.instances.keypoints[0], previous.instances.keypoint_scores[0])
        return stage

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """Show a frame as the earlier stages want to see it."""
        return self._search.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Find one animal a frame."""
        # One by one: the pose in a frame decides where to look in the next.
        return replace(
            found, predictions=Predictions.cat([self._predict_one(group, view, i) for i in range(len(group))])
        )

    def _predict_one(self, group: FrameGroup, view: View | None, i: int) -> Predictions:
        frame = group.pictures[i]
        pose = None
        if self._box is not None:
            pose = self._look.at(frame, self._box)
            self._box = self._locate(pose)
        # Not "else": where the animal was lost in this very frame, the frame is looked at once more.
        if self._box is None:
            box = self._detect(group, view, i)
            pose = (
                self._look.at(frame, box) if box is not None else self._look.everywhere(frame, self._locate)
            )
            self._box = self._locate(pose)
        assert pose is not None
        return pose

    def _detect(self, group: FrameGroup, view: View | None, i: int) -> FloatArray | None:
        if not self._search:
            return None
        boxes = self._search.run(*group.alone(view, i)).boxes
        assert boxes is not None
        # Boxes are sorted by score, and NaN where a frame has fewer.
        best = boxes[0, :1].cpu().numpy()
        return np.asarray(best[0]) if len(best) and np.isfinite(best).all() else None

    def _locate(self, pose: Predictions) -> FloatArray | None:
        if not pose.scores.shape[1]:
            return None
        return self._box_of(pose.keypoints[0, 0].cpu().numpy(), pose.keypoint_scores[0, 0].cpu().numpy())

    def _box_of(self, keypoints: FloatArray, scores: FloatArray) -> FloatArray | None:
        """Choose the box to look at next; None when the animal is lost."""
        # Keypoints below the reporting threshold are missing in a pose that is read back from a file. They
        # are left out of one in memory too, so that an interrupted prediction goes on as if it had not been.
        shown = present_keypoints(keypoints) & (scores >= self._hidden)
        seen = shown[self._body]
        if not seen.any() or float(scores[self._body][seen].mean()) < self._threshold:
            return None
        return self._look.box_around(np.where(shown[:, None], keypoints, np.float32(np.nan)))


class _Look(Protocol):
    """Look at one animal, near a box or everywhere."""

    def box_around(self, keypoints: FloatArray) -> FloatArray: ...

    def at(self, frame: Picture, box: FloatArray) -> Predictions: ...

    def everywhere(self, frame: Picture, seen: Callable[[Predictions], FloatArray | None]) -> Predictions: ...


class _CropLook:
    """Look at animals through crops."""

    def __init__(self, network: CropNetwork) -> None:
        self._network = network

    def box_around(self, keypoints: FloatArray) -> FloatArray:
        return np.asarray(self._network.boxes_around(keypoints[None])[0], np.float32)

    def at(self, frame: Picture, box: FloatArray) -> Predictions:
        return self._network.predict([frame], box[None])

    def everywhere(self, frame: Picture, seen: Callable[[Predictions], FloatArray | None]) -> Predictions:
        """Look at the whole frame as one crop, then around the animal."""
        # In a crop of the whole frame the animal is smaller than in training, so this pose only says where.
        first = self._network.predict_frame(frame)
        box = seen(first)
        return first if box is None else self.at(frame, box)


class _WindowLook:
    """Look at animals through windows of the resized frame."""

    def __init__(self, context: StageContext) -> None:
        self._network: FrameNetwork = context.whole_frames()
        self._body = list(context.skeleton.body_indices)
        # Windows have the size that the animal needs.
        if self._network.fixed_size:
            raise ConfigError(
                f"{argument('follow')}: the network takes whole frames of one size only; leave it out"
            )

    def box_around(self, keypoints: FloatArray) -> FloatArray:
        return np.asarray(keypoint_boxes(keypoints[None, self._body])[0], np.float32)

    def at(self, frame: Picture, box: FloatArray) -> Predictions:
        return self._network.predict_window(frame, box)

    def everywhere(self, frame: Picture, seen: Callable[[Predictions], FloatArray | None]) -> Predictions:
        return self._network.predict_frame(frame)
