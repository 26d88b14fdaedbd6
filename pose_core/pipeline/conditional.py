"""Conditional top-down: rough poses first, then each of them refined in a crop around it.

The rough poses (conditions) come from a whole-frame model or from a file; the network sees the crop together with the
rough pose that the crop is about (Zhou et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_core.data.boxes import enlarged
from pose_core.errors import DataError
from pose_core.interfaces import Predictions
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.weights import file_hash
from pose_core.pipeline.stages import FrameGroup, Stage, StageResult, View
from pose_core.pipeline.top_down import CropPoses
from pose_core.specs import RunSpec
from pose_core.structures import Frame, Skeleton, keypoint_boxes


@dataclass(frozen=True, eq=False)
class PoseTable:
    """Poses by frame number, from a file of predictions.

    Attributes:
        by_frame: frames with their animals.
        sha256: of the file.
    """

    by_frame: dict[int, Frame]
    sha256: str


def read_poses(path: Path, skeleton: Skeleton) -> PoseTable:
    """The poses in a file of predictions, of any installed format that can be read back.

    Raises:
        DataError: the file cannot be read, or its keypoints are others than the model's.
    """
    stream = open_predictions(path)
    names = stream.header.skeleton.keypoints
    if names != skeleton.keypoints:
        raise DataError(f"{path}: holds {', '.join(names)}; the model refines {', '.join(skeleton.keypoints)}")
    return PoseTable({frame.index: frame for frame in stream}, file_hash(path))


class PoseFileStage(Stage):
    """Poses that are known already.

    Args:
        table: by frame.
        skeleton: of the model.
    """

    def __init__(self, table: PoseTable, skeleton: Skeleton) -> None:
        self._table = table
        self._skeleton = skeleton

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The poses of the frames of this group; a frame that the table does not hold has none."""
        frames = [self._table.by_frame.get(index) for index in group.indices]
        most = max((len(f.instances) for f in frames if f is not None), default=0)
        k = self._skeleton.num_keypoints
        points = np.full((len(frames), most, k, 2), np.nan, np.float32)
        point_scores, scores = np.zeros((len(frames), most, k), np.float32), np.zeros((len(frames), most), np.float32)
        for row, frame in enumerate(frames):
            if frame is not None:
                n = len(frame.instances)
                points[row, :n], scores[row, :n] = frame.instances.keypoints, frame.instances.scores
                point_scores[row, :n] = frame.instances.keypoint_scores
        none = Predictions.none(len(frames), self._skeleton, group.device)
        arrays = (torch.from_numpy(array).to(group.device) for array in (points, point_scores, scores))
        return replace(found, predictions=none.with_animals(*arrays))


