"""Compute every metric from labels and predictions of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_core.data.average_precision import CocoTask, coco_task
from pose_core.data.matching import Matches, Pair, match_pairs
from pose_core.data.sigmas import resolve_sigmas
from pose_core.errors import DataError
from pose_core.evaluation.bootstrap import Bootstrap
from pose_core.evaluation.identity import compute_identity_metrics
from pose_core.evaluation.oks import compute_oks_metrics
from pose_core.evaluation.pixel import (
    KeypointErrors,
    compute_confident_metrics,
    compute_error_metrics,
    compute_pck,
    keypoint_errors,
    per_keypoint,
)
from pose_core.evaluation.results import Counts, EvaluationResult
from pose_core.evaluation.tracks import compute_track_metrics
from pose_core.specs import EvaluationSpec
from pose_core.structures import Skeleton


@dataclass(frozen=True, eq=False)
class Measured:
    """Result with the errors and matches behind it, in the order of the pairs.

    Attributes:
        result: the metrics.
        errors: one row for each labelled keypoint.
        matches: the assignment of animals in each image.
        task: labels and predictions in COCO's terms.
    """

    result: EvaluationResult
    errors: KeypointErrors
    matches: tuple[Matches, ...]
    task: CocoTask


def measure(
    pairs: Sequence[Pair],
    skeleton: Skeleton,
    spec: EvaluationSpec,
    *,
    split: str = "test",
    seed: int = 0,
    unique: bool = True,
) -> Measured:
    """Compare predictions with labels.

    Args:
        pairs: labels and prediction of each image, both in pixels of the original image.
        skeleton: of the project; with one individual, the animal and its prediction are a pair however far
            they are.
        spec: sigmas, PCK thresholds, smallest score of confident keypoints, number of resamplings.
        split: what the images are called in the result.
        seed: of the bootstrap; the same seed gives the same intervals.
        unique: whether the model finds the keypoints that exist once an image. Those of a model that has no
            head for them are in no metric, and a note says so.

    Raises:
        ConfigError: a sigma names no keypoint, or a keypoint has none.
        DataError: there is no image, or a prediction has another number of keypoints than the skeleton.
    """
    if not pairs:
        raise DataError(f"the {split} split has no images: nothing to evaluate")
    # Before anything is matched: a wrong name should not cost the time of a whole evaluation.
    sigmas = resolve_sigmas(spec.sigmas, skeleton)
    _check(pairs, skeleton)
    notes = []
    if skeleton.unique_keypoints and not unique:
        names = ", ".join(skeleton.unique_keypoints)
        notes.append(
            f"the model has no head for keypoints that exist once an image: {names} are in no metric"
        )
        # Left out, not counted as missing: the model was never asked for them.
        skeleton = replace(skeleton, unique_keypoints=())
    own, matches = match_pairs(pairs, skeleton)
    errors = keypoint_errors(pairs, matches, skeleton)
    if skeleton.landmarks:
        notes.append(_describe_landmarks(errors, skeleton))
    task = coco_task(own, matches, skeleton)
    bootstrap = Bootstrap(len(pairs), spec.bootstrap, seed)
    thresholds = tuple(dict.fromkeys(spec.pck))
    failed = [labels.name for labels, found in pairs if found.missing is not None]
    if failed:
        notes.append(f"no prediction of {len(failed)} images, the first is {failed[0]}")
    result = EvaluationResult(
        split=split,
        counts=Counts(
            images=len(pairs),
            failed=len(failed),
            animals=sum(len(m.labelled) + len(m.missed) for m in matches),
            matched=sum(len(m.labelled) for m in matches),
            missed=sum(len(m.missed) for m in matches),
            predicted=sum(len(m.predicted) + len(m.false) + len(m.ignored) for m in matches),
            false_positives=sum(len(m.false) for m in matches),
            ignored=sum(len(m.ignored) for m in matches),
            keypoints=len(errors),
            missing=int((~errors.predicted).sum()),
        ),
        error=compute_error_metrics(errors, bootstrap),
        pck=compute_pck(errors, thresholds, bootstrap),
        keypoints=per_keypoint(errors, thresholds, bootstrap),
        confident=compute_confident_metrics(errors, spec.threshold, bootstrap),
        oks=compute_oks_metrics(task, errors, sigmas, bootstrap),
        resamplings=spec.bootstrap,
        seed=seed,
        notes=tuple(notes),
        identity=compute_identity_metrics(pairs, matches, skeleton, bootstrap),
        tracks=compute_track_metrics(own, skeleton),
    )
    return Measured(result, errors, matches, task)


def _describe_landmarks(errors: KeypointErrors, skeleton: Skeleton) -> str:
    """Say which metrics landmarks are in, and their error, which would be lost in that of the animals."""
    own = np.isin(errors.keypoint, [skeleton.keypoints.index(name) for name in skeleton.landmarks or ()])
    found = errors.distance[own & errors.predicted]
    median = f", median error {np.median(found):.2f} px" if len(found) else ""
    names = ", ".join(skeleton.landmarks or ())
    return (
        f"landmarks of the frame ({names}{median}) are in the pixel errors, not in PCK and average precision"
    )


def _check(pairs: Sequence[Pair], skeleton: Skeleton) -> None:
    expected = skeleton.num_keypoints
    for labels, found in pairs:
        for what, instances in (("the labels", labels.instances), ("the predictions", found.instances)):
            if instances.keypoints.shape[1] != expected:
                raise DataError(
                    f"{labels.name}: {what} have {instances.keypoints.shape[1]} keypoints, the skeleton has "
                    f"{expected}"
                )
