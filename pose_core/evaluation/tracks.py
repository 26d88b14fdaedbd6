"""Measure tracks where labels say who is who over time: HOTA, IDF1, MOTA, switches, fragments.

As ``pose track --truth`` does, over the labelled images of each video and over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_core.data.matching import Pair
from pose_core.evaluation.identity import group_videos
from pose_core.structures import Instances, IntArray, Skeleton
from pose_core.tracking.measure import ComparedAnimals, TrackMetrics, score_animals
from pose_core.tracking.metrics import ComparedFrame

ALL = "all"
"""Name of the metrics over all videos."""


def compute_track_metrics(pairs: Sequence[Pair], skeleton: Skeleton) -> dict[str, TrackMetrics]:
    """Measure predicted tracks, or names where there are no tracks, along videos.

    Args:
        pairs: labels and predictions of each image. Images of one folder are taken as one video, in the order of the
            numbers in their names, and so are frames of one.
        skeleton: of the project. Labelled identities count only where it is ``identified``.

    Returns:
        metrics, by keypoints and by boxes, by the name of a video, and under :data:`ALL`, where there are several,
        over all: their counts are summed up. Images count in which every labelled animal has a track or a name;
        videos with two of them or more. Empty where no predicted animal has a track or a name.
    """
    followed = any((found.instances.track >= 0).any() for _, found in pairs)
    if not followed and not (
        skeleton.identified and any((found.instances.identity >= 0).any() for _, found in pairs)
    ):
        return {}
    videos: dict[str, list[ComparedAnimals]] = {}
    for name, rows in group_videos(pairs).items():
        frames = []
        for at in rows:
            labels, found = pairs[at]
            truth = labels.instances.select(labels.instances.has_keypoint)
            ids = _name_animals(truth, skeleton.identified)
            if ids is None:
                continue
            animals = found.instances
            tracks = animals.track if followed else animals.identity
            # Of two with one name the first counts, which has the higher score in most formats.
            kept = np.sort(np.unique(tracks, return_index=True)[1])
            kept = kept[tracks[kept] >= 0]
            frames.append(ComparedAnimals.of(truth, ids, animals.select(kept), tracks[kept]))
        if len(frames) > 1 and any(len(frame.keypoints.truth) for frame in frames):
            videos[name] = frames
    scores = {name: score_animals(frames) for name, frames in videos.items()}
    if len(videos) > 1:
        scores[ALL] = score_animals(_join_videos(list(videos.values())))
    return scores


def _name_animals(animals: Instances, identified: bool) -> IntArray | None:
    """Tell labelled animals apart over time; None where one has neither track nor name, or two have the same."""
    for ids in (animals.track, animals.identity if identified else animals.track):
        if (ids >= 0).all() and len(np.unique(ids)) == len(ids):
            return ids
    return None


def _join_videos(videos: Sequence[Sequence[ComparedAnimals]]) -> list[ComparedAnimals]:
    """Put videos one after another; no id of one is in another, so that all counts are sums."""
    joined: list[ComparedAnimals] = []
    truth = tracks = 0
    for frames in videos:
        for frame in frames:
            ids = frame.keypoints.truth + truth, frame.keypoints.tracks + tracks
            both = (ComparedFrame(*ids, one.similarity) for one in (frame.keypoints, frame.boxes))
            joined.append(ComparedAnimals(*both))
        truth = max(int(f.keypoints.truth.max(initial=-1)) for f in joined) + 1
        tracks = max(int(f.keypoints.tracks.max(initial=-1)) for f in joined) + 1
    return joined
