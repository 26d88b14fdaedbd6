"""How well a detector finds the animals of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster

from pose_core.data.boxes import animal_boxes
from pose_core.data.dataset import DetectorSamples, collate
from pose_core.data.geometry import invert, transform_points
from pose_core.evaluation.coco import silent
from pose_core.evaluation.run import split_images
from pose_core.model.device import choose_device
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec
from pose_core.structures import FloatArray


@dataclass(frozen=True)
class DetectorResult:
    """Metrics of the boxes of one split.

    Attributes:
        split: its name.
        images: how many.
        animals: labelled boxes.
        boxes: boxes found.
        ap, ap50, ap75, ar: COCO's metrics for boxes (Lin et al., 2014), in [0, 1]; None without labelled boxes.
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


def evaluate_detector(
    run: Run[DetectorRunSpec],
    split: str = "test",
    data: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
) -> DetectorResult:
    """Find boxes in the images of a split and compare them with the labelled ones (those it was taught).

    The metrics go into the run's ``metrics.json`` under the name of the split.

    Args:
        run: of the detector.
        split, data, device: as of :func:`pose_core.evaluation.run.evaluate_run`.
        batch_size: images a batch; that of training by default.

    Raises:
        RunError, DataError, ConfigError: see there.
    """
    chosen = choose_device(device)
    images = split_images(run, split, data)
    least = run.spec.decided_min_box()
    found = _find(run, images.dataset, images.rows, least, chosen, batch_size or run.spec.train.batch_size)
    truth = [animal_boxes(images.dataset.images[row], least) for row in images.rows]
    truth = [boxes[np.isfinite(boxes).all(axis=1)] for boxes in truth]
    ignored = [images.dataset.images[row].ignore for row in images.rows]
    metrics = compute_box_metrics(truth, found, ignored)
    result = DetectorResult(
        split=split,
        images=len(images.rows),
        animals=sum(map(len, truth)),
        boxes=sum(len(scores) for _, scores in found),
        **dict(zip(("ap", "ap50", "ap75", "ar"), metrics, strict=True)),
        reason=None if metrics[0] is not None else f"no animal of the {split} split has a box",
        notes=images.notes,
    )
    run.update_metrics(**{split: result.to_json()})
    return result


def _find(
    run: Run[DetectorRunSpec], dataset: Any, rows: Sequence[int], least: float, device: torch.device, batch_size: int
) -> list[tuple[FloatArray, FloatArray]]:
    """Boxes (N, 4) in pixels of the image files, and their scores (N,), for each image."""
    model = run.load_model(device)
    samples = DetectorSamples(dataset, rows, run.spec.network, least, None, 0, 0)
    # Images of different sizes are shown at different sizes where the detector takes any: one by one then.
    step = batch_size if run.spec.network.size is not None else 1
    found: list[tuple[FloatArray, FloatArray]] = []
    for start in range(0, len(samples), step):
        batch = collate([samples[i] for i in range(start, min(start + step, len(samples)))])
        boxes, scores = (part.cpu().numpy() for part in model.predict(batch.images.to(device)))
        for number in range(len(boxes)):
            known = np.isfinite(boxes[number]).all(axis=1)
            corners = boxes[number][known].reshape(-1, 2, 2)
            moved = transform_points(corners, invert(batch.matrices[number].numpy())).reshape(-1, 4)
            excess = run.spec.network.excess
            found.append((moved + np.array([excess, excess, -excess, -excess], np.float32), scores[number][known]))
    return found


def compute_box_metrics(
    truth: Sequence[FloatArray], found: Sequence[tuple[FloatArray, FloatArray]], ignored: Sequence[FloatArray]
) -> tuple[float | None, float | None, float | None, float | None]:
    """COCO's AP, AP50, AP75 and AR of boxes of all sizes.

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
    return float(precision.mean()), float(precision[0].mean()), float(precision[5].mean()), float(recall.mean())


def _xywh(box: FloatArray) -> list[float]:
    x1, y1, x2, y2 = box.astype(np.float64)
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def _area(box: FloatArray) -> float:
    x1, y1, x2, y2 = box.astype(np.float64)
    return float((x2 - x1) * (y2 - y1))
