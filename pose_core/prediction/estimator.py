"""A trained model for use in Python::

import pose_core

estimator = pose_core.load("runs/mouse")
for frame in estimator.predict(images):  # (B, H, W, 3) uint8 RGB
    print(frame.index, frame.instances.keypoints)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import torch

from pose_core.errors import ConfigError, DataError, argument
from pose_core.model.device import choose_device
from pose_core.pipeline.plan import Source, make_pipeline
from pose_core.pipeline.sources import ArraySource, as_rgb
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.frame_region import NONE, GivenRegion, Regions
from pose_core.runs.run_folder import Run
from pose_core.runs.snapshots import choose_snapshot
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, make_option_layer, make_settings_layer
from pose_core.structures import ByteArray, Frame, Skeleton

Array = np.ndarray[Any, Any]


class PoseEstimator:
    """A trained model, ready to predict. Made by :func:`load`. May be used by several threads.

    Attributes:
        run: the run folder.
        device: where the network computes.
        batch_size: frames that go through the network together.
        pipeline: what does the work.
        supplied: for each source of what its stages need (a detector ...) what tells it from another one.
        files: the sources that are files, which are of one video or sequence.
        regions: the part of frames that is predicted. What comes out is in pixels of the whole frame.
    """

    def __init__(
        self,
        run: Run,
        device: torch.device,
        batch_size: int,
        sources: Mapping[str, Source] = MappingProxyType({}),
        region: GivenRegion = None,
    ) -> None:
        self.run = run
        self.device = device
        self.batch_size = batch_size
        self.regions = Regions.of(region, run.spec.data)
        self.pipeline, plan = make_pipeline(run, device, batch_size, sources)
        self.supplied = plan.supplied
        self.files = plan.files

    @property
    def spec(self) -> RunSpec:
        """The configuration of the run."""
        return self.run.spec

    @property
    def skeleton(self) -> Skeleton:
        """Names of keypoints and individuals, in the order of the arrays in results."""
        return self.run.spec.finds

    @overload
    def predict(self, frames: Array | Sequence[Array], batch_size: int | None = None) -> list[Frame]: ...

    @overload
    def predict(self, frames: Iterator[Array], batch_size: int | None = None) -> Iterator[Frame]: ...

    def predict(
        self, frames: Array | Sequence[Array] | Iterator[Array], batch_size: int | None = None
    ) -> list[Frame] | Iterator[Frame]:
        """Find the animals in images, in pixels of each image.

        Args:
            frames: uint8 RGB or gray images: an array (B, H, W, 3) or (B, H, W), a list of arrays (H, W, 3)
                or (H, W) that may differ in size, or an iterator of such images (a camera). An iterator is
                answered by an iterator, which takes an image when a result is asked for, and no earlier.
            batch_size: images that go through the network together. By default the estimator's for arrays and
                lists, 1 for an iterator, so that a result does not wait for images that have not been taken
                yet.

        Returns:
            a list with one :class:`~pose_core.structures.Frame` an image, or an iterator of them, in order,
            numbered from 0.

        Raises:
            DataError: an image has another type, dtype or shape; the message names it.
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        if isinstance(frames, np.ndarray):
            return self._predict_all(_check_batch(frames), batch_size or self.batch_size)
        if isinstance(frames, (list, tuple)):
            return self._predict_all(frames, batch_size or self.batch_size)
        if isinstance(frames, (str, bytes, Path)) or not isinstance(frames, Iterable):
            raise DataError(
                f"predict() takes images, not {type(frames).__name__}; for a video file use "
                "predict_video(path)"
            )
        return self._predict_live(iter(frames), batch_size or 1)

    def predict_video(self, path: Path | str) -> Iterator[Frame]:
        """Find the animals in a video, frame by frame while it is decoded.

        Frames that cannot be decoded are in the results too, with the reason in ``Frame.missing``.

        Raises:
            VideoError: the file is missing or no video.
        """
        source = self.open_video(path)
        region = self.regions.only_of_source(source, str(path))

        # An inner generator, so that a missing file is reported at the call and not at the first frame.
        def results() -> Iterator[Frame]:
            for result in self.pipeline.run(source, region=region):
                yield from result.frames

        return results()

    def open_video(self, path: Path | str) -> VideoSource:
        """Open a video, decoded by as many threads as the network leaves free.

        Raises:
            VideoError: the file is missing or no video.
        """
        return VideoSource(path, 1 if self.device.type == "cpu" else 0, self.spec.data.decided_bit_depth())

    def _predict_all(self, images: Array | Sequence[Array], batch_size: int) -> list[Frame]:
        source = ArraySource(images)
        region = self.regions.only_of_source(source, "an image")
        if len(source.images) <= batch_size:
            # There is no second batch that threads could prepare meanwhile.
            return self.pipeline.run_once(source.images, region=region)
        pipeline = self.pipeline
        if batch_size != pipeline.batch_size:
            pipeline = pipeline.with_batch_size(batch_size)
        return [frame for result in pipeline.run(source, region=region) for frame in result.frames]

    def _predict_live(self, images: Iterator[Any], batch_size: int) -> Iterator[Frame]:
        first, stages = 0, self.pipeline.begin()
        while True:
            batch: list[ByteArray] = [
                as_rgb(image, f"image {first + i}") for i, image in enumerate(islice(images, batch_size))
            ]
            if not batch:
                return
            region = self.regions.only_of_source(ArraySource(batch), f"image {first} or after it")
            yield from self.pipeline.run_once(batch, first, stages, region)
            first += len(batch)


