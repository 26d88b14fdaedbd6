"""Tasks: what differs between training a pose network and a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from pose_core.data.augment import Augmenter, make_augmenter
from pose_core.data.auto_augmentation import auto_views
from pose_core.data.auto_extent import auto_extent
from pose_core.data.auto_sizes import animal_lengths, auto_crop, auto_scale
from pose_core.data.batches import Batch, PlainBatches
from pose_core.data.boxes import CropRule, auto_min_box, check_centre
from pose_core.data.learned_labels import learned_labels
from pose_core.data.samples import DetectorSamples, ImageSamples, PoseSamples, find_cropped
from pose_core.data.split import Split
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.reporting import Reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunBase, RunSpec
from pose_core.specs.train import CropSpec
from pose_core.structures import LabelledDataset, Skeleton
from pose_core.training.calibrate import calibrate, spread
from pose_core.training.prepared import Prepared
from pose_core.training.steps import decide_steps
from pose_core.training.validation_metrics import (
    BoxError,
    BoxPrecision,
    KeypointError,
    KeypointPrecision,
    ValidationMetric,
)

S = TypeVar("S", bound=RunBase)

Decision = tuple[dict[str, Any], dict[str, str]]
"""A partial spec, and the reason for each key that the labels decided."""


class Task(ABC, Generic[S]):
    """Samples, losses and metrics of what a network learns.

    Args:
        prepared: configuration and data.

    Attributes:
        METRICS: by the words of ``train.select``.
        measurable: what AP needs of labels, for messages.
        metrics: measured while training; the first one selects the weights, and where it finds two equal the next.
    """

    METRICS: ClassVar[Mapping[str, type[ValidationMetric[Any]]]]
    measurable: ClassVar[str]

    def __init__(self, prepared: Prepared[S]) -> None:
        self.prepared: Prepared[S] = prepared
        self.metrics = self.make_metrics(prepared.spec, prepared.dataset, prepared.split.validation)

    @classmethod
    @abstractmethod
    def make_metrics(
        cls, spec: S, dataset: LabelledDataset, rows: Sequence[int]
    ) -> tuple[ValidationMetric[Any], ...]:
        """Make the metric that ``train.select`` names, and the error, which is recorded beside any other.

        Args:
            spec: decided.
            dataset: the project with the skeleton of the run.
            rows: the validation images.

        Raises:
            ConfigError: a setting of the metric is wrong.
        """

    @classmethod
    def check_selection(cls, spec: S, dataset: LabelledDataset, split: Split, place: str = "") -> None:
        """Refuse a metric that the validation images do not have.

        Without them the training loss selects the weights, which is no answer where AP was asked for.

        Args:
            spec, dataset, split: as for a task.
            place: of the network's keys, ``stages.detector.``.

        Raises:
            ConfigError: there is no AP of the validation images.
        """
        if spec.train.select == "error" or not spec.trainable():
            return
        key = f"{place}train.select: {spec.train.select}"
        if not split.validation:
            raise ConfigError(
                f"{key}: there are no validation images; keep some (data.split), or select by error"
            )
        if cls.make_metrics(spec, dataset, split.validation)[0].compute([]) is None:
            raise ConfigError(f"{key}: no validation image has {cls.measurable}; select by error")

    @classmethod
    @abstractmethod
    def decide(cls, spec: S, dataset: LabelledDataset, split: Split) -> Decision:
        """Decide every ``auto`` by the training images.

        Returns:
            a partial spec, and the reason for each key that the labels decided.

        Raises:
            DataError: no training image shows what the network learns from.
        """

    @abstractmethod
    def samples(self, rows: tuple[int, ...], augment: bool) -> ImageSamples:
        """Samples of some images, as training (``augment``) or inference sees them."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the weighted losses of a batch by name; their sum is minimised."""

    @abstractmethod
    def find(self, network: nn.Module, batch: Batch) -> Any:
        """Find what the metrics measure, on the CPU; the network is in evaluation mode."""

    def validate(
        self, network: nn.Module, batches: Iterable[Batch], device: torch.device
    ) -> list[tuple[Any, ...]]:
        """Collect evidence of each batch, for each of the metrics; the network is in evaluation mode."""
        collected = []
        for batch in batches:
            found = self.find(network, batch.to(device))
            collected.append(tuple(metric.collect(network, batch, found) for metric in self.metrics))
        return collected

    def calibrate(self, run: Run[S], device: torch.device, reporter: Reporter) -> Run[S]:
        """Let parts of the trained network decide settings by the data; nothing by default."""
        return run


