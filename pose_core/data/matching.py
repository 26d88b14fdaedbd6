"""Match predicted to labelled animals: an optimal assignment in each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pose_core.structures import (
    FloatArray,
    Frame,
    Instances,
    IntArray,
    LabelledImage,
    Skeleton,
    present_keypoints,
)

# Decides between pairs that are all out of reach; far below any difference of costs that matters.
_TIE = 1e-6


Pair = tuple[LabelledImage, Frame]
"""The labels of an image, and what was predicted in it."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Assignment in one image. All are row numbers of the labelled or of the predicted ``Instances``.

    Attributes:
        labelled: (M,) int64, labelled animals that were found, ascending.
        predicted: (M,) int64, the prediction that belongs to each.
        missed: labelled animals (with at least one labelled keypoint) without a prediction.
        false: predictions that belong to no labelled animal.
        ignored: predictions without a labelled animal that lie in a region that counts neither way: one that
            the labels ask to ignore, or the box of an animal of which no keypoint is labelled.
    """

    labelled: IntArray
    predicted: IntArray
    missed: IntArray
    false: IntArray
    ignored: IntArray


def animal_sizes(labels: LabelledImage) -> npt.NDArray[np.float64]:
    """Measure the longer side of each labelled animal's box, (N,) float64 pixels.

    NaN where there is no box or it has no extent.
    """
    boxes = labels.instances.animal_boxes().astype(np.float64)
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return np.where(sides > 0, sides, np.nan)


def match_animals(labels: LabelledImage, found: Frame, *, several: bool) -> Matches:
    """Assign predicted to labelled animals so that the sum of costs is smallest.

    The cost of a pair is the mean over the animal's labelled keypoints of the distance to the prediction, cut
    off at the animal's own size (longer side of its box; the image's diagonal where that is unknown); a
    keypoint that is missing in the prediction costs that size. Predictions without any keypoint are no
    predictions.

    Args:
        labels: of the image.
        found: predictions in the same image.
        several: whether the project can hold more than one animal. If so, an animal and a prediction that do
            not come within reach (all costs cut off) are a miss and a false positive instead of a pair. With
            one animal an image the pair is taken however far it is, so that gross errors count as errors.

    Returns:
        the assignment; the order of animals and predictions does not influence which of them are paired.
    """
    truth = labels.instances.keypoints.astype(np.float64)
    guess = found.instances.keypoints.astype(np.float64)
    labelled = present_keypoints(truth)
    predicted = present_keypoints(guess)
    rows, columns = np.flatnonzero(labelled.any(axis=1)), np.flatnonzero(predicted.any(axis=1))
    diagonal = float(np.hypot(labels.width, labels.height))
    if len(rows) and len(columns):
        sizes = animal_sizes(labels)[rows]
        reach = np.where(np.isnan(sizes), diagonal, sizes)[:, None]
        distance = np.linalg.norm(truth[rows, None] - guess[None, columns], axis=-1)
        counted = labelled[rows, None]
        cut = np.where(np.isnan(distance), reach[:, :, None], np.minimum(distance, reach[:, :, None]))
        cost = np.where(counted, cut, 0.0).sum(axis=-1) / counted.sum(axis=-1) / reach
        # Costs of pairs out of reach are all equal; without the tie-break the order of rows would pair them.
        shared = ~np.isnan(distance)
        far = np.where(shared, distance, 0.0).sum(axis=-1) / np.maximum(shared.sum(axis=-1), 1) / diagonal
        far = np.where(shared.any(axis=-1), np.minimum(far, 1.0), 1.0)
        i, j = linear_sum_assignment(cost + _TIE * far)
        if several:
            near = cost[i, j] < 1
            i, j = i[near], j[near]
        pairs = rows[i], columns[j]
    else:
        pairs = np.zeros(0, np.int64), np.zeros(0, np.int64)
    left = np.setdiff1d(columns, pairs[1])
    aside = _test_inside(guess[left], _collect_regions(labels))
    return Matches(
        labelled=pairs[0].astype(np.int64),
        predicted=pairs[1].astype(np.int64),
        missed=np.setdiff1d(rows, pairs[0]).astype(np.int64),
        false=left[~aside].astype(np.int64),
        ignored=left[aside].astype(np.int64),
    )


def match_pairs(pairs: Sequence[Pair], skeleton: Skeleton) -> tuple[list[Pair], tuple[Matches, ...]]:
    """Match the animals of each image; landmarks belong to none.

    Args:
        pairs: labels and prediction of each image.
        skeleton: of both; with one individual, the animal and its prediction are a pair however far they are.

    Returns:
        the pairs without landmarks, and the assignment in each.
    """
    several = skeleton.num_individuals > 1
    own = [_without_landmarks(pair, skeleton) for pair in pairs]
    # One animal and its prediction are a pair however far they are, also where only landmarks are labelled.
    matched = own if several else pairs
    return own, tuple(match_animals(labels, found, several=several) for labels, found in matched)


def _without_landmarks(pair: Pair, skeleton: Skeleton) -> Pair:
    """Labels and prediction without landmarks, which belong to no animal."""
    landmarks = list(skeleton.landmark_indices)
    if not landmarks:
        return pair

    def hide(instances: Instances) -> Instances:
        points, scores = instances.keypoints.copy(), instances.keypoint_scores.copy()
        points[:, landmarks], scores[:, landmarks] = np.nan, 0
        return replace(instances, keypoints=points, keypoint_scores=scores)

    labels, found = pair
    return (
        replace(labels, instances=hide(labels.instances)),
        replace(found, instances=hide(found.instances)),
    )


def _collect_regions(labels: LabelledImage) -> FloatArray:
    boxes = labels.instances.boxes[~labels.instances.has_keypoint]
    return np.concatenate([labels.ignore, boxes[np.isfinite(boxes).all(axis=1)]])


def _test_inside(keypoints: npt.NDArray[np.float64], regions: FloatArray) -> npt.NDArray[np.bool_]:
    """Test whether at least half of an animal's keypoints lie in one region."""
    points = keypoints[:, None]
    # A missing keypoint is NaN and lies in no region.
    with np.errstate(invalid="ignore"):
        inside = ((points >= regions[:, None, :2]) & (points <= regions[:, None, 2:])).all(axis=-1)
    half = present_keypoints(keypoints).sum(axis=1)[:, None] / 2
    result: npt.NDArray[np.bool_] = (inside.sum(axis=-1) >= half).any(axis=1)
    return result
