"""Compute precision and recall by object keypoint similarity, in COCO's terms.

Lin et al., 2014.
The evaluation is faster-coco-eval's, whose results are those of pycocotools to the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

from pose_core.data.matching import Matches, Pair, match_pairs
from pose_core.structures import Frame, LabelledImage, Skeleton, present_keypoints

Floats = npt.NDArray[np.float64]

OKS_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)

LARGEST_NUMBER = 20
"""COCO counts at most this many predictions an image, those with the highest scores."""

# Where a missing keypoint is put: so far away that its similarity is exactly 0 for every animal that COCO
# accepts.
_NOWHERE = 1e9


@dataclass(frozen=True, eq=False)
class CocoTask:
    """Labels and predictions to be compared.

    Attributes:
        truth: ``images``, ``annotations`` and ``categories`` as in COCO's files.
        results: one entry for each prediction.
        animals: (I,) labelled animals that count, for each image.
        areas: their areas in square pixels, in order.
        notes: what was left out or taken from elsewhere.
    """

    truth: dict[str, Any]
    results: list[dict[str, Any]]
    animals: npt.NDArray[np.int64]
    areas: Floats
    notes: tuple[str, ...]


def coco_task(
    pairs: Sequence[tuple[LabelledImage, Frame]], matches: Sequence[Matches], skeleton: Skeleton
) -> CocoTask:
    """Convert labels and predictions to COCO's terms.

    The area of an animal is the label's own, else that of its box (:meth:`Instances.animal_boxes`). An animal
    of area 0 (a single labelled keypoint and no box) has no OKS: it is left out together with the prediction
    assigned to it. Regions to ignore become crowds; animals without a labelled keypoint are ignored as in
    COCO. A keypoint that is missing in a prediction has similarity 0. Keypoints that exist once an image do
    not take part.

    Args:
        pairs: labels and predictions of each image.
        matches: the pixel assignment, for predictions of animals that are left out.
        skeleton: of the project.
    """
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    animals: list[int] = []
    areas: list[Floats] = [np.zeros(0)]
    from_boxes = unmeasurable = crowded = 0
    for at, ((labels, found), match) in enumerate(zip(pairs, matches, strict=True)):
        labelled = labels.instances.has_keypoint
        own, area = labels.areas, animal_areas(labels)
        counts, without = labelled & (area > 0), labelled & ~(area > 0)
        animals.append(int(counts.sum()))
        areas.append(area[counts])
        from_boxes += int((counts & np.isnan(own)).sum())
        unmeasurable += int(without.sum())
        annotations.extend(_make_annotations(at + 1, labels, area, counts | ~labelled))
        # With an animal that is left out goes its prediction, which would count as a false positive.
        left_out = match.predicted[without[match.labelled]]
        rows = np.setdiff1d(np.flatnonzero(found.instances.has_keypoint), left_out)
        rows = rows[np.argsort(-found.instances.scores[rows], kind="stable")]
        crowded += int(len(rows) > LARGEST_NUMBER)
        results.extend(_make_results(at + 1, found, rows[:LARGEST_NUMBER]))
    # From 1: COCO's code takes a match with number 0 for no match.
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    notes = []
    if from_boxes:
        notes.append(
            f"OKS takes the area of {from_boxes} of {sum(animals)} animals from their box: the labels have "
            "none"
        )
    if unmeasurable:
        notes.append(
            f"OKS leaves out {unmeasurable} animals of area 0 (one labelled keypoint, or all in one line)"
        )
    if crowded:
        notes.append(
            f"OKS counts only the best {LARGEST_NUMBER} predictions of {crowded} images, as COCO does"
        )
    images = [
        {"id": at + 1, "width": labels.width, "height": labels.height} for at, (labels, _) in enumerate(pairs)
    ]
    category = {"id": 1, "name": "animal", "keypoints": list(skeleton.keypoints)}
    return CocoTask(
        truth={"info": {}, "images": images, "annotations": annotations, "categories": [category]},
        results=results,
        animals=np.array(animals, np.int64),
        areas=np.concatenate(areas).astype(np.float64),
        notes=tuple(notes),
    )


def animal_areas(labels: LabelledImage) -> Floats:
    """Compute the area of each labelled animal, (N,) square pixels.

    It is the label's own, else that of its box; NaN without either.
    """
    boxes = labels.instances.animal_boxes().astype(np.float64)
    own = labels.areas.astype(np.float64)
    return np.where(np.isnan(own), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), own)


def average_precision(pairs: Sequence[Pair], skeleton: Skeleton, sigmas: Sequence[float]) -> float | None:
    """Compute AP, the mean precision over all recalls and OKS thresholds.

    Args:
        pairs: labels and prediction of each image, both in pixels of the original image. Of predictions with equal
            scores the first one counts first, so the order of images may matter.
        skeleton: of both.
        sigmas: (K,) all above 0.

    Returns:
        in [0, 1]; None without a labelled animal with an area above 0.
    """
    task = coco_task(*match_pairs(pairs, skeleton), skeleton)
    if not len(task.areas):
        return None
    return float(precision_recall(task, sigmas, OKS_THRESHOLDS)[0].mean())


def precision_recall(
    task: CocoTask, sigmas: Sequence[float], thresholds: Floats
) -> tuple[Floats, Floats, dict[str, float]]:
    """Compute COCO's curves over animals of all sizes.

    Args:
        task: with at least one animal.
        sigmas: (K,) all above 0.
        thresholds: (T,) smallest OKS of a match.

    Returns:
        interpolated precision at 101 recalls (T, 101), largest recall (T,), and the OKS of the pairs
        ``"result_annotation"`` that are matched at any of the thresholds.
    """
    truth = COCO(task.truth, use_deepcopy=True, print_function=silent)
    evaluation = COCOeval_faster(
        truth,
        truth.loadRes(task.results),
        iouType="keypoints",
        kpt_oks_sigmas=list(sigmas),
        print_function=silent,
    )
    evaluation.params.iouThrs = thresholds
    # One range for all: COCO's small, medium and large are meant for photographs of everyday scenes.
    evaluation.params.areaRng = [[0**2, 1e5**2]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], np.float64)[:, :, 0, 0, 0]
    recall = np.asarray(evaluation.eval["recall"], np.float64)[:, 0, 0, 0]
    return precision, recall, evaluation.eval["matched"]


def _make_annotations(
    image: int, labels: LabelledImage, areas: Floats, rows: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Make annotations of the chosen animals and the regions to ignore."""
    boxes = labels.instances.animal_boxes().astype(np.float64)
    points = labels.instances.keypoints.astype(np.float64)
    annotations = [
        _make_annotation(image, points[row], boxes[row], areas[row])
        for row in np.flatnonzero(rows & np.isfinite(boxes).all(axis=1))
    ]
    nothing = np.full(points.shape[1:], np.nan)
    for box in labels.ignore.astype(np.float64):
        area = float((box[2:] - box[:2]).prod())
        # A crowd may take any number of predictions, and none of them counts.
        annotations.append({**_make_annotation(image, nothing, box, area), "iscrowd": 1})
    return annotations