class PoseTask(Task[RunSpec]):
    """Train a pose network."""

    METRICS = {"error": KeypointError, "ap": KeypointPrecision}
    measurable = "an animal with labelled keypoints and an area, by which OKS measures distances"

    def __init__(self, prepared: Prepared[RunSpec]) -> None:
        super().__init__(prepared)
        self._dataset = learned_labels(prepared.dataset, prepared.spec)
        # Predictions are labels for training alone: never do they measure it.
        self._taught = self._dataset if prepared.taught is None else prepared.taught

    @classmethod
    def make_metrics(
        cls, spec: RunSpec, dataset: LabelledDataset, rows: Sequence[int]
    ) -> tuple[ValidationMetric[Any], ...]:
        """AP and error of keypoints, or the error."""
        ap = (KeypointPrecision(spec, dataset, rows),) if spec.train.select == "ap" else ()
        return (*ap, KeypointError())

    @classmethod
    def decide(cls, spec: RunSpec, dataset: LabelledDataset, split: Split) -> Decision:
        """Scale, smallest box, views, extent of crops, size of training windows, length of training."""
        preprocess = spec.model.preprocess
        check_centre(preprocess.centre, dataset.skeleton)
        # Views come from the whole poses, which tell the animals' directions; all else from what is learned.
        views, why_views = _decide_views(spec, dataset, split)
        dataset = learned_labels(dataset, spec)
        scale = preprocess.scale
        decided: dict[str, Any] = {}
        why: dict[str, str] = {}
        size = _describe_size(dataset, split)
        if scale == "auto":
            # With a fixed input size the frame or the crop is fitted into it, and the scale has nothing to
            # say.
            scale = auto_scale(dataset, split.train) if preprocess.size is None else 1.0
            decided["scale"] = scale
            if preprocess.size is None:
                why["model.preprocess.scale"] = size
        if preprocess.min_box == "auto":
            decided["min_box"] = auto_min_box(dataset, split.train) if spec.model.view == "animal" else 0.0
        if preprocess.extent == "auto":
            augmentation = spec.augmentation.model_copy(update={**views, "crop": CropSpec(size=None)})
            extent = auto_extent(dataset, split.train, preprocess.centre, augmentation.decided())
            decided["extent"], why["model.preprocess.extent"] = extent.side, extent.why
        crop: dict[str, Any] = {}
        if spec.augmentation.crop.size == "auto":
            multiple = spec.model.size_multiple()
            crop["size"] = preprocess.size or auto_crop(dataset, split.train, scale, multiple)
            if preprocess.size is None:
                why["augmentation.crop.size"] = size
        samples, counted = len(split.train), f"{len(split.train)} training images"
        if spec.model.view == "animal":
            samples = sum(len(find_cropped(dataset.images[row], dataset.skeleton)) for row in split.train)
            counted = f"{samples} animals in {counted}"
            if not samples:
                raise DataError(
                    f"{dataset.root}: no training image shows an animal with a labelled keypoint, which "
                    f"{spec.name} learns from; label some, or choose other training images (data.split)"
                )
        train, why_train = decide_steps(spec.train, samples, counted)
        content = {
            "model": {"preprocess": decided},
            "augmentation": {**views, "crop": crop},
            "train": train,
        }
        return content, {**why, **why_views, **why_train}

    def samples(self, rows: tuple[int, ...], augment: bool) -> PoseSamples:
        """Whole frames or crops, as the model wants them."""
        spec = self.prepared.spec
        return PoseSamples(
            self._taught if augment else self._dataset,
            rows,
            spec.model.decided_preprocess(),
            spec.model.size_multiple(),
            make_augmenter(spec) if augment else None,
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
                {head: {k: v.float() for k, v in tensors.items()} for head, tensors in outputs.items()},
                batch.labels,
            )

    def calibrate(self, run: Run[RunSpec], device: torch.device, reporter: Reporter) -> Run[RunSpec]:
        """See :func:`pose_core.training.calibrate.calibrate`."""
        size, split = self.prepared.spec.train.decided().batch_size, self.prepared.split
        training, validation = (
            PlainBatches(self.samples(rows, augment=False), size)
            for rows in (spread(split.train), split.validation or spread(split.train))
        )
        return calibrate(run, training, validation, device, reporter)

    @torch.inference_mode()
    def find(self, network: nn.Module, batch: Batch) -> Predictions:
        """Poses in pixels of the batch's images."""
        model = cast(PoseModel, network)
        extra = model.extra_for_training(batch.labels, (batch.images.shape[-2], batch.images.shape[-1]))
        return model.decode(model(model.normalise(batch.images), **extra)).to("cpu")


