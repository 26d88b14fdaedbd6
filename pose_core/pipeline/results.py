"""What the stages found for a batch, brought to host memory and taken apart into frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pose_core.errors import PluginError
from pose_core.pipeline.sources import SourceFrame
from pose_core.pipeline.stages import StageResult
from pose_core.structures import FloatArray, Frame, Instances, IntArray, Skeleton, keypoint_boxes


@dataclass(frozen=True)
class HostResult:
    """:class:`StageResult` in host memory, or on its way there.

    Attributes:
        keypoints, keypoint_scores, scores, identity, unique_keypoints, unique_scores: as in ``Predictions``.
        boxes: (B, N, 4); None where they follow from the keypoints.
        tracks: (B, N); None where nobody follows animals.
        arrived: CUDA event after which the arrays hold their values; None: at once.
    """

    keypoints: Tensor
    keypoint_scores: Tensor
    scores: Tensor
    identity: Tensor
    unique_keypoints: Tensor
    unique_scores: Tensor
    boxes: Tensor | None
    tracks: Tensor | None = None
    arrived: Any = None

    @classmethod
    def fetch(cls, found: StageResult, device: torch.device) -> HostResult:
        """Start bringing the results to host memory; on CUDA without waiting for them."""
        predictions = found.predictions
        assert predictions is not None
        later = device.type == "cuda"
        tensors = {
            name: getattr(predictions, name).to("cpu", non_blocking=later)
            for name in ("keypoints", "keypoint_scores", "scores", "identity", "unique_keypoints", "unique_scores")
        }
        boxes = found.boxes
        if boxes is not None and boxes.shape[:2] != predictions.scores.shape:
            raise ValueError(f"boxes of shape {tuple(boxes.shape)} do not fit scores {tuple(predictions.scores.shape)}")
        boxes = None if boxes is None else boxes.to("cpu", non_blocking=later)
        tracks = None if found.tracks is None else found.tracks.to("cpu", non_blocking=later)
        arrived = None
        if later:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        return cls(**tensors, boxes=boxes, tracks=tracks, arrived=arrived)

    def wait(self) -> None:
        """Until the arrays hold their values."""
        if self.arrived is not None:
            self.arrived.synchronize()


@dataclass(frozen=True)
class _Arrays:
    """Results of some frames as arrays; ``present`` (B, N) says which animals exist."""

    present: npt.NDArray[np.bool_]
    keypoints: FloatArray
    keypoint_scores: FloatArray
    scores: FloatArray
    boxes: FloatArray
    identity: IntArray
    track: IntArray
    unique_keypoints: FloatArray
    unique_scores: FloatArray


def _arrays(found: HostResult, threshold: float) -> _Arrays:
    points, point_scores = hide_doubtful_points(found.keypoints, found.keypoint_scores, threshold)
    unique, unique_scores = hide_doubtful_points(found.unique_keypoints, found.unique_scores, threshold)
    scores = found.scores.numpy().astype(np.float32, copy=False)
    known = ~np.isnan(points[..., 0])
    b, n, k = point_scores.shape
    if found.boxes is None:
        boxes = keypoint_boxes(points.reshape(b * n, k, 2)).reshape(b, n, 4)
    else:
        boxes = found.boxes.numpy().astype(np.float32, copy=False)
    return _Arrays(
        present=(scores > 0) & known.any(axis=-1),
        keypoints=points,
        keypoint_scores=point_scores,
        scores=scores,
        boxes=boxes,
        identity=found.identity.numpy().astype(np.int64, copy=False),
        track=np.full((b, n), -1, np.int64) if found.tracks is None else found.tracks.numpy(),
        unique_keypoints=unique,
        unique_scores=unique_scores,
    )


def hide_doubtful_points(points: Tensor, scores: Tensor, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Points below the threshold become missing; missing points are NaN with score 0.

    Raises:
        PluginError: a score is NaN.
    """
    xy, score = points.numpy().astype(np.float32), scores.numpy().astype(np.float32)
    if np.isnan(score).any():
        raise PluginError(
            "the network found keypoints whose score is NaN: its weights are damaged, or a head is broken, which "
            "'pose check' of its plugin tells"
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
    threshold: float,
) -> list[Frame]:
    """The frames of a batch in order.

    Args:
        items: what the source gave.
        reasons: for each item why there is no result; None where there is one.
        groups: positions of items, and what was found in them.
        skeleton: of the model.
        threshold: keypoints with a lower score are missing; an animal without any keypoint is none.
    """
    done: dict[int, Frame] = {}
    for rows, found in groups:
        a = _arrays(found, threshold)
        for j, row in enumerate(rows):
            chosen = np.flatnonzero(a.present[j])
            done[row] = Frame(
                index=items[row].index,
                instances=Instances(
                    keypoints=a.keypoints[j, chosen],
                    keypoint_scores=a.keypoint_scores[j, chosen],
                    scores=a.scores[j, chosen],
                    boxes=a.boxes[j, chosen],
                    identity=a.identity[j, chosen],
                    track=a.track[j, chosen],
                ),
                unique_keypoints=a.unique_keypoints[j],
                unique_scores=a.unique_scores[j],
                image=items[row].image,
            )
    return [
        done[row] if row in done else Frame.absent(item.index, skeleton, reasons[row] or "no picture", item.image)
        for row, item in enumerate(items)
    ]
