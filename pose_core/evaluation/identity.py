"""Measure whether animals have the right names, and keep them.

Counted over the pairs of the pixel assignment (:mod:`pose_core.data.matching`), which knows nothing of
names: an animal that is found in the right place under a wrong name is a right position and a wrong identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from pose_core.data.matching import Matches, Pair
from pose_core.evaluation.bootstrap import Bootstrap, interval
from pose_core.evaluation.results import Estimate, IdentityMetrics, Switches
from pose_core.io.files import natural_order
from pose_core.structures import (
    Frame,
    Instances,
    IntArray,
    LabelledImage,
    Skeleton,
    VideoFrame,
    present_keypoints,
)


def compute_identity_metrics(
    pairs: Sequence[Pair], matches: Sequence[Matches], skeleton: Skeleton, bootstrap: Bootstrap
) -> IdentityMetrics | None:
    """Count right names of the animals found, and changes of names.

    Args:
        pairs: labels and predictions of each image. Images of one folder, in the order of the numbers in
            their names, are taken as one video, and so are frames of one.
        matches: the assignment in each image.
        skeleton: of the project. Labelled identities count only where it is ``identified``: else individual 1
            is whichever animal was labelled first.
        bootstrap: over the same images.

    Returns:
        None where nothing can be compared: no predicted animal has an identity, and no labelled animal is
        seen twice with a track.
    """
    rows = [_pair_names(labels, found, match) for (labels, found), match in zip(pairs, matches, strict=True)]
    switches = {}
    order = list(group_videos(pairs).values())
    if skeleton.identified and any((found.instances.identity >= 0).any() for _, found in pairs):
        switches["identity"] = _count_switches(order, pairs, matches, "identity", skeleton.identified)
    if any((found.instances.track >= 0).any() for _, found in pairs):
        tracks = _count_switches(order, pairs, matches, "track", skeleton.identified)
        switches |= {"track": tracks} if tracks.seen_again else {}
    if not switches:
        return None
    if "identity" not in switches:
        reason = (
            "no predicted animal has an identity"
            if skeleton.identified
            else "the project names no individuals"
        )
        return IdentityMetrics(Estimate.undefined(reason), 0, 0, 0, 0, {}, switches)
    # Per image: pairs whose label has a name, whose prediction has one too, and of these the right ones.
    named = np.array([int((label >= 0).sum()) for label, _ in rows], np.int64)
    both = np.array([int(((label >= 0) & (guess >= 0)).sum()) for label, guess in rows], np.int64)
    right = np.array([int(((label >= 0) & (guess == label)).sum()) for label, guess in rows], np.int64)
    if both.sum():
        why = bootstrap.undefined
        accuracy = Estimate(
            float(right.sum() / both.sum()), None if why else interval(bootstrap.ratio(right, both)), why
        )
    else:
        accuracy = Estimate.undefined(
            "no animal was found that has an identity in the labels and in the predictions"
        )
    return IdentityMetrics(
        accuracy=accuracy,
        compared=int(both.sum()),
        right=int(right.sum()),
        unnamed=int((named - both).sum()),
        swaps=sum(_count_swaps(label, guess) for label, guess in rows),
        keypoints=_count_by_keypoint(pairs, matches, skeleton),
        switches=switches,
    )


def _pair_names(labels: LabelledImage, found: Frame, match: Matches) -> tuple[IntArray, IntArray]:
    """Give labelled and predicted identity of each matched pair; -1 if unknown."""
    return labels.instances.identity[match.labelled], found.instances.identity[match.predicted]


def _count_swaps(label: IntArray, guess: IntArray) -> int:
    """Count pairs of animals of an image that have exchanged their names."""
    known = (label >= 0) & (guess >= 0) & (label != guess)
    label, guess = label[known], guess[known]
    exchanged = (label[:, None] == guess[None]) & (guess[:, None] == label[None])
    # The matrix is symmetric; its upper triangle holds each pair once.
    return int(np.triu(exchanged, 1).sum())


def _count_by_keypoint(
    pairs: Sequence[Pair], matches: Sequence[Matches], skeleton: Skeleton
) -> dict[str, tuple[int, int]]:
    """Count by keypoint right names, and names compared, of nearest predictions."""
    # Unlike the accuracy of animals this sees keypoints that were put together with those of another animal:
    # each goes by the prediction of the same keypoint that lies nearest, not by the match of its animal.
    right, compared = np.zeros(skeleton.num_keypoints, np.int64), np.zeros(skeleton.num_keypoints, np.int64)
    for (labels, found), match in zip(pairs, matches, strict=True):
        if not len(match.labelled):
            continue
        truth, guess = (
            labels.instances.keypoints[match.labelled].astype(np.float64),
            found.instances.keypoints.astype(np.float64),
        )
        distance = np.linalg.norm(truth[:, None] - guess[None], axis=-1)  # (N, M, K)
        near = np.where(np.isnan(distance), np.inf, distance)
        name = found.instances.identity[near.argmin(axis=1)]  # (N, K)
        own = labels.instances.identity[match.labelled, None]
        there = present_keypoints(truth) & np.isfinite(near.min(axis=1)) & (name >= 0) & (own >= 0)
        compared += there.sum(axis=0)
        right += (there & (name == own)).sum(axis=0)
    return {
        keypoint: (int(r), int(c))
        for keypoint, r, c in zip(skeleton.keypoints, right, compared, strict=True)
        if c
    }


def group_videos(pairs: Sequence[Pair]) -> dict[str, list[int]]:
    """Group the images by the name of their video or folder, in the order of their numbers."""
    videos: dict[str, list[int]] = {}
    for at, (labels, _) in enumerate(pairs):
        image = labels.image
        video = str(image.path) if isinstance(image, VideoFrame) else str(PurePosixPath(labels.name).parent)
        videos.setdefault(video, []).append(at)
    return {
        name: sorted(video, key=lambda at: natural_order(pairs[at][0].name)) for name, video in videos.items()
    }


def _count_switches(
    videos: Sequence[Sequence[int]],
    pairs: Sequence[Pair],
    matches: Sequence[Matches],
    what: str,
    identified: bool,
) -> Switches:
    """Count changes of identity or track of individuals that are seen again."""
    changes = seen_again = 0
    for video in videos:
        last: dict[tuple[str, int], int] = {}
        for at in video:
            labels, found = pairs[at]
            match = matches[at]
            individuals = _identify_individuals(labels.instances, identified)
            names: npt.NDArray[np.int64] = getattr(found.instances, what)[match.predicted]
            for row, name in zip(match.labelled.tolist(), names.tolist(), strict=True):
                individual = individuals[row]
                if individual is None or name < 0:
                    continue
                seen_again += individual in last
                changes += last.get(individual, name) != name
                last[individual] = name
    return Switches(changes, seen_again)


def _identify_individuals(labels: Instances, identified: bool) -> list[tuple[str, int] | None]:
    """Tell labelled animals apart across images: by track, else by identity."""
    # The kind is part of the key: track 1 and identity 1 need not be the same animal.
    found: list[tuple[str, int] | None] = []
    for track, identity in zip(labels.track.tolist(), labels.identity.tolist(), strict=True):
        named = ("identity", identity) if identified and identity >= 0 else None
        found.append(("track", track) if track >= 0 else named)
    return found