class DetectorTask(Task[DetectorRunSpec]):
    """Train a detector."""

    METRICS = {"error": BoxError, "ap": BoxPrecision}
    measurable = "an animal with a box"

    @classmethod
    def make_metrics(
        cls, spec: DetectorRunSpec, dataset: LabelledDataset, rows: Sequence[int]
    ) -> tuple[ValidationMetric[Any], ...]:
        """AP and error of boxes, or the error."""
        ap = (BoxPrecision(spec, dataset, rows),) if spec.train.select == "ap" else ()
        return (*ap, BoxError())

    @classmethod
    def decide(cls, spec: DetectorRunSpec, dataset: LabelledDataset, split: Split) -> Decision:
        """Smallest box, size of training windows, length of training."""
        check_centre(spec.centre, dataset.skeleton)
        train, why = decide_steps(spec.train, len(split.train), f"{len(split.train)} training images")
        decided: dict[str, Any] = {"train": train}
        if spec.min_box == "auto":
            decided["min_box"] = auto_min_box(dataset, split.train)
        if spec.augmentation.crop.size == "auto":
            decided["augmentation"] = {"crop": {"size": spec.network.size}}
        return decided, why

    def samples(self, rows: tuple[int, ...], augment: bool) -> DetectorSamples:
        """Whole frames with boxes."""
        spec = self.prepared.spec
        # A mirrored animal is still an animal, whatever its keypoints are called.
        one_keypoint = Skeleton(("animal",))
        return DetectorSamples(
            self.prepared.dataset,
            rows,
            spec.network,
            CropRule(spec.skeleton, spec.decided_min_box(), spec.centre),
            Augmenter(spec.augmentation.decided(), one_keypoint) if augment else None,
            spec.train.seed,
            int(spec.train.cache * 2**30),
        )

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """As the detector names them."""
        return cast(DetectorModel, network).losses(batch.images, batch.labels)

    def find(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Boxes in pixels of the batch's images, and their scores."""
        boxes, scores = cast(DetectorModel, network).predict(batch.images)
        return boxes.cpu(), scores.cpu()


TASKS: Mapping[str, type[Task[Any]]] = {"poses": PoseTask, "boxes": DetectorTask}
"""By ``trains`` of a spec, what is done to learn that; nothing else in training asks."""


def _describe_size(dataset: LabelledDataset, split: Split) -> str:
    """Say how large the animals are in the training images."""
    lengths = animal_lengths(dataset, split.train)
    if not len(lengths):
        return "no animal's size is known (one keypoint an animal, no boxes)"
    median, large = np.percentile(lengths, (50, 90))
    return f"animals are {median:.0f} px long (median), one in ten {large:.0f} or more"


def _decide_views(spec: RunSpec, dataset: LabelledDataset, split: Split) -> Decision:
    """Decide rotation, mirroring and zoom where the labels are to."""
    open_keys = [key for key in ("rotation", "flip", "scale") if getattr(spec.augmentation, key) == "auto"]
    if not open_keys:
        return {}, {}
    views = auto_views(dataset, split.train, crops=spec.model.view == "animal")
    why = {f"augmentation.{key}": views.why_scale if key == "scale" else views.why for key in open_keys}
    return {key: getattr(views, key) for key in open_keys}, why
