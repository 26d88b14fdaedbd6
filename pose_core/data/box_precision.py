"""Compute the average precision of boxes, as COCO does.

Lin et al., 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from pose_core.data.average_precision import silent
from pose_core.structures import FloatArray


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
