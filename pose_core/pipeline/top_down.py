"""Top-down: boxes first, then the pose of each animal in a crop around its box.

Crops are cut from the frames at full resolution by the same exact transform as in training, without rounding to
pixels; keypoints return through its inverse. Crops of all frames of a batch go through the network together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pose_core.data.dataset import detector_view
from pose_core.data.geometry import FrameGeometry, box_input, frame_view, invert, keypoint_matrix, warp
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.pipeline.box_file import BoxTable
from pose_core.pipeline.stages import FrameGroup, Stage, StageResult, View, points_through
from pose_core.specs import Preprocess, RunSpec
from pose_core.structures import ByteArray, FloatArray, Skeleton


class DetectorStage(Stage):
    """Boxes of a detector.

    Args:
        model: on its device, in evaluation mode.
        most: boxes kept a frame, the surest ones; None: all.
    """

    def __init__(self, model: DetectorModel, most: int | None) -> None:
        self._model = model
        self._preprocess = detector_view(model.config)
        self._most = most

    def view(self, width: int, height: int) -> FrameGeometry:
        """The whole frame as in the detector's training."""
        return frame_view(width, height, self._preprocess, self._model.size_multiple)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The boxes, in pixels of the frames and within them."""
        assert view is not None
        boxes, scores = self._model.predict(view.images)
        boxes, scores = boxes[:, : self._most], scores[:, : self._most]
        corners = points_through(boxes.reshape(*boxes.shape[:2], 2, 2), view.to_frame)
        # What the detector was taught to add around animals comes off, but never beyond the middle of a box.
        half = (corners[..., 1, :] - corners[..., 0, :]) / 2
        less = torch.minimum(half, torch.full_like(half, self._model.config.excess))
        limit = torch.tensor([group.width, group.height], device=boxes.device) - 0.5
        low = torch.minimum((corners[..., 0, :] + less).clamp(min=-0.5), limit)
        high = torch.minimum((corners[..., 1, :] - less).clamp(min=-0.5), limit)
        return replace(found, boxes=torch.cat([low, high], dim=-1), box_scores=scores)


class BoxFileStage(Stage):
    """Boxes that are known already.

    Args:
        table: by frame.
        most: boxes kept a frame, the surest ones; None: all.
    """

    def __init__(self, table: BoxTable, most: int | None = None) -> None:
        self._table = table
        self._most = most

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The boxes of the frames of this group; a frame that the table does not name has none."""
        boxes, scores = self._table.padded(group.indices, group.images)
        return replace(
            found,
            boxes=torch.from_numpy(boxes[:, : self._most]).to(group.device),
            box_scores=torch.from_numpy(scores[:, : self._most]).to(group.device),
        )


class CropStage(Stage):
    """The pose network of a top-down model.

    Args:
        model: on its device, in evaluation mode.
        spec: of the run.
    """

    needs_frames = True

    def __init__(self, model: PoseModel, spec: RunSpec) -> None:
        self._poses = CropPoses(model, spec.model.decided_preprocess(), spec.skeleton, spec.inference.crops)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """A pose for each box; its score is that of the box times that of the pose."""
        assert found.boxes is not None
        assert found.box_scores is not None
        boxes, scores = found.boxes.cpu().numpy(), found.box_scores
        usable = np.isfinite(boxes).all(axis=-1) & (boxes[..., 2:] >= boxes[..., :2]).all(axis=-1)
        rows, animals = np.nonzero(usable)
        poses = self._poses.predict([group.frames[row] for row in rows], boxes[rows, animals])
        at = torch.from_numpy(rows).to(group.device), torch.from_numpy(animals).to(group.device)
        b, n = usable.shape
        none = Predictions.none(b, self._poses.skeleton, group.device)
        k = self._poses.skeleton.num_keypoints
        keypoints = none.keypoints.new_full((b, n, k, 2), torch.nan)
        keypoint_scores, animal_scores = keypoints.new_zeros(b, n, k), keypoints.new_zeros(b, n)
        identity = torch.full((b, n), -1, dtype=torch.int64, device=group.device)
        keypoints[at], keypoint_scores[at] = poses.keypoints[:, 0], poses.keypoint_scores[:, 0]
        animal_scores[at] = poses.scores[:, 0] * scores[at]
        identity[at] = poses.identity[:, 0]
        unique, unique_scores = _surest(poses, at[0], none)
        return replace(
            found,
            predictions=Predictions(keypoints, keypoint_scores, animal_scores, identity, unique, unique_scores),
        )


