"""Compute average precision by object keypoint similarity, with intervals.

Intervals resample images. Which prediction matches which animal at which OKS does not depend on the sample,
so COCO's code matches once for each threshold and only the precision-recall curve is made anew for every
resampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pose_core.data.average_precision import OKS_THRESHOLDS, CocoTask, precision_recall
from pose_core.evaluation.bootstrap import Bootstrap, Floats, interval
from pose_core.evaluation.explain import why_ap_is_low
from pose_core.evaluation.pixel import KeypointErrors
from pose_core.evaluation.results import Estimate, OksMetrics

RECALLS: Floats = np.linspace(0.0, 1.0, 101)


def compute_oks_metrics(
    task: CocoTask, errors: KeypointErrors, sigmas: Mapping[str, float], bootstrap: Bootstrap
) -> OksMetrics:
    """Compute AP, AP50, AP75 and AR with intervals, and explain a low AP50.

    Args:
        task: labels and predictions.
        errors: pixel errors, for the explanation.
        sigmas: by keypoint name, as :func:`pose_core.data.sigmas.resolve_sigmas` returns them.
        bootstrap: over the same images.
    """
    reason = None
    if not len(task.areas):
        reason = "no labelled animal with an area above 0"
    elif zero := [name for name, sigma in sigmas.items() if sigma == 0]:
        reason = f"the OKS sigma of {', '.join(zero)} is 0; it must be above 0"
    if reason is not None:
        undefined = Estimate.undefined(reason)
        return OksMetrics(undefined, undefined, undefined, undefined, dict(sigmas), None, task.notes)
    values = tuple(sigmas.values())
    precision, recall, _ = precision_recall(task, values, OKS_THRESHOLDS)
    ap50 = float(precision[0].mean())
    metrics = {
        "ap": float(precision.mean()),
        "ap50": ap50,
        # Thresholds go from 0.5 in steps of 0.05, so the sixth is 0.75.
        "ap75": float(precision[5].mean()),
        "ar": float(recall.mean()),
    }
    without = bootstrap.undefined
    resampled = {} if without else resample_precision(task, values, bootstrap)
    intervals = {name: None if without else interval(resampled[name]) for name in metrics}
    return OksMetrics(
        **{name: Estimate(value, intervals[name], without) for name, value in metrics.items()},
        sigmas=dict(sigmas),
        why=why_ap_is_low(
            ap50, predictions=len(task.results), areas=task.areas, sigmas=values, errors=errors
        ),
        notes=task.notes,
    )


def resample_precision(task: CocoTask, sigmas: Sequence[float], bootstrap: Bootstrap) -> dict[str, Floats]:
    """Compute AP, AP50, AP75 and AR of every resampling, (R,) each.

    NaN where a resampling holds no animal.
    """
    scores = np.array([r["score"] for r in task.results], np.float64)
    image = np.array([r["image_id"] - 1 for r in task.results], np.int64)
    # Stable, as in COCO's code: predictions of equal score keep their order.
    order = np.argsort(-scores, kind="stable")
    counted = {a["id"]: not a["iscrowd"] and a["num_keypoints"] > 0 for a in task.truth["annotations"]}
    correct = np.zeros((len(OKS_THRESHOLDS), len(scores)), bool)
    wrong = np.ones_like(correct)
    for t in range(len(OKS_THRESHOLDS)):
        for pair in precision_recall(task, sigmas, OKS_THRESHOLDS[t : t + 1])[2]:
            result, annotation = (int(part) for part in pair.split("_"))
            wrong[t, result - 1] = False
            correct[t, result - 1] = counted[annotation]
    precision, recall = resampled_curves(
        correct[:, order], wrong[:, order], image[order], task.animals, bootstrap.counts
    )
    return {
        "ap": precision.mean(axis=0),
        "ap50": precision[0],
        "ap75": precision[5],
        "ar": recall.mean(axis=0),
    }


def resampled_curves(
    correct: npt.NDArray[np.bool_],
    wrong: npt.NDArray[np.bool_],
    image: npt.NDArray[np.int64],
    animals: npt.NDArray[np.int64],
    counts: npt.NDArray[np.uint16],
) -> tuple[Floats, Floats]:
    """Compute COCO's average precision and recall of resamplings.

    A prediction whose image was drawn n times stands n times in the list; the interpolated curve needs only
    the last of them, because repeated correct predictions raise the precision and repeated false ones lower
    it.

    Args:
        correct, wrong: (T, D), whether a prediction is a true or a false positive at each threshold (neither
            where it is ignored); predictions from the highest score to the lowest.
        image: (D,) image of each prediction.
        animals: (I,) labelled animals of each image.
        counts: (R, I) how often each image was drawn.

    Returns:
        precision (T, R) averaged over 101 recalls, and recall (T, R); NaN where a resampling holds no animal.
    """
    precision = np.zeros((len(correct), len(counts)))
    recall = np.zeros_like(precision)
    for r, drawn in enumerate(counts.astype(np.float64) if len(image) else ()):
        # Drawn without any labelled animal: no curve; NaN is filled in at the end.
        if not (total := float(drawn @ animals)):
            continue
        weight = drawn[image]
        right = np.cumsum(correct * weight, axis=1)
        false = np.cumsum(wrong * weight, axis=1)
        reached = right / total
        # np.spacing(1) avoids 0 / 0 at the first predictions, as in COCO's code.
        curve = np.maximum.accumulate((right / (right + false + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
        # One more column, 0: the precision at recalls that are not reached.
        curve = np.concatenate([curve, np.zeros((len(curve), 1))], axis=1)
        recall[:, r] = reached[:, -1]
        for t in range(len(correct)):
            precision[t, r] = curve[t, np.searchsorted(reached[t], RECALLS, side="left")].mean()
    empty = counts @ animals == 0
    precision[:, empty] = recall[:, empty] = np.nan
    return precision, recall
