"""Hold the animals of a frame as arrays, with boxes and scores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.structures.skeleton import Skeleton

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Instances:
    """The animals of one frame, N of them with K keypoints each.

    Attributes:
        keypoints: (N, K, 2) float32, x and y in pixels of the frame; NaN where missing.
        keypoint_scores: (N, K) float32 in [0, 1]; 0 where missing. For labels 1 where labelled.
        scores: (N,) float32 in [0, 1], confidence in the animal as a whole.
        boxes: (N, 4) float32 ``x1, y1, x2, y2``; NaN where unknown.
        identity: (N,) int64 index into ``Skeleton.individuals``; -1 where unknown.
        track: (N,) int64 track number within a video; -1 where not tracked.
        identity_scores: (N,) float32 in [0, 1], how probable it is that the animal is ``identity``; 0 where
            that is unknown. For labels 1 where an animal has a name.
        track_margins: (N,) float32 in [0, 1], how much more similar to its track an animal is than the next-best
            choice, as the tracker measures it; NaN where there was no other, or no tracker that tells.
        identity_probabilities: (N, I) float32 in [0, 1], how probable each of ``Skeleton.individuals`` is, as the
            model put it out; rows of NaN where it said nothing, I = 0 where it knows no individuals.
    """

    keypoints: FloatArray
    keypoint_scores: FloatArray
    scores: FloatArray
    boxes: FloatArray
    identity: IntArray
    track: IntArray
    identity_scores: FloatArray
    # None is what a caller may leave out: afterwards both are arrays.
    track_margins: FloatArray = None  # type: ignore[assignment]
    identity_probabilities: FloatArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.track_margins is None:
            object.__setattr__(self, "track_margins", np.full(len(self.keypoints), np.nan, np.float32))
        if self.identity_probabilities is None:
            object.__setattr__(self, "identity_probabilities", np.zeros((len(self.keypoints), 0), np.float32))

    @classmethod
    def from_keypoints(
        cls,
        keypoints: npt.ArrayLike,
        *,
        keypoint_scores: npt.ArrayLike | None = None,
        scores: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        identity: npt.ArrayLike | None = None,
        track: npt.ArrayLike | None = None,
        identity_scores: npt.ArrayLike | None = None,
        identity_probabilities: npt.ArrayLike | None = None,
    ) -> Instances:
        """Instances from (N, K, 2) keypoints, the rest filled in.

        Missing keypoints get score 0; scores default to 1 for labelled keypoints and to the mean keypoint
        score for animals; boxes to the tight box around the keypoints; identity and track to -1; identity
        scores to 1 where the identity is known.

        Raises:
            ValueError: an array has the wrong shape.
        """
        # A copy (array, not asarray), since missing keypoints are written into it below.
        points = np.array(keypoints, dtype=np.float32)
        if points.ndim != 3 or points.shape[-1] != 2:
            raise ValueError(f"keypoints must have shape (N, K, 2), not {points.shape}")
        n, k = points.shape[:2]
        missing = np.isnan(points).any(axis=-1)
        points[missing] = np.nan
        point_scores = (
            np.ones((n, k), np.float32)
            if keypoint_scores is None
            else np.array(keypoint_scores, dtype=np.float32)
        )
        if point_scores.shape != (n, k):
            raise ValueError(f"keypoint_scores must have shape {(n, k)}, not {point_scores.shape}")
        # A missing keypoint with a score would pass thresholds and count in means.
        point_scores[missing] = 0.0
        if scores is None:
            # An animal without keypoints gets score 0, not NaN.
            count = np.maximum((~missing).sum(axis=1), 1)
            animal_scores = (point_scores.sum(axis=1) / count).astype(np.float32)
        else:
            animal_scores = np.asarray(scores, dtype=np.float32).reshape(n)
        names = np.full(n, -1, np.int64) if identity is None else np.asarray(identity, np.int64).reshape(n)
        return cls(
            keypoints=points,
            keypoint_scores=point_scores,
            scores=animal_scores,
            boxes=(
                keypoint_boxes(points) if boxes is None else np.asarray(boxes, dtype=np.float32).reshape(n, 4)
            ),
            identity=names,
            track=np.full(n, -1, np.int64) if track is None else np.asarray(track, np.int64).reshape(n),
            identity_scores=(
                (names >= 0).astype(np.float32)
                if identity_scores is None
                else np.asarray(identity_scores, np.float32).reshape(n)
            ),
            identity_probabilities=np.asarray(
                np.zeros((n, 0)) if identity_probabilities is None else identity_probabilities, np.float32
            ),
        )

    @classmethod
    def empty(cls, num_keypoints: int) -> Instances:
        """No animal, with the right shapes."""
        return cls.from_keypoints(np.zeros((0, num_keypoints, 2), np.float32))

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def has_keypoint(self) -> npt.NDArray[np.bool_]:
        """(N,) bool, which animals have at least one keypoint."""
        return np.asarray(present_keypoints(self.keypoints).any(axis=1))

    def animal_boxes(self) -> FloatArray:
        """Box of each animal: its own where it is known, else tight around its keypoints.

        Returns:
            (N, 4) float32 ``x1, y1, x2, y2``; NaN for an animal with neither.
        """
        return fill_boxes(self.boxes, self.keypoints)

    def select(self, rows: npt.ArrayLike) -> Instances:
        """The animals chosen by a boolean mask or indices, in that order."""
        chosen = np.asarray(rows)
        return Instances(
            keypoints=self.keypoints[chosen],
            keypoint_scores=self.keypoint_scores[chosen],
            scores=self.scores[chosen],
            boxes=self.boxes[chosen],
            identity=self.identity[chosen],
            track=self.track[chosen],
            identity_scores=self.identity_scores[chosen],
            track_margins=self.track_margins[chosen],
            identity_probabilities=self.identity_probabilities[chosen],
        )


def present_keypoints(keypoints: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Mark the (..., 2) keypoints that are not missing, (...) bool."""
    there: npt.NDArray[np.bool_] = np.isfinite(keypoints).all(axis=-1)
    return there


