"""Predict poses in crops around boxes: top-down.

Crops are cut from the frames at full resolution by the same exact transform as in training, without rounding
to pixels; keypoints return through its inverse. Crops of all frames of a batch go through the network
together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pose_core.data.boxes import CropRule
from pose_core.data.device_warp import show_frames
from pose_core.data.geometry import compute_crop_geometry, crop_view, invert, keypoint_matrix
from pose_core.errors import ConfigError, argument, setting
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
    find_duplicates,
)
from pose_core.pipeline.follow import FollowStage
from pose_core.pipeline.stage_configs import CropsConfig
from pose_core.specs import Preprocess
from pose_core.structures import FloatArray


class Crops:
    """Run a pose network on crops; a :class:`~pose_core.interfaces.CropNetwork`.

    Args:
        network: in evaluation mode, on its device.
        preprocess: of the network, which looks at crops.
        at_once: crops that go through the network together.
    """

    def __init__(self, network: Network, preprocess: Preprocess, at_once: int) -> None:
        self.fixed_extent = preprocess.extent is not None
        self._rule = CropRule(network.skeleton, preprocess.min_box, preprocess.centre)
        self._network = network
        self._preprocess = preprocess
        self._at_once = at_once
        # Beside a GPU the other cores are free to cut crops; OpenCV works outside of Python's lock.
        helpers = 1 if network.device.type == "cpu" else max(1, min(8, (os.cpu_count() or 1) - 2))
        self._each: Callable[..., Iterable[Any]] = map
        if helpers > 1:
            self._each = ThreadPoolExecutor(helpers, "pose-crop").map

    def boxes_around(self, keypoints: FloatArray) -> FloatArray:
        """As crops around labelled animals are cut in training."""
        return self._rule.around_poses(keypoints)

    def predict_frame(self, frame: Picture) -> Predictions:
        """Find the animal of one frame in a crop that shows all of it."""
        preprocess = self._preprocess
        # All pixels of the frame, whatever extent says: nothing is known of where the animal is.
        box = (-0.5, -0.5, frame.shape[1] - 0.5, frame.shape[0] - 0.5)
        geometry = compute_crop_geometry(
            box, preprocess.crop_size, preprocess.margin, preprocess.margin_pixels
        )
        return self._predict([frame], [geometry], None)

    def predict(
        self, frames: Sequence[Picture], boxes: FloatArray, initial: Predictions | None = None
    ) -> Predictions:
        """Find one animal for each box, in pixels of the frames."""
        device = self._network.device
        geometries = [crop_view(box, self._preprocess) for box in boxes]
        if not geometries:
            k = self._network.skeleton.num_keypoints
            nothing = torch.zeros(0, 1, k, 2, device=device), torch.zeros(0, 1, k, device=device)
            return Predictions.none(0, self._network.skeleton, device).with_animals(*nothing)
        parts = [
            self._predict(frames[chosen], geometries[chosen], None if initial is None else initial[chosen])
            for chosen in (
                slice(start, start + self._at_once) for start in range(0, len(boxes), self._at_once)
            )
        ]
        return Predictions.cat(parts)

    def _predict(
        self, frames: Sequence[Picture], geometries: list[FrameGeometry], initial: Predictions | None
    ) -> Predictions:
        images = show_frames(frames, geometries, self._network.device, self._each)
        # Not the matrix of the pixels: imported models may have keypoints half a pixel off (`half_pixel`).
        to_crop = np.stack([keypoint_matrix(geometry.matrix, self._preprocess) for geometry in geometries])
        found = self._network.predict(images, None if initial is None else initial.through(to_crop))
        if found.scores.shape[1] != 1:
            raise ValueError(f"a top-down network must find one animal a crop, not {found.scores.shape[1]}")
        return found.through(np.stack([invert(matrix) for matrix in to_crop]))


_DUPLICATE = 0.7
"""Similarity above which poses around points are those of one animal."""


class CropStage(Stage):
    """Stage with the pose network of a top-down model."""

    needs_frames = True

    def __init__(self, config: CropsConfig, context: StageContext) -> None:
        self._network = context.in_crops()
        self._duplicate = config.duplicate
        self._scales = config.scales
        if self._network.fixed_extent and self._scales != (1.0,):
            raise ConfigError(
                f"{context.origin}: crops have a fixed extent, whatever the size of a box; leave out "
                f"{setting('inference.stages.crops.scales')}"
            )

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Find a pose in each box; its score is box score times pose score, 0 of a duplicate."""
        assert found.boxes is not None
        assert found.box_scores is not None
        boxes = found.boxes.cpu().numpy()
        # Frames of a group have as many rows of boxes as the fullest one; the rest are NaN.
        usable = np.isfinite(boxes).all(axis=-1) & (boxes[..., 2:] >= boxes[..., :2]).all(axis=-1)
        rows, animals = np.nonzero(usable)
        pictures = group.pictures
        poses = self._predict([pictures[row] for row in rows.tolist()], boxes[rows, animals])
        at = torch.from_numpy(rows).to(group.device), torch.from_numpy(animals).to(group.device)
        scored = replace(poses, scores=poses.scores * found.box_scores[at][:, None])
        predictions = scored.arrange(*at, (usable.shape[0], usable.shape[1]))
        points = self._network.fixed_extent and _are_points(boxes[usable])
        limit = self._duplicate
        if limit == "auto":
            limit = _DUPLICATE if points else None
        if limit is not None:
            dropped = find_duplicates(predictions.keypoints, predictions.scores, limit)
            predictions = replace(predictions, scores=predictions.scores.masked_fill(dropped, 0.0))
        # A point is no box of an animal: that is around its keypoints then.
        if points:
            return replace(found, predictions=predictions, boxes=None, box_scores=None)
        return replace(found, predictions=predictions)

    def _predict(self, frames: Sequence[Picture], boxes: FloatArray) -> Predictions:
        """Predict at each scale, and keep of each animal the pose with the highest mean score."""
        tried = [self._network.predict(frames, _scale(boxes, scale)) for scale in self._scales]
        if len(tried) == 1 or not len(boxes):
            return tried[0]
        # A missing keypoint has score 0, so a pose with more of them has a lower mean.
        best = torch.stack([poses.keypoint_scores[:, 0].mean(dim=-1) for poses in tried]).argmax(dim=0)
        return Predictions.cat(tried)[best * len(boxes) + torch.arange(len(boxes), device=best.device)]


def _scale(boxes: FloatArray, factor: float) -> FloatArray:
    """Scale boxes (A, 4) about their centres."""
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * (factor / 2)
    # Whole boxes as they are: their corners would come back rounded.
    return boxes if factor == 1.0 else np.concatenate([centres - halves, centres + halves], axis=1)


def _are_points(boxes: FloatArray) -> bool:
    """Whether boxes (A, 4) have no extent, as those of centres."""
    return bool(len(boxes) and (boxes[:, :2] == boxes[:, 2:]).all())


def make_crop_stage(config: CropsConfig, context: StageContext) -> Stage:
    """Make the stage; with ``follow`` one that crops around the last pose."""
    if context.follow and config.scales != (1.0,):
        raise ConfigError(
            f"{setting('inference.stages.crops.scales')}: are tried around boxes, and {argument('follow', True)} looks "
            "around the pose before; leave out one"
        )
    return FollowStage(context) if context.follow else CropStage(config, context)