class CropPoses:
    """Boxes -> poses, in pixels of the frames.

    Args:
        model: on its device, in evaluation mode.
        preprocess: of the model, which looks at crops.
        skeleton: of the model.
        most: crops that go through the network together.
    """

    def __init__(self, model: PoseModel, preprocess: Preprocess, skeleton: Skeleton, most: int) -> None:
        self.skeleton = skeleton
        self._model = model
        self._preprocess = preprocess
        self._size = preprocess.crop_size
        self._most = most
        self._device = model.mean.device
        # Beside a GPU the other cores are free to cut crops; OpenCV works outside of Python's lock.
        helpers = 1 if self._device.type == "cpu" else max(1, min(8, (os.cpu_count() or 1) - 2))
        self._each: Callable[..., Iterable[Any]] = map
        if helpers > 1:
            self._each = ThreadPoolExecutor(helpers, "pose-crop").map

    def predict(self, frames: Sequence[ByteArray], boxes: FloatArray, rough: Predictions | None = None) -> Predictions:
        """One animal for each box.

        Args:
            frames: for each box its frame, (H, W, 3) uint8 RGB.
            boxes: (A, 4) finite ``x1, y1, x2, y2`` in pixels of the frames.
            rough: for a network that refines poses: that of each box, A images with one animal each, in pixels of the
                frames.

        Returns:
            predictions of A images with one animal each.
        """
        geometries = [
            box_input(box, self._size, self._preprocess.margin, self._preprocess.margin_pixels) for box in boxes
        ]
        if not geometries:
            return Predictions.none(0, self.skeleton, self._device).with_animals(
                torch.zeros(0, 1, self.skeleton.num_keypoints, 2, device=self._device),
                torch.zeros(0, 1, self.skeleton.num_keypoints, device=self._device),
            )
        parts = [
            self._predict(frames[chosen], geometries[chosen], _rows(rough, chosen))
            for chosen in (slice(start, start + self._most) for start in range(0, len(boxes), self._most))
        ]
        return Predictions(**{name: torch.cat([getattr(p, name) for p in parts]) for name in vars(parts[0])})

    def _predict(
        self, frames: Sequence[ByteArray], geometries: list[FrameGeometry], rough: Predictions | None
    ) -> Predictions:
        crops = np.stack(list(self._each(warp, frames, geometries)))
        images = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        if rough is not None:
            forth = torch.from_numpy(np.stack([keypoint_matrix(g, self._preprocess)[:2] for g in geometries]))
            rough = replace(rough, keypoints=_through_each(rough.keypoints, forth))
        found = self._model.predict(images, rough)
        if found.scores.shape[1] != 1:
            raise ValueError(f"a top-down network must find one animal a crop, not {found.scores.shape[1]}")
        back = torch.from_numpy(np.stack([invert(keypoint_matrix(g, self._preprocess))[:2] for g in geometries]))
        return replace(
            found,
            keypoints=_through_each(found.keypoints, back),
            unique_keypoints=_through_each(found.unique_keypoints, back),
        )


def _rows(predictions: Predictions | None, chosen: slice) -> Predictions | None:
    """The predictions of some images."""
    if predictions is None:
        return None
    return Predictions(**{name: tensor[chosen] for name, tensor in vars(predictions).items()})


def _through_each(points: Tensor, matrices: Tensor) -> Tensor:
    """(A, ..., 2) points, those of row i through the affine matrix i of (A, 2, 3) float64; NaN stays NaN."""
    # float64 on the host: crops far from the origin keep their fractions of a pixel, and some devices lack it.
    flat = points.flatten(1, -2).to("cpu", torch.float64)
    moved = flat @ matrices[:, :, :2].mT + matrices[:, None, :, 2]
    return moved.to(torch.float32).to(points.device).reshape(points.shape)


def _surest(poses: Predictions, rows: Tensor, none: Predictions) -> tuple[Tensor, Tensor]:
    """Unique keypoints of frames (B, U, 2) and (B, U): each from the crop of its frame that is surest of it."""
    points, scores = none.unique_keypoints.clone(), none.unique_scores.clone()
    if not scores.shape[1] or not len(rows):
        return points, scores
    for crop in poses.unique_scores.max(dim=1).values.argsort():
        better = poses.unique_scores[crop] > scores[rows[crop]]
        points[rows[crop]] = torch.where(better[:, None], poses.unique_keypoints[crop], points[rows[crop]])
        scores[rows[crop]] = torch.where(better, poses.unique_scores[crop], scores[rows[crop]])
    return points, scores


def whole_frame_box(frame: ByteArray) -> npt.NDArray[np.float32]:
    """The box of all pixels of a frame, (4,)."""
    return np.array([-0.5, -0.5, frame.shape[1] - 0.5, frame.shape[0] - 0.5], np.float32)