def _check_batch(images: Array) -> Array:
    # Could be a batch of gray images 3 pixels wide, but is far more likely one image without its batch axis.
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
    threshold: float | None = None,
    max_animals: int | str | None = None,
    follow: bool | None = None,
    region: GivenRegion = None,
    settings: Mapping[str, Any] | None = None,
    snapshot: str | int | None = None,
    **sources: Path | str | None,
) -> PoseEstimator:
    """Load a trained model.

    Args:
        run: folder that ``pose train`` made, or the name of a published network (``project/network``), which is
            downloaded the first time.
        device: ``auto`` (CUDA, then Apple's MPS, then the CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
        batch_size: frames that go through the network together; by default as the run says.
        threshold: keypoints with a lower score are missing; by default as the run says.
        max_animals: at most so many animals a frame; ``"none"``: no limit; by default as the run says.
        follow: start from the poses of the last frame; by default as the run says.
        region: the part of frames to look at: ``"X1,Y1,X2,Y2"`` or four numbers, for every source; ``"none"``:
            whole frames. By default the crop of the run's project, for videos. What comes out is in pixels of
            the whole frame.
        settings: further changes of the run's configuration by their keys, ``{"inference.crops": 8}``; not on disk.
            What training has fixed cannot be changed (:data:`pose_core.runs.changes.CHANGEABLE`).
        snapshot: which weights of the run: ``"best"``, which training chose (by default); an epoch of which there is
            a snapshot (``train.keep``); ``"last"``, the newest of these.
        sources: of what the model needs beside its network, in the place of the run's own: ``detector``, the
            folder of a trained detector; ``boxes``, a .csv or .parquet file of boxes; and those of plugins.

    Raises:
        RunError: no run folder, or its weights are missing or altered.
        ConfigError: unknown device, a plugin that the run needs is not installed, a source is not known or
            not needed, or nothing supplies what the model needs, such as boxes.
        DataError: the file of a source cannot be used.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch size must be at least 1, not {batch_size}")
    changes = [
        make_settings_layer(settings),
        make_option_layer(
            [
                (argument("threshold"), "inference.threshold", threshold),
                (argument("max_animals"), "inference.max_animals", max_animals),
                (argument("follow"), "inference.follow", follow),
            ]
        ),
    ]
    if max_animals == NONE:
        # An option that is None was not given, so no limit needs a word.
        changes.append(Layer({"inference": {"max_animals": None}}))
    opened = choose_snapshot(Run.open(run, RunSpec), snapshot).with_changes(changes)
    return PoseEstimator(
        opened, choose_device(device), batch_size or opened.spec.inference.batch_size, sources, region
    )