def _make_annotation(image: int, keypoints: Floats, box: Floats, area: float) -> dict[str, Any]:
    labelled = present_keypoints(keypoints)
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": _flatten(np.where(labelled[:, None], keypoints, 0.0), labelled),
        "num_keypoints": int(labelled.sum()),
        "area": float(area),
        "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
        "iscrowd": 0,
    }


def _make_results(image: int, found: Frame, rows: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    points = found.instances.keypoints.astype(np.float64)
    there = present_keypoints(points)
    results = []
    for row in rows:
        low, high = points[row][there[row]].min(axis=0), points[row][there[row]].max(axis=0)
        results.append(
            {
                "image_id": image,
                "category_id": 1,
                "keypoints": _flatten(np.where(there[row, :, None], points[row], _NOWHERE), there[row]),
                "score": float(found.instances.scores[row]),
                "bbox": [*low.tolist(), *(high - low).tolist()],
            }
        )
    return results


def _flatten(keypoints: Floats, visible: npt.NDArray[np.bool_]) -> list[float]:
    """Flatten to x, y, visibility of each keypoint: COCO's layout."""
    # Visibility is 2 for a labelled keypoint and 0 for none.
    flat: list[float] = np.column_stack([keypoints, 2.0 * visible]).ravel().tolist()
    return flat


def silent(*_: object) -> None:
    """Take what the library would print."""
