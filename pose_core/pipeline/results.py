"""Bring results of a batch to host memory and split them into frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_core.errors import PluginError
from pose_core.escapes import escape_text
from pose_core.interfaces import StageResult
from pose_core.interfaces.thresholds import Thresholds
from pose_core.pipeline.naming import assign_names
from pose_core.pipeline.sources import SourceFrame
from pose_core.structures import FloatArray, Frame, Instances, Skeleton, keypoint_boxes

_Content = tuple[Instances, FloatArray, FloatArray]
"""Animals, unique keypoints and their scores of a frame."""


@dataclass(frozen=True)
class HostResult:
    """:class:`~pose_core.interfaces.StageResult` in host memory, or on its way there.

    Attributes:
        found: with its tensors in host memory.
        arrived: CUDA event after which they hold their values; None: at once.
    """

    found: StageResult
    arrived: torch.cuda.Event | None = None

    @classmethod
    def fetch(cls, found: StageResult, device: torch.device) -> HostResult:
        """Start bringing the results to host memory; on CUDA without waiting for them."""
        boxes, predictions = found.boxes, found.predictions
        if boxes is not None and predictions is not None and boxes.shape[:2] != predictions.scores.shape:
            raise ValueError(
                f"boxes of shape {tuple(boxes.shape)} do not fit scores {tuple(predictions.scores.shape)}"
            )
        # Elsewhere a copy that does not block could be read before its values are there.
        later = device.type == "cuda"
        on_host = found.to("cpu", non_blocking=later)
        arrived = None
        if later:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        return cls(on_host, arrived)

    def wait(self) -> None:
        """Wait until the tensors hold their values."""
        if self.arrived is not None:
            self.arrived.synchronize()


def _split_poses(
    found: StageResult, skeleton: Skeleton, threshold: Thresholds, identity_threshold: float | None
) -> list[_Content]:
    """Split poses into frames: animals, unique keypoints, their scores."""
    if found.predictions is None:
        return _split_boxes(found, skeleton)
    # Here, after the last stage: a network that looks at crops sees one animal at a time, and only all of a
    # frame together can be given names that differ.
    poses = assign_names(found.predictions, identity_threshold)
    points, point_scores = hide_doubtful_points(poses.keypoints, poses.keypoint_scores, threshold.keypoints)
    unique, unique_scores = hide_doubtful_points(
        poses.unique_keypoints, poses.unique_scores, threshold.unique
    )
    scores = poses.scores.numpy().astype(np.float32, copy=False)
    b, n, k = point_scores.shape
    # Around the keypoints that are reported: those below the threshold are hidden by now.
    if found.boxes is None:
        body = points.reshape(b * n, k, 2)[:, list(skeleton.body_indices)]
        boxes = keypoint_boxes(body).reshape(b, n, 4)
    else:
        boxes = found.boxes.numpy().astype(np.float32, copy=False)
    tracks = np.full((b, n), -1, np.int64) if found.tracks is None else found.tracks.numpy()
    identity = poses.identity.numpy().astype(np.int64, copy=False)
    named = poses.identity_scores.gather(-1, poses.identity.clamp(min=0)[..., None])[..., 0]
    identity_scores = named.where(poses.identity >= 0, 0.0).numpy().astype(np.float32, copy=False)
    # All of them, and not the chosen one alone: a tracker sums them up over time.
    known = poses.identity_scores.any(dim=-1, keepdim=True)
    chances = poses.identity_scores.where(known, torch.nan).numpy().astype(np.float32, copy=False)
    if not known.any():
        chances = chances[..., :0]
    # Rows that only pad a frame to the number of animals of another have score 0 or no keypoint.
    present = (scores > 0) & (~np.isnan(points[..., 0])).any(axis=-1)
    chosen = [np.flatnonzero(row) for row in present]
    return [
        (
            Instances(
                points[j, at],
                point_scores[j, at],
                scores[j, at],
                boxes[j, at],
                identity[j, at],
                tracks[j, at],
                identity_scores[j, at],
                identity_probabilities=chances[j, at],
            ),
            unique[j],
            unique_scores[j],
        )
        for j, at in enumerate(chosen)
    ]


def _split_boxes(found: StageResult, skeleton: Skeleton) -> list[_Content]:
    """Make animals of boxes alone: all their keypoints are missing."""
    assert found.boxes is not None
    assert found.box_scores is not None
    boxes, scores, u = found.boxes.numpy(), found.box_scores.numpy(), len(skeleton.unique_keypoints)
    frames = []
    for of_frame, its_scores in zip(boxes, scores, strict=True):
        at = np.flatnonzero((its_scores > 0) & np.isfinite(of_frame).all(axis=-1))
        missing = np.full((len(at), skeleton.num_keypoints, 2), np.nan, np.float32)
        animals = Instances.from_keypoints(
            missing, scores=its_scores[at].astype(np.float32), boxes=of_frame[at]
        )
        frames.append((animals, np.full((u, 2), np.nan, np.float32), np.zeros(u, np.float32)))
    return frames


def hide_doubtful_points(
    points: Tensor, scores: Tensor, threshold: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Hide points (..., K, 2) with scores (..., K) below the threshold (K,): NaN, with score 0.

    Raises:
        PluginError: a score is NaN.
    """
    # Without copy=False: the arrays are changed below, and the tensors behind them must not be.
    xy, score = points.numpy().astype(np.float32), scores.numpy().astype(np.float32)
    if np.isnan(score).any():
        raise PluginError(
            "the network found keypoints with score NaN: its weights are damaged, or a head is broken; run "
            "'pose check' on its plugin"
        )
    missing = np.isnan(xy).any(axis=-1) | (score < threshold)
    xy[missing] = np.nan
    score[missing] = 0.0
    return xy, score


def to_frames(
    items: Sequence[SourceFrame],
    reasons: Sequence[str | None],
    groups: Sequence[tuple[Sequence[int], HostResult]],
    skeleton: Skeleton,
    threshold: Thresholds,
    identity_threshold: float | None = None,
) -> list[Frame]:
    """Make the frames of a batch, in order.

    Args:
        items: what the source gave.
        reasons: for each item why there is no result; None where there is one.
        groups: positions of items, and what was found in them.
        skeleton: of the model.
        threshold: keypoints with lower scores are missing; an animal without any keypoint is none.
        identity_threshold: less probable names are not given, see
            :func:`~pose_core.pipeline.naming.assign_names`.
    """
    done: dict[int, Frame] = {}
    for rows, result in groups:
        animals = _split_poses(result.found, skeleton, threshold, identity_threshold)
        for row, (instances, unique, unique_scores) in zip(rows, animals, strict=True):
            item = items[row]
            done[row] = Frame(item.index, instances, unique, unique_scores, image=item.image, time=item.time)
    return [
        done[row]
        if row in done
        else Frame.absent(
            item.index, skeleton, escape_text(reasons[row] or "no picture"), item.image, item.time
        )
        for row, item in enumerate(items)
    ]
