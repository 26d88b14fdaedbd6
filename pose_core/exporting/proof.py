"""Prove an exported network: run it on images, and compare keypoints with those of the network itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_core.errors import PluginError
from pose_core.exporting.views import SeenView
from pose_core.interfaces import Predictions
from pose_core.interfaces.exporter import RunFile
from pose_core.interfaces.thresholds import Thresholds
from pose_core.model.exported import ExportedNetwork
from pose_core.structures import FloatArray

LIMIT = 0.05
"""Pixels of the image by which a keypoint may differ in float32."""

SCORE_LIMIT = 1e-3
"""By which a score may differ; and how near the threshold a keypoint may be shown by one and hidden by the other."""

_BATCH = 3

_SMALLEST = 64
"""Side of the smallest images that are tried, pixels."""

_SCORES = {"keypoints": "keypoint_scores", "unique_keypoints": "unique_scores"}
"""Names of outputs that are places, and of their scores."""

_PROBE = 1e-4
"""By which outputs of another size may differ, as a fraction of the largest value; float32 is at 1e-6."""


@dataclass
class Proof:
    """How far what a file computes is from the network.

    Attributes:
        names: of the keypoints, unique ones last.
        views: pictures that were computed.
        batches: numbers of pictures that were computed together.
        left_out: names of images whose size the file does not take.
        differences: for each keypoint the distances, pixels of the image.
        largest_score: difference of scores.
    """

    names: tuple[str, ...]
    views: int = 0
    batches: set[int] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    differences: dict[str, list[float]] = field(default_factory=dict)
    largest_score: float = 0.0

    @property
    def largest(self) -> float:
        """The largest distance of all keypoints, pixels of the image; 0 where none was found."""
        return max((max(values, default=0.0) for values in self.differences.values()), default=0.0)

    @property
    def compared(self) -> int:
        """How many keypoints were found, and compared."""
        return sum(map(len, self.differences.values()))

    def to_json(self) -> dict[str, Any]:
        """Make what ``proof.json`` holds."""
        return {
            "unit": "pixels of the image",
            "limit": LIMIT,
            "largest": self.largest,
            "largest_score_difference": self.largest_score,
            "pictures": self.views,
            "batches": sorted(self.batches),
            "left_out": self.left_out,
            "keypoints": {
                name: {
                    "compared": len(values := self.differences.get(name, [])),
                    "mean": float(np.mean(values)) if values else None,
                    "largest": max(values, default=None),
                }
                for name in self.names
            },
        }


def prove(
    network: ExportedNetwork,
    run_file: RunFile,
    views: Iterable[SeenView],
    thresholds: Thresholds,
    size: tuple[int, int] | None,
    what: str,
) -> Proof:
    """Compute views by a file and by the network, and compare.

    Views are computed one by one and three at once, so that the file meets several sizes of batch.

    Args:
        network: itself.
        run_file: computes the file.
        views: of images.
        thresholds: keypoints with lower scores are reported by nobody, and are not compared.
        size: (height, width) that the file takes; None: any.
        what: the file, for messages.

    Raises:
        PluginError: a keypoint or a score differs by more than it may, or is found by one of them only.
    """
    skeleton = network.model.skeleton
    proof = Proof((*skeleton.keypoints, *skeleton.unique_keypoints))
    for batch in batch_views(views):
        taken = [view for view in batch if size in (None, view.picture.shape[:2])]
        proof.left_out += [view.name for view in batch if view not in taken]
        if not taken:
            continue
        tensors = [torch.cat(each) for each in zip(*(view.tensors(network) for view in taken), strict=True)]
        found = network.to_predictions(run_file(tensors))
        wanted = predict_itself(network, tensors)
        proof.views += len(taken)
        proof.batches.add(len(taken))
        for row, view in enumerate(taken):
            _compare(proof, found[row : row + 1], wanted[row : row + 1], view, thresholds, what)
    return proof


def takes_any_size(network: ExportedNetwork, run_file: RunFile, height: int, width: int) -> bool:
    """Tell whether a file that was written with images of one size computes the network for others, too.

    Steps of a network may depend on the size (windows that are larger than a map, for example); a file holds those of
    one, and another size then gives other numbers, or none.

    Args:
        network: itself.
        run_file: computes the file.
        height, width: of the images that it was written with.
    """
    multiple = network.model.size_multiple
    half = [side // (2 * multiple) * multiple for side in (height, width)]
    # Of images that no animal fits into, maps are smaller than the neighbourhood of a peak.
    sizes = [(height + multiple, width + 2 * multiple), (2 * height, 2 * width)]
    sizes += [(half[0], half[1])] if min(half) >= _SMALLEST else []
    for high, wide in sizes:
        tensors = network.make_example(high, wide, images=1)
        try:
            found = run_file(tensors)
        # Whatever an engine raises where shapes do not fit.
        except Exception:
            return False
        with torch.inference_mode():
            wanted = network(*tensors)
        if len(found) != len(wanted) or differ_in_outputs(network.outputs, found, wanted):
            return False
    return True


def differ_in_outputs(names: Sequence[str], found: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Tell whether outputs are other ones, for random pixels.

    Maps of these have maxima that are nearly as high elsewhere: of keypoints with a score the median counts.

    Args:
        names: of the outputs.
        found, wanted: by the file, and by the network.
    """
    named = dict(zip(names, wanted, strict=True))
    for name, one, other in zip(names, found, wanted, strict=True):
        if one.shape != other.shape:
            return True
        off = (one - other).nan_to_num().abs()
        if name in _SCORES:
            # A keypoint without a score has no place: its map is as high everywhere.
            off = off[named[_SCORES[name]] > SCORE_LIMIT]
            if off.numel() and bool(off.median() > LIMIT):
                return True
        elif off.numel() and bool(off.max() > _PROBE * other.nan_to_num().abs().max().clamp(min=1e-6)):
            return True
    return False