def keypoint_boxes(keypoints: FloatArray) -> FloatArray:
    """Tight boxes around the labelled keypoints.

    Args:
        keypoints: (N, K, 2), NaN where missing.

    Returns:
        (N, 4) float32 ``x1, y1, x2, y2``; NaN for an animal without any keypoint.
    """
    # Not nanmin: that warns for animals without keypoints, and fails where there is no animal. Along the first
    # axis a whole row is compared at once.
    rows = np.ascontiguousarray(keypoints.swapaxes(0, 1))
    low = np.fmin.reduce(rows, axis=0, initial=np.inf)
    high = np.fmax.reduce(rows, axis=0, initial=-np.inf)
    boxes = np.concatenate([low, high], axis=-1).astype(np.float32)
    boxes[~np.isfinite(boxes).all(axis=-1)] = np.nan
    return boxes


def fill_boxes(boxes: FloatArray, keypoints: FloatArray) -> FloatArray:
    """Fill in boxes that are unknown: tight ones around keypoints.

    Args:
        boxes: (N, 4) ``x1, y1, x2, y2``; NaN where unknown.
        keypoints: (N, K, 2), NaN where missing.

    Returns:
        (N, 4) float32; NaN for an animal with neither.
    """
    # An animal may have a labelled box while its neighbour has none.
    known = np.isfinite(boxes).all(axis=1, keepdims=True)
    return np.where(known, boxes, keypoint_boxes(keypoints))


def box_overlaps(
    one: npt.NDArray[np.floating[Any]], other: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.float64]:
    """Compute the intersection over union of boxes.

    Args:
        one: (N, 4) ``x1, y1, x2, y2``.
        other: (M, 4).

    Returns:
        (N, M) float64 in [0, 1]; 0 where a box is unknown or both have no area.
    """
    a, b = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    # Written out by sides: reductions over an axis of two take most of the time.
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    areas = [(x[..., 2] - x[..., 0]) * (x[..., 3] - x[..., 1]) for x in (a, b)]
    union = areas[0] + areas[1] - common
    # NaN compares as false, so unknown boxes overlap nothing.
    known = union > 0
    return np.where(known, common, 0.0) / np.where(known, union, 1.0)


def enlarge_boxes(boxes: FloatArray, length: float) -> FloatArray:
    """Enlarge boxes (N, 4) with a longer side below ``length`` to squares of that side about the same
    centre."""
    centre, half = (boxes[:, 2:] + boxes[:, :2]) / 2, np.float32(length / 2)
    # NaN compares as false, so unknown boxes stay unknown. initial: no boxes have no maximum.
    small = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) < length
    return np.where(small, np.concatenate([centre - half, centre + half], axis=1), boxes).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Frame:
    """Animals of one frame of a video or one image of a batch.

    Attributes:
        index: position in the video or sequence, from 0. Results are joined by it.
        instances: the animals; empty when there are none.
        unique_keypoints: (U, 2) float32, the keypoints that exist once a frame; NaN where missing.
        unique_scores: (U,) float32.
        missing: why the frame has no result (it could not be decoded ...); None for an ordinary frame.
        image: the image as text (path of a file, ``clip.mp4 frame 17``), for sequences of images; None for
            videos and arrays.
        time: seconds after the first frame of the video; None for images, and where the container stores no
            times.
    """

    index: int
    instances: Instances
    # A factory, for arrays can be changed and must not be shared between frames.
    unique_keypoints: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    unique_scores: FloatArray = field(default_factory=lambda: np.zeros((0,), np.float32))
    missing: str | None = None
    image: str | None = None
    time: float | None = None

    @classmethod
    def absent(
        cls,
        index: int,
        skeleton: Skeleton,
        reason: str,
        image: str | None = None,
        time: float | None = None,
    ) -> Frame:
        """The explicit record of a frame that could not be decoded."""
        unique = len(skeleton.unique_keypoints)
        return cls(
            index=index,
            instances=Instances.empty(skeleton.num_keypoints),
            unique_keypoints=np.full((unique, 2), np.nan, np.float32),
            unique_scores=np.zeros(unique, np.float32),
            missing=reason,
            image=image,
            time=time,
        )

    def renumbered(self, index: int) -> Frame:
        """The same record under another index."""
        return replace(self, index=index)

    def moved(self, x: float, y: float) -> Frame:
        """The same record with everything in it x pixels to the right and y pixels further down."""
        if not (x or y):
            return self
        by = np.array([x, y], np.float32)
        animals = replace(
            self.instances,
            keypoints=self.instances.keypoints + by,
            boxes=self.instances.boxes + np.concatenate([by, by]),
        )
        return replace(self, instances=animals, unique_keypoints=self.unique_keypoints + by)
