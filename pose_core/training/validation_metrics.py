"""Validation metrics: what is measured while training, and selects the weights that are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from pose_core.data.average_precision import average_precision
from pose_core.data.batches import Batch
from pose_core.data.box_precision import compute_box_metrics
from pose_core.data.boxes import CropRule
from pose_core.data.geometry import invert
from pose_core.data.keypoint_subset import select_measured
from pose_core.data.learned_labels import learned_labels
from pose_core.data.sigmas import resolve_sigmas
from pose_core.errors import ConfigError
from pose_core.interfaces import Predictions, points_through
from pose_core.model.assemble import PoseModel
from pose_core.pipeline.detector_boxes import clip_corners, take_off
from pose_core.pipeline.limits import keep_best
from pose_core.pipeline.plan import max_animals
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.structures import FloatArray, Frame, Instances, LabelledDataset
from pose_core.training.validation import sum_box_errors, sum_errors

F = TypeVar("F")

Boxes = tuple[Tensor, Tensor]
"""Boxes (B, M, 4) in pixels of the batch's images, NaN beyond the last, and their scores (B, M), 0 beyond it."""


class ValidationMetric(ABC, Generic[F]):
    """Measures what a network finds in the validation images.

    Processes that train together share the images out. Each collects *evidence* of its batches, and the value is
    computed of the evidence of all: of a metric that is no mean, values of parts could not be joined.

    Attributes:
        key: column of history.csv and entry of metrics.json.
        label: for plots and messages.
        short: for the line of progress.
        unit: behind the number.
        digits: after the point.
        higher_is_better: else lower is.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    short: ClassVar[str] = "validation"
    unit: ClassVar[str] = ""
    digits: ClassVar[int] = 3
    higher_is_better: ClassVar[bool] = False

    @abstractmethod
    def collect(self, network: nn.Module, batch: Batch, found: F) -> Any:
        """Collect what :meth:`compute` needs of a batch.

        Args:
            network: that found it.
            batch: as the validation set gives it.
            found: on the CPU, in pixels of the batch's images.

        Returns:
            numbers, texts, arrays and containers of them, which go from process to process.
        """

    @abstractmethod
    def compute(self, evidence: Sequence[Any]) -> float | None:
        """Compute the value, of all batches of all processes in any order; None where nothing is labelled."""

    @classmethod
    def describe(cls, value: float) -> str:
        """Write a value with its unit."""
        return f"{value:.{cls.digits}f}{cls.unit}"


class _MeanError(ValidationMetric[F]):
    """A sum and a count of each batch."""

    def compute(self, evidence: Sequence[tuple[float, int]]) -> float | None:
        """The mean of all."""
        count = sum(number for _, number in evidence)
        return sum(total for total, _ in evidence) / count if count else None


class KeypointError(_MeanError[Predictions]):
    """Mean distance of labelled keypoints, see :func:`pose_core.training.validation.sum_errors`."""

    key, label, unit, digits = "validation_error_px", "validation error", " px", 2

    def collect(self, network: nn.Module, batch: Batch, found: Predictions) -> tuple[float, int]:
        """Sum the errors."""
        assert isinstance(network, PoseModel)
        return sum_errors(network, found, batch)


class BoxError(_MeanError[Boxes]):
    """Mean error of boxes, see :func:`pose_core.training.validation.sum_box_errors`."""

    key, label = "validation_box_error", "validation box error (1 - IoU)"

    def collect(self, network: nn.Module, batch: Batch, found: Boxes) -> tuple[float, int]:
        """Sum the errors."""
        return sum_box_errors(*found, batch)


class _Precision(ValidationMetric[F]):
    """What was found in each image, by its row in the project."""

    higher_is_better = True

    def __init__(self, dataset: LabelledDataset, rows: Sequence[int]) -> None:
        self._dataset, self._rows = dataset, rows

    def _join(
        self,
        evidence: Sequence[Mapping[int, Sequence[tuple[FloatArray, FloatArray]]]],
        shape: tuple[int, ...],
    ) -> list[tuple[FloatArray, FloatArray]]:
        """Join what was found in each image, in the order of the validation images whatever process saw them."""
        nothing = np.zeros((0, *shape), np.float32), np.zeros(0, np.float32)
        # An image may have several crops, which need not be in one batch.
        found = {row: [nothing] for row in self._rows}
        for batch in evidence:
            for row, parts in batch.items():
                found[row].extend(parts)
        return [
            (np.concatenate([items for items, _ in parts]), np.concatenate([scores for _, scores in parts]))
            for parts in found.values()
        ]


class KeypointPrecision(_Precision[Predictions]):
    """COCO's average precision by object keypoint similarity, as ``pose evaluate`` computes it.

    Sigmas and keypoints are those of ``evaluation``. Networks that look at crops see those around labelled boxes.
    Every keypoint that a head gives counts, whatever ``inference.threshold`` says.

    Args:
        spec: of the run, decided.
        dataset: the project with the skeleton of the run.
        rows: the validation images.

    Raises:
        ConfigError: ``evaluation.sigmas`` names no keypoint, or a sigma is 0.
    """

    key, label, short = "validation_ap", "validation AP", "validation AP"

    def __init__(self, spec: RunSpec, dataset: LabelledDataset, rows: Sequence[int]) -> None:
        super().__init__(learned_labels(dataset, spec), rows)
        self._evaluation, self._most = spec.evaluation, max_animals(spec)
        _, skeleton, evaluation = select_measured([], self._dataset.skeleton, self._evaluation)
        sigmas = resolve_sigmas(evaluation.sigmas, skeleton)
        if zero := [name for name, sigma in sigmas.items() if sigma == 0]:
            raise ConfigError(f"evaluation.sigmas: the sigma of {zero[0]} is 0, and AP needs one above 0")
        self._sigmas = tuple(sigmas.values())

    def collect(
        self, network: nn.Module, batch: Batch, found: Predictions
    ) -> dict[int, list[tuple[FloatArray, FloatArray]]]:
        """Keypoints (N, K, 2) and scores (N,) of the animals in each image, in pixels of the image file."""
        kept = keep_best(found, self._most)
        kept = kept.through(np.stack([invert(matrix) for matrix in batch.matrices.numpy()]))
        images: dict[int, list[tuple[FloatArray, FloatArray]]] = {}
        for row, points, scores in zip(
            batch.indices.tolist(), kept.keypoints.numpy(), kept.scores.numpy(), strict=True
        ):
            # Rows that only pad an image to the number of animals of another have score 0 or no keypoint.
            there = (scores > 0) & ~np.isnan(points[..., 0]).all(axis=-1)
            images.setdefault(row, []).append((points[there], scores[there]))
        return images

    def compute(self, evidence: Sequence[Any]) -> float | None:
        """Of all images at once; 0 where nothing is found."""
        whole = self._dataset.skeleton
        # Keypoints that exist once an image have no OKS.
        unique = np.full((len(whole.unique_keypoints), 2), np.nan, np.float32)
        frames = [
            Frame(
                at, Instances.from_keypoints(points, scores=scores), unique, np.zeros(len(unique), np.float32)
            )
            for at, (points, scores) in enumerate(self._join(evidence, (whole.num_keypoints, 2)))
        ]
        images = [self._dataset.images[row] for row in self._rows]
        pairs, skeleton, _ = select_measured(list(zip(images, frames, strict=True)), whole, self._evaluation)
        return average_precision(pairs, skeleton, self._sigmas)


class BoxPrecision(_Precision[Boxes]):
    """COCO's average precision of boxes, as ``pose evaluate`` computes it of a detector.

    Args:
        spec: of the run, decided.
        dataset: the project with the skeleton of the run.
        rows: the validation images.
    """

    key, label, short = "validation_box_ap", "validation box AP", "validation AP"

    def __init__(self, spec: DetectorRunSpec, dataset: LabelledDataset, rows: Sequence[int]) -> None:
        super().__init__(dataset, rows)
        self._most, self._excess = spec.skeleton.num_individuals, spec.network.excess
        rule = CropRule(spec.skeleton, spec.decided_min_box(), spec.centre)
        boxes = [rule.around_labels(dataset.images[row]) for row in rows]
        self._truth = [each[np.isfinite(each).all(axis=1)] for each in boxes]

    def collect(
        self, network: nn.Module, batch: Batch, found: Boxes
    ) -> dict[int, list[tuple[FloatArray, FloatArray]]]:
        """Boxes (M, 4) and scores (M,) in each image, in pixels of the image file."""
        boxes, scores = (part[:, : self._most] for part in found)
        to_frame = np.stack([invert(matrix) for matrix in batch.matrices.numpy()])
        corners = take_off(points_through(boxes.reshape(*boxes.shape[:2], 2, 2), to_frame), self._excess)
        images: dict[int, list[tuple[FloatArray, FloatArray]]] = {}
        for at, row in enumerate(batch.indices.tolist()):
            record, there = self._dataset.images[row], scores[at] > 0
            clipped = clip_corners(corners[at : at + 1], record.width, record.height)[0].flatten(1)
            images.setdefault(row, []).append((clipped[there].numpy(), scores[at][there].numpy()))
        return images

    def compute(self, evidence: Sequence[Any]) -> float | None:
        """Of all images at once; 0 where nothing is found."""
        ignored = [self._dataset.images[row].ignore for row in self._rows]
        return compute_box_metrics(self._truth, self._join(evidence, (4,)), ignored)[0]