def predict_itself(network: ExportedNetwork, tensors: Sequence[Tensor]) -> Predictions:
    """Predict by the network of the run, in pixels of its input, as ``pose predict`` does."""
    model = network.model
    initial = None
    if len(tensors) > 1:
        initial = Predictions.none(len(tensors[0]), model.skeleton).with_animals(tensors[1], tensors[2])
    return model.predict(tensors[0].permute(0, 3, 1, 2), initial)


def batch_views(views: Iterable[SeenView]) -> Iterable[list[SeenView]]:
    """Put views of one size together: the first alone, then three at once."""
    waiting: dict[tuple[int, ...], list[SeenView]] = {}
    for number, view in enumerate(views):
        if not number:
            yield [view]
            continue
        same = waiting.setdefault(view.picture.shape, [])
        same.append(view)
        if len(same) == _BATCH:
            yield waiting.pop(view.picture.shape)
    yield from waiting.values()


def to_animals(found: Predictions, view: SeenView) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Animals of one picture in pixels of the image: keypoints (N, K, 2), their scores (N, K), and scores (N,)."""
    moved = found.through(view.to_frame)
    there = moved.scores[0] > 0
    return (
        moved.keypoints[0][there].numpy(),
        moved.keypoint_scores[0][there].numpy(),
        moved.scores[0][there].numpy(),
    )


def to_unique(found: Predictions, view: SeenView) -> tuple[FloatArray, FloatArray]:
    """Unique keypoints of one picture in pixels of the image: (U, 2), and scores (U,)."""
    moved = found.through(view.to_frame)
    return moved.unique_keypoints[0].numpy(), moved.unique_scores[0].numpy()


def _compare(
    proof: Proof, found: Predictions, wanted: Predictions, view: SeenView, thresholds: Thresholds, what: str
) -> None:
    (points, scores, totals), (true, true_scores, true_totals) = (
        to_animals(each, view) for each in (found, wanted)
    )
    if len(points) != len(true):
        raise PluginError(
            f"{what}: finds {len(points)} animals in {view.name}, and the network {len(true)}; nothing was exported"
        )
    names = proof.names[: points.shape[1]]
    if len(points):
        # Animals of equal score may change places.
        far = np.nan_to_num(np.abs(points[:, None] - true[None])).sum((2, 3))
        rows, columns = linear_sum_assignment(far)
        proof.largest_score = max(
            proof.largest_score, float(np.abs(totals[rows] - true_totals[columns]).max())
        )
        for row, column in zip(rows, columns, strict=True):
            _compare_points(
                proof, names, points[row], scores[row], true[column], true_scores[column], thresholds.keypoints,
                view, what,
            )  # fmt: skip
    _compare_points(
        proof, proof.names[len(names) :], *to_unique(found, view), *to_unique(wanted, view), thresholds.unique,
        view, what,
    )  # fmt: skip


def _compare_points(
    proof: Proof,
    names: Sequence[str],
    points: FloatArray,
    scores: FloatArray,
    true: FloatArray,
    true_scores: FloatArray,
    threshold: FloatArray,
    view: SeenView,
    what: str,
) -> None:
    for k, name in enumerate(names):
        shown, should = (
            bool(np.isfinite(place[k]).all() and score[k] >= threshold[k] and score[k] > 0)
            for place, score in ((points, scores), (true, true_scores))
        )
        off = abs(float(scores[k]) - float(true_scores[k]))
        if not off <= SCORE_LIMIT:
            raise PluginError(
                f"{what}: {name} in {view.name} has score {scores[k]:.4g}, and of the network {true_scores[k]:.4g}; "
                "nothing was exported"
            )
        proof.largest_score = max(proof.largest_score, off)
        if shown != should:
            # As near the threshold as scores may differ, either answer is right.
            continue
        if shown:
            distance = float(np.hypot(*(points[k].astype(np.float64) - true[k])))
            if not distance <= LIMIT:
                raise PluginError(
                    f"{what}: {name} in {view.name} is {distance:.3g} px from where the network finds it, and "
                    f"{LIMIT} may be; nothing was exported"
                )
            proof.differences.setdefault(name, []).append(distance)


def describe(proof: Mapping[str, Any]) -> list[dict[str, object]]:
    """Make rows of a table: keypoint or corners of boxes, how many were compared, mean and largest difference in px."""
    rows = proof["keypoints"] if "keypoints" in proof else {"boxes": proof["boxes"]}
    return [
        {
            "keypoint": name,
            "compared": row["compared"],
            "mean px": "-" if row["mean"] is None else f"{row['mean']:.5f}",
            "largest px": "-" if row["largest"] is None else f"{row['largest']:.5f}",
        }
        for name, row in rows.items()
    ]
