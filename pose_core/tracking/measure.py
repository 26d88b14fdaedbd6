"""Measure tracks against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pose_core.errors import DataError, argument
from pose_core.interfaces.tracker import Floats
from pose_core.interfaces.writer import PredictionsStream
from pose_core.structures import Frame, Instances, IntArray, box_overlaps
from pose_core.tracking.metrics import (
    ComparedFrame,
    TrackScores,
    compare_keypoints,
    score_tracks,
)

Watcher = Callable[[int, IntArray, IntArray, Floats], None]


@dataclass(frozen=True)
class TrackMetrics:
    """How good tracks are.

    Attributes:
        keypoints: by object keypoint similarity, with a sigma of 0.1 for all keypoints.
        boxes: by the intersection over union of boxes.
        frames: that were compared: those of the truth.
    """

    keypoints: TrackScores
    boxes: TrackScores
    frames: int


@dataclass(frozen=True, eq=False)
class ComparedAnimals:
    """One frame of truth and tracks, by both similarities.

    Attributes:
        keypoints: object keypoint similarity.
        boxes: intersection over union of the boxes, which are those around keypoints where there are no others.
    """

    keypoints: ComparedFrame
    boxes: ComparedFrame

    @classmethod
    def of(cls, truth: Instances, ids: IntArray, found: Instances, tracks: IntArray) -> ComparedAnimals:
        """Compare the right animals, whose ids are (G,), with found ones, whose tracks are (T,)."""
        boxes = truth.animal_boxes()
        by_pose = compare_keypoints(truth.keypoints, found.keypoints, boxes)
        by_box = box_overlaps(boxes, found.animal_boxes())
        return cls(ComparedFrame(ids, tracks, by_pose), ComparedFrame(ids, tracks, by_box))


def score_animals(frames: Sequence[ComparedAnimals]) -> TrackMetrics:
    """Compute the metrics of one video by both similarities."""
    return TrackMetrics(
        score_tracks([frame.keypoints for frame in frames]),
        score_tracks([frame.boxes for frame in frames]),
        len(frames),
    )


def measure_tracks(
    truth: PredictionsStream,
    tracked: Iterable[Frame],
    name: str = "truth",
    watch: Watcher = lambda frame, truth, tracks, similarity: None,
) -> TrackMetrics:
    """Measure tracks against the truth, in the frames that the truth has.

    Args:
        truth: the right animals; each has a track, or an identity.
        tracked: the frames with tracks, in order; animals without one count as not found.
        name: of the truth, for messages.
        watch: gets each frame: its number, the ids of the truth, the tracks, and their similarity by keypoints.

    Returns:
        metrics. Memory grows with the number of frames, by some hundred bytes each.

    Raises:
        DataError: an animal of the truth has neither, two of a frame have the same, its keypoints are others, or
            frames of the truth are not there.
    """
    frames = iter(tracked)
    names = truth.header.skeleton.keypoints
    compared: list[ComparedAnimals] = []
    for right in truth:
        if right.missing is not None:
            continue
        found = next((frame for frame in frames if frame.index >= right.index), None)
        if found is None or found.index != right.index:
            raise DataError(
                f"{name}: has frame {right.index}, which the predictions lack; name the {argument('truth')} of "
                "the same video"
            )
        if right.instances.keypoints.shape[1] != found.instances.keypoints.shape[1]:
            raise DataError(
                f"{name}: has {len(names)} keypoints ({', '.join(names[:3])} ...), the predictions have "
                f"{found.instances.keypoints.shape[1]}; both need the same"
            )
        ids = _name_animals(right, name)
        kept = right.instances.has_keypoint
        animals, ids = right.instances.select(kept), ids[kept]
        tracks = found.instances.select(found.instances.track >= 0)
        compared.append(ComparedAnimals.of(animals, ids, tracks, tracks.track))
        watch(right.index, ids, tracks.track, compared[-1].keypoints.similarity)
    if not compared:
        raise DataError(f"{name}: has no frames to compare with; name another {argument('truth')}")
    return score_animals(compared)


def _name_animals(frame: Frame, name: str) -> IntArray:
    """Find out who the animals of the truth are: their tracks, or else their identities."""
    animals = frame.instances
    ids = animals.track if (animals.track >= 0).all() else animals.identity
    if (ids < 0).any():
        raise DataError(
            f"{name}: frame {frame.index} has an animal without track and identity; truth needs one for each"
        )
    if len(np.unique(ids)) < len(ids):
        raise DataError(f"{name}: frame {frame.index} has two animals with one track; correct it")
    return ids
