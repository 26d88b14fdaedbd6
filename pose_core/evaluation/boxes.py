"""Measure how well a detector finds the animals of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from pose_core.data.boxes import CropRule
from pose_core.evaluation.coco import silent
from pose_core.structures import FloatArray, Frame, LabelledImage


@dataclass(frozen=True)
class DetectorResult:
    """Metrics of the boxes of one split.

    Attributes:
        split: its name.
        images: how many.
        animals: labelled boxes.
        boxes: boxes found.
        ap, ap50, ap75, ar: COCO's metrics for boxes (Lin et al., 2014), in [0, 1]; None without labelled
            boxes.
        reason: why they are None.
        notes: what a reader of the metrics should know.
    """

    split: str
    images: int
    animals: int
    boxes: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None
    reason: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "notes": list(self.notes)}


def measure_boxes(
    split: str,
    labels: Sequence[LabelledImage],
    frames: Sequence[Frame],
    rule: CropRule,
    notes: Sequence[str] = (),
) -> DetectorResult:
    """Compare boxes with the labelled ones that a detector was taught.

    Args:
        split: its name.
        labels: the labelled images.
        frames: what was found in each.
        rule: makes the boxes of labels, as the detector learned them.
        notes: what a reader of the metrics should know.
    """
    truth = [rule.around_labels(record) for record in labels]
    truth = [boxes[np.isfinite(boxes).all(axis=1)] for boxes in truth]
    found = [(frame.instances.boxes, frame.instances.scores) for frame in frames]
    metrics = compute_box_metrics(truth, found, [record.ignore for record in labels])
    return DetectorResult(
        split=split,
        images=len(labels),
        animals=sum(map(len, truth)),
        boxes=sum(len(scores) for _, scores in found),
        **dict(zip(("ap", "ap50", "ap75", "ar"), metrics, strict=True)),
        reason=None if metrics[0] is not None else f"no animal of the {split} split has a box",
        notes=tuple(notes),
    )


def compute_box_metrics(
    truth: Sequence[FloatArray], found: Sequence[tuple[FloatArray, FloatArray]], ignored: Sequence[FloatArray]
) -> tuple[float | None, float | None, float | None, float | None]:
    """Compute COCO's AP, AP50, AP75 and AR of boxes of all sizes.

    Args:
        truth: labelled boxes (N, 4) of each image.
        found: boxes (M, 4) and scores (M,) of each image.
        ignored: boxes (R, 4) of regions that do not count, of each image.
    """
    if not sum(map(len, truth)):
        return None, None, None, None
    annotations = [
        {"image_id": at + 1, "category_id": 1, "bbox": _xywh(box), "area": _area(box), "iscrowd": crowd}
        for at, (boxes, regions) in enumerate(zip(truth, ignored, strict=True))
        for crowd, group in ((0, boxes), (1, regions))
        for box in group
    ]
    content = {
        "info": {},
        "images": [{"id": at + 1} for at in range(len(truth))],
        "annotations": [{**annotation, "id": number + 1} for number, annotation in enumerate(annotations)],
        "categories": [{"id": 1, "name": "animal"}],
    }
    results = [
        {"image_id": at + 1, "category_id": 1, "bbox": _xywh(box), "score": float(score)}
        for at, (boxes, scores) in enumerate(found)
        for box, score in zip(boxes, scores, strict=True)
    ]
    # The library cannot load an empty list; nothing found is 0 by definition.
    if not results:
        return 0.0, 0.0, 0.0, 0.0
    reference = COCO(content, use_deepcopy=True, print_function=silent)
    evaluation = COCOeval_faster(reference, reference.loadRes(results), iouType="bbox", print_function=silent)
    evaluation.params.areaRng = [[0**2, 1e5**2]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], np.float64)[:, :, 0, 0, -1]
    recall = np.asarray(evaluation.eval["recall"], np.float64)[:, 0, 0, -1]
    return (
        float(precision.mean()),
        float(precision[0].mean()),
        float(precision[5].mean()),
        float(recall.mean()),
    )


def _xywh(box: FloatArray) -> list[float]:
    x1, y1, x2, y2 = box.astype(np.float64)
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def _area(box: FloatArray) -> float:
    x1, y1, x2, y2 = box.astype(np.float64)
    return float((x2 - x1) * (y2 - y1))
