"""What is trained: a pose network or a detector. Everything else about training is the same for both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
from rich.console import Console
from torch import Tensor, nn

from pose_core.data.augment import Augmenter
from pose_core.data.dataset import Batch, DetectorSamples, PlainBatches, PoseSamples
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.runs.run_folder import DetectorRun, Run, build_detector, build_model
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.structures import Skeleton
from pose_core.training.calibrate import calibrate, spread
from pose_core.training.prepare import Prepared
from pose_core.training.validation import box_error, validation_error

S = TypeVar("S", RunSpec, DetectorRunSpec)


@dataclass(frozen=True)
class ValidationMetric:
    """What chooses the best weights; the lower, the better.

    Attributes:
        key: column of history.csv and entry of metrics.json.
        label: for plots.
        unit: behind the number.
    """

    key: str
    label: str
    unit: str = ""


class Task(ABC, Generic[S]):
    """A network and its data.

    Args:
        prepared: configuration and data.
    """

    metric: ValidationMetric

    def __init__(self, prepared: Prepared[S]) -> None:
        self.prepared: Prepared[S] = prepared

    @abstractmethod
    def build(self, pretrained: bool) -> PoseModel | DetectorModel:
        """A new network, checked."""

    @abstractmethod
    def create_run(self, out: Path, provenance: dict[str, Any], write: bool) -> Run | DetectorRun:
        """The run folder; only looked at where ``write`` is false."""

    @abstractmethod
    def samples(self, rows: tuple[int, ...], augment: bool) -> PoseSamples:
        """Samples of some images, as training (``augment``) or inference sees them."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses of a batch by name, scalars whose sum is minimised."""

    def calibrated(self, run: Run | DetectorRun, device: torch.device, console: Console) -> Run | DetectorRun:
        """The trained run with what its parts decide by the data; nothing by default."""
        return run

    @abstractmethod
    def validate(self, network: nn.Module, batches: Iterable[Batch], device: torch.device) -> tuple[float, int]:
        """Sum of the metric over what was labelled, and how much that is; the network is in evaluation mode."""


class PoseTask(Task[RunSpec]):
    """Train a pose network."""

    metric = ValidationMetric("validation_error_px", "validation error (px)", " px")

    def build(self, pretrained: bool) -> PoseModel:
        """A new network whose features are as declared."""
        model = build_model(self.prepared.spec, pretrained)
        model.check_features()
        return model

    def create_run(self, out: Path, provenance: dict[str, Any], write: bool) -> Run:
        """The run folder."""
        spec = self.prepared.spec
        return Run.create(out, spec, provenance) if write else Run(out, spec)

    def samples(self, rows: tuple[int, ...], augment: bool) -> PoseSamples:
        """Whole frames or crops, as the model wants them."""
        spec = self.prepared.spec
        return PoseSamples(
            self.prepared.dataset,
            rows,
            spec.model.preprocess,
            spec.model.backbone.size_multiple(),
            Augmenter(spec.augmentation, spec.skeleton) if augment else None,
            spec.train.seed,
            int(spec.train.cache * 2**30),
        )

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """As ``head.output``."""
        model = cast(PoseModel, network)
        size = (batch.images.shape[-2], batch.images.shape[-1])
        extra = model.extra_for_training(batch.labels, size)
        outputs = model(model.normalise(batch.images), **extra)
        # Losses are computed in float32 whatever the precision of the forward pass.
        with torch.autocast(batch.images.device.type, enabled=False):
            return model.losses(
                {head: {k: v.float() for k, v in tensors.items()} for head, tensors in outputs.items()}, batch.labels
            )

    def calibrated(self, run: Run | DetectorRun, device: torch.device, console: Console) -> Run:
        """See :func:`pose_core.training.calibrate.calibrate`."""
        assert isinstance(run, Run)
        size, split = self.prepared.spec.train.batch_size, self.prepared.split
        training, validation = (
            PlainBatches(self.samples(rows, augment=False), size)
            for rows in (spread(split.train), split.validation or spread(split.train))
        )
        return calibrate(run, training, validation, device, console)

    def validate(self, network: nn.Module, batches: Iterable[Batch], device: torch.device) -> tuple[float, int]:
        """Pixel errors."""
        return validation_error(cast(PoseModel, network), batches, device)


class DetectorTask(Task[DetectorRunSpec]):
    """Train a detector."""

    metric = ValidationMetric("validation_box_error", "validation box error (1 - IoU)")

    def build(self, pretrained: bool) -> DetectorModel:
        """A new detector."""
        return build_detector(self.prepared.spec, pretrained)

    def create_run(self, out: Path, provenance: dict[str, Any], write: bool) -> DetectorRun:
        """The run folder."""
        spec = self.prepared.spec
        return DetectorRun.create(out, spec, provenance) if write else DetectorRun(out, spec)

    def samples(self, rows: tuple[int, ...], augment: bool) -> DetectorSamples:
        """Whole frames with boxes."""
        spec = self.prepared.spec
        assert isinstance(spec.min_box, float)
        # A mirrored animal is still an animal, whatever its keypoints are called.
        anybody = Skeleton(("animal",))
        return DetectorSamples(
            self.prepared.dataset,
            rows,
            spec.network,
            spec.min_box,
            Augmenter(spec.augmentation, anybody) if augment else None,
            spec.train.seed,
            int(spec.train.cache * 2**30),
        )

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """As the detector names them."""
        return cast(DetectorModel, network).losses(batch.images, batch.labels)

    def validate(self, network: nn.Module, batches: Iterable[Batch], device: torch.device) -> tuple[float, int]:
        """Box errors."""
        return box_error(cast(DetectorModel, network), batches, device)
