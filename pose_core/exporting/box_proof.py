"""Prove an exported detector: run it on images, and compare boxes with those of the network itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_core.errors import PluginError
from pose_core.exporting.proof import LIMIT, SCORE_LIMIT, batch_views
from pose_core.exporting.views import SeenView
from pose_core.interfaces import points_through
from pose_core.interfaces.exporter import RunFile
from pose_core.model.exported_detector import ExportedDetector


@dataclass
class BoxProof:
    """How far the boxes of a file are from those of the network.

    Attributes:
        views: pictures that were computed.
        batches: numbers of pictures that were computed together.
        left_out: names of images whose size the file does not take.
        differences: for each box the largest difference of a side, pixels of the image.
        largest_score: difference of scores.
    """

    views: int = 0
    batches: set[int] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    largest_score: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Make what ``proof.json`` holds."""
        return {
            "unit": "pixels of the image",
            "limit": LIMIT,
            "largest": max(self.differences, default=0.0),
            "largest_score_difference": self.largest_score,
            "pictures": self.views,
            "batches": sorted(self.batches),
            "left_out": self.left_out,
            "boxes": {
                "compared": len(self.differences),
                "mean": float(np.mean(self.differences)) if self.differences else None,
                "largest": max(self.differences, default=None),
            },
        }


def prove_boxes(
    network: ExportedDetector, run_file: RunFile, views: Iterable[SeenView], what: str
) -> BoxProof:
    """Find boxes in views by a file and by the detector, and compare them.

    Args:
        network: itself.
        run_file: computes the file.
        views: of images; those of the first one's size are compared, which the file takes.
        what: the file, for messages.

    Raises:
        PluginError: a box or its score differs by more than it may, or is found by one of them only.
    """
    proof = BoxProof()
    size: tuple[int, ...] | None = None
    for batch in batch_views(views):
        size = size or batch[0].picture.shape
        if batch[0].picture.shape != size:
            proof.left_out += [view.name for view in batch]
            continue
        pixels = torch.stack([torch.from_numpy(view.picture) for view in batch])
        found, wanted = run_file([pixels]), network.model.predict(pixels.permute(0, 3, 1, 2))
        proof.views += len(batch)
        proof.batches.add(len(batch))
        for row, view in enumerate(batch):
            ours, theirs = (_join(boxes[row], scores[row]) for boxes, scores in (found, wanted))
            _compare(proof, ours, theirs, view, network.model.config.threshold, what)
    return proof


def find_boxes(network: ExportedDetector, view: SeenView) -> Tensor:
    """Find the boxes (N, 5) of a view by the detector itself, in pixels of the picture; the fifth is the score."""
    boxes, scores = network.model.predict(torch.from_numpy(view.picture)[None].permute(0, 3, 1, 2))
    return _join(boxes[0], scores[0])


def move_boxes(found: Tensor, view: SeenView) -> Tensor:
    """Move boxes (N, 5) from the picture to the image: (N, 4)."""
    return points_through(found[None, :, :4].reshape(1, -1, 2, 2), view.to_frame).reshape(-1, 4)


def _join(boxes: Tensor, scores: Tensor) -> Tensor:
    return torch.cat([boxes, scores[:, None]], 1)[scores > 0]


def _compare(
    proof: BoxProof, found: Tensor, wanted: Tensor, view: SeenView, threshold: float, what: str
) -> None:
    off = (move_boxes(found, view)[:, None] - move_boxes(wanted, view)[None]).abs().amax(2)
    # Of boxes at one place, those of one score belong together.
    cost = off + (found[:, None, 4] - wanted[None, :, 4]).abs()
    rows, columns = linear_sum_assignment(cost.nan_to_num(torch.inf).numpy()) if off.numel() else ([], [])
    for row, column in zip(rows, columns, strict=True):
        distance, score = float(off[row, column]), abs(float(found[row, 4] - wanted[column, 4]))
        if _is_in_doubt([found[row], wanted[column]], threshold) and not distance <= LIMIT:
            continue
        if not distance <= LIMIT or not score <= SCORE_LIMIT:
            raise PluginError(
                f"{what}: a box in {view.name} is {distance:.3g} px from where the network finds it, its score off by "
                f"{score:.2g}; {LIMIT} px and {SCORE_LIMIT} may be; nothing was exported"
            )
        proof.differences.append(distance)
        proof.largest_score = max(proof.largest_score, score)
    alone = [box for i, box in enumerate(found) if i not in set(rows)]
    alone += [box for i, box in enumerate(wanted) if i not in set(columns)]
    if not _is_in_doubt(alone, threshold):
        raise PluginError(
            f"{what}: finds {len(found)} boxes in {view.name}, and the network {len(wanted)}; nothing was exported"
        )


def _is_in_doubt(boxes: Sequence[Tensor], threshold: float) -> bool:
    """Whether all boxes are as near the threshold as scores may differ: either answer is right."""
    return all(abs(float(box[4]) - threshold) <= SCORE_LIMIT for box in boxes)
