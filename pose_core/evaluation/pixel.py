"""Compute pixel errors of labelled keypoints, and metrics of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pose_core.data.matching import Matches, animal_sizes
from pose_core.evaluation.bootstrap import Bootstrap, Floats, interval
from pose_core.evaluation.results import ConfidentMetrics, ErrorMetrics, Estimate, KeypointMetrics
from pose_core.structures import Frame, IntArray, LabelledImage, Skeleton, present_keypoints

PERCENTILES = (25, 50, 75, 90, 95, 99)

ONCE_AN_IMAGE = -1
_ROW = np.dtype(
    [
        ("image", "i8"),
        ("animal", "i8"),
        ("keypoint", "i8"),
        ("distance", "f8"),
        ("score", "f8"),
        ("size", "f8"),
    ]
)

NOT_LABELLED = "no keypoint is labelled in this split"
NOT_PREDICTED = "none of the labelled keypoints was predicted"


@dataclass(frozen=True, eq=False)
class KeypointErrors:
    """One row for each labelled keypoint of a split, E rows; those of missed animals included.

    Attributes:
        names: names of the K keypoints of an animal, then of the U keypoints that exist once an image.
        images: number of images, I, those without labelled keypoints included.
        image: (E,) int64, position of the image in the split.
        animal: (E,) int64, row of the labelled animal; ``ONCE_AN_IMAGE`` for a keypoint that belongs to no
            animal.
        keypoint: (E,) int64, index into ``names``.
        distance: (E,) float64, pixels of the original image; NaN where the keypoint was not predicted.
        score: (E,) float64, the prediction's score; 0 where not predicted.
        size: (E,) float64, longer side of the labelled animal's box in pixels; NaN where there is none, and for
            landmarks, which belong to no animal.
    """

    names: tuple[str, ...]
    images: int
    image: IntArray
    animal: IntArray
    keypoint: IntArray
    distance: Floats
    score: Floats
    size: Floats

    def __len__(self) -> int:
        return len(self.image)

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """(E,) whether the labelled keypoint was predicted."""
        return ~np.isnan(self.distance)

    def select(self, rows: npt.NDArray[np.bool_]) -> KeypointErrors:
        """Only the rows of a boolean mask; the images stay."""
        chosen = {f: getattr(self, f)[rows] for f in _ROW.fields or ()}
        return replace(self, **chosen)


def keypoint_errors(
    pairs: Sequence[tuple[LabelledImage, Frame]], matches: Sequence[Matches], skeleton: Skeleton
) -> KeypointErrors:
    """Measure distances of labelled keypoints to the matched predictions.

    Args:
        pairs: labels and predictions of each image.
        matches: the assignment in each image.
        skeleton: of the project.
    """
    k, u = skeleton.num_keypoints, len(skeleton.unique_keypoints)
    # Starts with an empty part, for splits without a labelled keypoint.
    parts = [np.zeros(0, _ROW)]

    def add(
        image: int,
        animal: npt.ArrayLike,
        keypoint: IntArray,
        distance: Floats,
        score: Floats,
        size: npt.ArrayLike,
    ) -> None:
        part = np.empty(len(keypoint), _ROW)
        part["image"], part["animal"], part["keypoint"], part["distance"], part["size"] = (
            image,
            animal,
            keypoint,
            distance,
            size,
        )
        part["score"] = np.where(np.isnan(distance), 0.0, score)
        parts.append(part)

    for at, ((labels, found), match) in enumerate(zip(pairs, matches, strict=True)):
        truth = labels.instances.keypoints.astype(np.float64)
        guess, score = np.full_like(truth, np.nan), np.zeros(truth.shape[:2])
        guess[match.labelled] = found.instances.keypoints[match.predicted]
        score[match.labelled] = found.instances.keypoint_scores[match.predicted]
        animal, keypoint = np.nonzero(present_keypoints(truth))
        own = np.isin(keypoint, skeleton.body_indices)
        distance = np.linalg.norm(truth - guess, axis=-1)
        add(
            at,
            animal,
            keypoint,
            distance[animal, keypoint],
            score[animal, keypoint],
            np.where(own, animal_sizes(labels)[animal], np.nan),
        )
        if u and len(labels.unique_keypoints):
            points = labels.unique_keypoints.astype(np.float64)
            there = np.flatnonzero(present_keypoints(points))
            unique, scores = np.full((u, 2), np.nan), np.zeros(u)
            if len(found.unique_keypoints):
                unique[:], scores[:] = found.unique_keypoints, found.unique_scores
            distance = np.linalg.norm(points - unique, axis=-1)[there]
            add(at, ONCE_AN_IMAGE, k + there, distance, scores[there], np.nan)
    table = np.concatenate(parts)
    columns = {name: np.ascontiguousarray(table[name]) for name in _ROW.fields or ()}
    return KeypointErrors((*skeleton.keypoints, *skeleton.unique_keypoints), len(pairs), **columns)


def compute_error_metrics(errors: KeypointErrors, bootstrap: Bootstrap) -> ErrorMetrics:
    """Compute mean, median, RMS and percentiles of the errors of predicted keypoints."""
    predicted = errors.predicted
    distance, image = errors.distance[predicted], errors.image[predicted]
    if not len(distance):
        reason = NOT_PREDICTED if len(errors) else NOT_LABELLED
        undefined = Estimate.undefined(reason)
        return ErrorMetrics(0, undefined, undefined, undefined, dict.fromkeys(PERCENTILES))
    # Sums by image, because the bootstrap draws images: keypoints of one image are not independent.
    count = np.bincount(image, minlength=errors.images)
    mean = bootstrap.ratio(np.bincount(image, distance, errors.images), count)
    square = bootstrap.ratio(np.bincount(image, distance**2, errors.images), count)
    why = bootstrap.undefined

    def metric(value: float, resampled: Floats) -> Estimate:
        return Estimate(value, None if why else interval(resampled), why)

    return ErrorMetrics(
        count=len(distance),
        mean=metric(float(distance.mean()), mean),
        median=metric(float(np.median(distance)), bootstrap.percentile(distance, image, 50)),
        rms=metric(float(np.sqrt(np.mean(distance**2))), np.sqrt(square)),
        percentiles=dict(zip(PERCENTILES, np.percentile(distance, PERCENTILES).tolist(), strict=True)),
    )


def compute_pck(
    errors: KeypointErrors, thresholds: Sequence[float], bootstrap: Bootstrap
) -> dict[float, Estimate]:
    """Compute the fraction of correct keypoints (PCK; Yang and Ramanan, 2013).

    Correct is an error of at most ``threshold`` times the longer side of the labelled animal's box. A missing
    prediction is not correct.

    Keypoints of animals without a size (one labelled keypoint, no box), landmarks and those that exist once an
    image are not counted; where nothing is left, the metric is undefined.
    """
    measured = errors.select(np.isfinite(errors.size))
    if not len(measured):
        if not len(errors):
            reason = NOT_LABELLED
        elif (errors.animal == ONCE_AN_IMAGE).all():
            reason = "keypoints that exist once an image have no animal's size to measure against"
        else:
            reason = "no labelled animal has a box with an extent to measure against; landmarks have none"
        return {t: Estimate.undefined(reason) for t in thresholds}
    metrics = {}
    count = np.bincount(measured.image, minlength=errors.images)
    for threshold in thresholds:
        # False where the distance is NaN: a keypoint without prediction is not correct.
        correct = measured.distance <= threshold * measured.size
        resampled = bootstrap.ratio(np.bincount(measured.image, correct, errors.images), count)
        why = bootstrap.undefined
        metrics[threshold] = Estimate(float(correct.mean()), None if why else interval(resampled), why)
    return metrics


def per_keypoint(
    errors: KeypointErrors, thresholds: Sequence[float], bootstrap: Bootstrap
) -> tuple[KeypointMetrics, ...]:
    """Compute the metrics of each keypoint, in the order of ``errors.names``."""
    metrics = []
    for index, name in enumerate(errors.names):
        own = errors.select(errors.keypoint == index)
        metrics.append(
            KeypointMetrics(
                name=name,
                labelled=len(own),
                missing=int((~own.predicted).sum()),
                error=compute_error_metrics(own, bootstrap),
                pck=compute_pck(own, thresholds, bootstrap),
            )
        )
    return tuple(metrics)


def compute_confident_metrics(
    errors: KeypointErrors, threshold: float, bootstrap: Bootstrap
) -> ConfidentMetrics:
    """Compute errors of keypoints scored at least ``threshold``, and their share.

    The fraction kept is of all labelled keypoints, so that a model cannot look good by predicting little.
    """
    kept = errors.select(errors.predicted & (errors.score >= threshold))
    metrics = compute_error_metrics(kept, bootstrap)
    if not len(kept) and len(errors):
        reason = f"no labelled keypoint was predicted with a score of at least {threshold:g}"
        undefined = Estimate.undefined(reason)
        metrics = ErrorMetrics(0, undefined, undefined, undefined, dict.fromkeys(PERCENTILES))
    fraction = Estimate(len(kept) / len(errors)) if len(errors) else Estimate.undefined(NOT_LABELLED)
    return ConfidentMetrics(threshold=threshold, kept=fraction, error=metrics)
