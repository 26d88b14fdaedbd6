"""A trained model for use in Python::

import pose_core

estimator = pose_core.load("runs/mouse")
for frame in estimator.predict(images):  # (B, H, W, 3) uint8 RGB
    print(frame.index, frame.instances.keypoints)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from pose_core.errors import ConfigError, DataError
from pose_core.model.device import choose_device
from pose_core.pipeline.box_file import BoxTable, read_boxes
from pose_core.pipeline.conditional import PoseTable, read_poses
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.plan import choose_stages
from pose_core.pipeline.sources import ArraySource, as_rgb
from pose_core.pipeline.video import VideoSource
from pose_core.runs.run_folder import DetectorRun, Run
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray, Frame, Skeleton

Array = np.ndarray[Any, Any]


class PoseEstimator:
    """A trained model, ready to predict. Made by :func:`load`. May be used by several threads.

    Attributes:
        run: the run folder.
        device: where the network computes.
        batch_size: frames that go through the network together.
        detector: finds the animals for a top-down model; None without one.
        boxes: where the animals are, instead of a detector.
        conditions: the model whose poses are refined, or these poses; None for a model that refines none.
        pipeline: what does the work.
    """

    def __init__(
        self,
        run: Run,
        device: torch.device,
        batch_size: int,
        detector: DetectorRun | None = None,
        boxes: BoxTable | None = None,
        conditions: Run | PoseTable | None = None,
    ) -> None:
        self.run = run
        self.device = device
        self.batch_size = batch_size
        self.detector = detector
        self.boxes = boxes
        self.conditions = conditions
        finder = detector.load_model(device) if detector is not None else None
        rough = (conditions.load_model(device), conditions.spec) if isinstance(conditions, Run) else conditions
        stages = choose_stages(run.load_model(device), run.spec, finder, boxes, rough)
        self.pipeline = Pipeline(stages, run.spec.skeleton, device, batch_size, run.spec.inference.threshold)

    @property
    def spec(self) -> RunSpec:
        """The configuration of the run."""
        return self.run.spec

    @property
    def skeleton(self) -> Skeleton:
        """Names of keypoints and individuals, in the order of the arrays in results."""
        return self.run.spec.skeleton

    @overload
    def predict(self, frames: Array | Sequence[Array], batch_size: int | None = None) -> list[Frame]: ...

    @overload
    def predict(self, frames: Iterator[Array], batch_size: int | None = None) -> Iterator[Frame]: ...

    def predict(
        self, frames: Array | Sequence[Array] | Iterator[Array], batch_size: int | None = None
    ) -> list[Frame] | Iterator[Frame]:
        """The animals in images, in pixels of each image.

        Args:
            frames: uint8 RGB or gray images: an array (B, H, W, 3) or (B, H, W), a list of arrays (H, W, 3) or
                (H, W) that may differ in size, or an iterator of such images (a camera). An iterator is answered
                by an iterator, which takes an image when a result is asked for, and no earlier.
            batch_size: images that go through the network together. By default the estimator's for arrays and lists,
                1 for an iterator, so that a result does not wait for images that have not been taken yet.

        Returns:
            a list with one :class:`~pose_core.structures.Frame` an image, or an iterator of them, in order, numbered
            from 0.

        Raises:
            DataError: an image has another type, dtype or shape; the message names it.
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        if isinstance(frames, np.ndarray):
            return self._predict_all(_batch(frames), batch_size or self.batch_size)
        if isinstance(frames, (list, tuple)):
            return self._predict_all(frames, batch_size or self.batch_size)
        if isinstance(frames, (str, bytes, Path)) or not isinstance(frames, Iterable):
            raise DataError(
                f"predict() takes images, not {type(frames).__name__}; for a video file use predict_video(path)"
            )
        return self._predict_live(iter(frames), batch_size or 1)

    def predict_video(self, path: Path | str) -> Iterator[Frame]:
        """The animals in a video, frame by frame while it is decoded.

        Frames that cannot be decoded are in the results too, with the reason in ``Frame.missing``.

        Raises:
            VideoError: the file is missing or no video.
        """
        source = self.open_video(path)

        def results() -> Iterator[Frame]:
            for result in self.pipeline.run(source):
                yield from result.frames

        return results()

    def open_video(self, path: Path | str) -> VideoSource:
        """A video as a source, decoded by as many threads as the network leaves free.

        Raises:
            VideoError: the file is missing or no video.
        """
        return VideoSource(path, threads=1 if self.device.type == "cpu" else 0)

    def _predict_all(self, images: Array | Sequence[Array], batch_size: int) -> list[Frame]:
        source = ArraySource(images)
        if len(source.images) <= batch_size:
            return self.pipeline.run_once(source.images)  # threads would not pay
        pipeline = self.pipeline
        if batch_size != pipeline.batch_size:
            pipeline = pipeline.with_batch_size(batch_size)
        return [frame for result in pipeline.run(source) for frame in result.frames]

    def _predict_live(self, images: Iterator[Any], batch_size: int) -> Iterator[Frame]:
        first, stages = 0, self.pipeline.begin()
        while True:
            batch: list[ByteArray] = [
                as_rgb(image, f"image {first + i}") for i, image in enumerate(islice(images, batch_size))
            ]
            if not batch:
                return
            yield from self.pipeline.run_once(batch, first, stages)
            first += len(batch)


def _batch(images: Array) -> Array:
    if images.ndim == 3 and images.shape[2] == 3:
        raise DataError(f"one image of shape {images.shape}; give a batch: predict(image[None])")
    if images.ndim not in (3, 4):
        raise DataError(f"images have shape {images.shape}; it must be (B, H, W, 3) RGB or (B, H, W) gray")
    return images


def load(
    run: Path | str,
    device: str = "auto",
    batch_size: int | None = None,
    *,
    detector: Path | str | None = None,
    boxes: Path | str | None = None,
    conditions: Path | str | None = None,
    follow: bool | None = None,
) -> PoseEstimator:
    """Load a trained model.

    Args:
        run: folder that ``pose train`` made.
        device: ``auto`` (CUDA, then Apple's MPS, then the CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
        batch_size: frames that go through the network together; by default as the run says.
        detector: folder of a trained detector, in the place of the run's own.
        boxes: .csv or .parquet file of boxes, in the place of a detector.
        conditions: for a model that refines poses: folder of the trained model that finds them, in the place of the
            run's own, or a file of predictions.
        follow: start from the poses of the last frame; by default as the run says.

    Raises:
        RunError: no run folder, or its weights are missing or altered.
        ConfigError: unknown device, a plugin that the run needs is not installed, or a top-down model is not told
            where the animals are.
        DataError: the file of boxes or of poses cannot be used.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch size must be at least 1, not {batch_size}")
    if detector is not None and boxes is not None:
        raise ConfigError("--detector and --boxes: both say where the animals are; give one of them")
    opened = Run.open(run)
    if follow is not None:
        inference = opened.spec.inference.model_copy(update={"follow": follow})
        opened = Run(opened.path, opened.spec.model_copy(update={"inference": inference}))
    finder = DetectorRun.open(detector) if detector is not None else opened.detector if boxes is None else None
    table = read_boxes(Path(boxes)) if boxes is not None else None
    rough: Run | PoseTable | None = opened.conditions
    if conditions is not None:
        given = Path(conditions)
        rough = Run.open(given) if given.is_dir() else read_poses(given, opened.spec.skeleton)
    batch_size = batch_size or opened.spec.inference.batch_size
    return PoseEstimator(opened, choose_device(device), batch_size, finder, table, rough)
