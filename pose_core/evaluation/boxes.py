"""Measure how well a detector finds the animals of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pose_core.data.box_precision import compute_box_metrics
from pose_core.data.boxes import CropRule
from pose_core.structures import Frame, LabelledImage


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