class RefineStage(Stage):
    """The pose network of a conditional top-down model.

    Args:
        model: on its device, in evaluation mode.
        spec: of the run.
    """

    needs_frames = True

    def __init__(self, model: PoseModel, spec: RunSpec) -> None:
        self._refine = Refiner(model, spec)
        self._duplicate = spec.inference.duplicate

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Each rough pose refined; its score is that of the rough pose times that of the refined one. Of poses that
        came out nearly equal the surest is kept."""
        rough = found.predictions
        assert rough is not None
        refined = self._refine.poses(group, rough)
        scores = refined.scores * rough.scores
        kept = ~duplicates(refined.keypoints, scores, self._duplicate)
        return replace(found, predictions=replace(refined, scores=scores * kept), boxes=None, box_scores=None)


class Refiner:
    """Rough poses of some frames -> refined ones.

    Args:
        model: on its device, in evaluation mode.
        spec: of the run.
    """

    def __init__(self, model: PoseModel, spec: RunSpec) -> None:
        self._crops = CropPoses(model, spec.model.decided_preprocess(), spec.skeleton, spec.inference.crops)
        self._least = spec.model.decided_preprocess().min_box
        self._sure = spec.inference.condition_threshold

    def poses(self, group: FrameGroup, rough: Predictions) -> Predictions:
        """The refined poses, each in the place of the rough one; an animal without a sure keypoint gets none.

        Args:
            group: the frames.
            rough: in pixels of the frames.
        """
        unsure = rough.keypoint_scores < self._sure
        rough = replace(
            rough,
            keypoints=rough.keypoints.masked_fill(unsure[..., None], torch.nan),
            keypoint_scores=rough.keypoint_scores.masked_fill(unsure, 0.0),
        )
        points = rough.keypoints.cpu().numpy()
        rows, animals = np.nonzero((rough.scores.cpu().numpy() > 0) & np.isfinite(points).all(-1).any(-1))
        at = torch.from_numpy(rows).to(group.device), torch.from_numpy(animals).to(group.device)
        boxes = enlarged(keypoint_boxes(points[rows, animals]), self._least)
        chosen = Predictions(
            keypoints=rough.keypoints[at][:, None],
            keypoint_scores=rough.keypoint_scores[at][:, None],
            scores=rough.scores[at][:, None],
            identity=rough.identity[at][:, None],
            unique_keypoints=rough.unique_keypoints[at[0]],
            unique_scores=rough.unique_scores[at[0]],
        )
        poses = self._crops.predict([group.frames[row] for row in rows], boxes, chosen)
        keypoints = torch.full_like(rough.keypoints, torch.nan)
        keypoint_scores, scores = torch.zeros_like(rough.keypoint_scores), torch.zeros_like(rough.scores)
        keypoints[at], keypoint_scores[at] = poses.keypoints[:, 0], poses.keypoint_scores[:, 0]
        scores[at] = poses.scores[:, 0]
        return replace(rough, keypoints=keypoints, keypoint_scores=keypoint_scores, scores=scores)


SIGMA = 0.1
"""Tolerance of keypoints, relative to the size of the animal, by which poses are found to be the same."""


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """Object keypoint similarity of poses, with one tolerance for all keypoints.

    Args:
        one: (..., N, K, 2), NaN where missing.
        other: (..., M, K, 2).

    Returns:
        (..., N, M) in [0, 1]: the mean over the keypoints that both poses have, relative to the larger of the two
        boxes; 0 where they have none in common.
    """

    def areas(points: Tensor) -> Tensor:
        missing = torch.isnan(points)
        low = points.masked_fill(missing, torch.inf).amin(-2)
        high = points.masked_fill(missing, -torch.inf).amax(-2)
        return (high - low).clamp(min=1).prod(-1)

    area = torch.maximum(areas(one)[..., :, None], areas(other)[..., None, :]).nan_to_num(1.0, posinf=1.0)
    squared = (one[..., :, None, :, :] - other[..., None, :, :, :]).square().sum(-1)
    common = torch.isfinite(squared)
    near = torch.exp(-squared.nan_to_num(0.0) / (2 * area[..., None] * (2 * SIGMA) ** 2)) * common
    return near.sum(-1) / common.sum(-1).clamp(min=1)


def duplicates(keypoints: Tensor, scores: Tensor, most: float) -> Tensor:
    """Which poses are nearly the same as a surer one that is none of these itself.

    Args:
        keypoints: (B, N, K, 2), NaN where missing.
        scores: (B, N); 0 where there is no pose.
        most: similarity above which two poses are one.

    Returns:
        (B, N) bool.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = keypoints.gather(1, order[..., None, None].expand_as(keypoints))
    same = similarity(ranked, ranked) > most
    same &= (scores.gather(1, order) > 0)[:, :, None]
    gone = torch.zeros_like(scores, dtype=torch.bool)
    for rank in range(1, scores.shape[1]):  # a pose goes because of one that stayed: sequential by nature
        gone[:, rank] = (same[:, :rank, rank] & ~gone[:, :rank]).any(1)
    return torch.zeros_like(gone).scatter(1, order, gone)
