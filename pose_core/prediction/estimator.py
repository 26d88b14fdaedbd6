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
from pose_core.pipeline.computing import Computing
from pose_core.pipeline.given_sources import Source
from pose_core.pipeline.plan import make_pipeline
from pose_core.pipeline.sources import ArraySource, FrameSource, as_rgb
from pose_core.pipeline.torchcodec_video import TorchcodecSource
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.frame_choice import parse_ranges, select_frames
from pose_core.prediction.frame_region import NONE, GivenRegion, Regions
from pose_core.prediction.given_poses import GivenPoses, Poses, check_given
from pose_core.prediction.given_tiles import GivenTiles, parse_tiles
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
        computing: what computes the networks; ``computing.name`` is the runtime.
        supplied: for each source of what its stages need (a detector ...) what tells it from another one.
        files: the sources that are files, which are of one video or sequence.
        in_memory: the sources whose poses come with images, see :meth:`predict`.
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
        self.computing = Computing(plan.networks, plan.detectors, run.spec.inference, device)
        self.supplied = plan.supplied
        self.files = plan.files
        self.in_memory = plan.memory

    @property
    def spec(self) -> RunSpec:
        """The configuration of the run."""
        return self.run.spec

    @property
    def skeleton(self) -> Skeleton:
        """Names of keypoints and individuals, in the order of the arrays in results."""
        return self.run.spec.finds

    @overload
    def predict(
        self, frames: Array | Sequence[Array], batch_size: int | None = None, **given: Iterable[Poses]
    ) -> list[Frame]: ...

    @overload
    def predict(
        self, frames: Iterator[Array], batch_size: int | None = None, **given: Iterable[Poses]
    ) -> Iterator[Frame]: ...

    def predict(
        self,
        frames: Array | Sequence[Array] | Iterator[Array],
        batch_size: int | None = None,
        **given: Iterable[Poses],
    ) -> list[Frame] | Iterator[Frame]:
        """Find the animals in images, in pixels of each image.

        Args:
            frames: uint8 RGB or gray images: an array (B, H, W, 3) or (B, H, W), a list of arrays (H, W, 3)
                or (H, W) that may differ in size, or an iterator of such images (a camera). An iterator is
                answered by an iterator, which takes an image when a result is asked for, and no earlier.
            batch_size: images that go through the network together. By default the estimator's for arrays and
                lists, 1 for an iterator, so that a result does not wait for images that have not been taken
                yet.
            given: poses that come with the images, where the model was loaded to get some
                (a source that is True): by the name of the source, for each image and in pixels of it, a
                :class:`~pose_core.structures.Frame`, its instances, or an array (N, K, 2) or (N, K, 3) with scores;
                with an iterator of images an iterator, too.

        Returns:
            a list with one :class:`~pose_core.structures.Frame` an image, or an iterator of them, in order,
            numbered from 0.

        Raises:
            DataError: an image has another type, dtype or shape, or poses are none of the model's; the message
                names it.
            ConfigError: poses are given that the model was not loaded for, or not those that it was loaded for.
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"predict(batch_size={batch_size}): must be at least 1, in images")
        check_given(given, self.in_memory)
        poses = GivenPoses(given, self.skeleton) if given else None
        if isinstance(frames, np.ndarray):
            return self._predict_all(_check_batch(frames), batch_size or self.batch_size, poses)
        if isinstance(frames, (list, tuple)):
            return self._predict_all(frames, batch_size or self.batch_size, poses)
        if isinstance(frames, (str, bytes, Path)) or not isinstance(frames, Iterable):
            raise DataError(
                f"predict() takes images, not {type(frames).__name__}; for a video file use "
                "predict_video(path)"
            )
        return self._predict_live(iter(frames), batch_size or 1, poses)

    def predict_video(self, path: Path | str, frames: str | None = None) -> Iterator[Frame]:
        """Find the animals in a video, frame by frame while it is decoded.

        Frames that cannot be decoded are in the results too, with the reason in ``Frame.missing``.

        Args:
            path: of the video.
            frames: ranges of frames, ``1000-2000:5,3000``, as for :func:`pose_core.predict`; by default all. They keep
                their numbers.

        Raises:
            VideoError: the file is missing or no video.
            ConfigError: the ranges are none, or go past the end.
        """
        if self.in_memory:
            names = ", ".join(self.in_memory)
            raise ConfigError(
                f"{path}: the model was loaded to get {names} with images in memory; give a file"
            )
        source: FrameSource = self.open_video(path)
        if frames is not None:
            source = select_frames(source, Path(path), parse_ranges(frames))
        region = self.regions.only_of_source(source, str(path))

        self.computing.prepare(source.info.frames)

        # An inner generator, so that a missing file is reported at the call and not at the first frame.
        def results() -> Iterator[Frame]:
            for result in self.pipeline.run(source, region=region):
                yield from result.frames

        return results()

    def open_video(self, path: Path | str, index: Path | None = None) -> VideoSource:
        """Open a video, decoded by as many threads as the network leaves free.

        Args:
            path: of the video.
            index: as for :class:`pose_core.io.video.VideoFile`.

        Raises:
            VideoError: the file is missing or no video, or the decoder that the run names shows other frames of it.
            ConfigError: that decoder cannot be used here.
        """
        threads = 1 if self.device.type == "cpu" else 0
        if self.spec.inference.decoder == "torchcodec":
            return TorchcodecSource(path, self.device, threads, index)
        return VideoSource(path, threads, self.spec.data.decided_bit_depth(), index)

    def _predict_all(
        self, images: Array | Sequence[Array], batch_size: int, poses: GivenPoses | None
    ) -> list[Frame]:
        given = None
        if poses is not None:
            given = poses.take(len(images))
            poses.check_end()
        source = ArraySource(images, given)
        region = self.regions.only_of_source(source, "an image")
        self.computing.prepare(len(source.images))
        if len(source.images) <= batch_size:
            # There is no second batch that threads could prepare meanwhile.
            return self.pipeline.run_once(source.images, region=region, given=given)
        pipeline = self.pipeline
        if batch_size != pipeline.batch_size:
            pipeline = pipeline.with_batch_size(batch_size)
        return [frame for result in pipeline.run(source, region=region) for frame in result.frames]

    def _predict_live(
        self, images: Iterator[Any], batch_size: int, poses: GivenPoses | None
    ) -> Iterator[Frame]:
        self.computing.prepare(None)
        first, stages = 0, self.pipeline.begin()
        while True:
            batch: list[ByteArray] = [
                as_rgb(image, f"image {first + i}") for i, image in enumerate(islice(images, batch_size))
            ]
            if not batch:
                return
            region = self.regions.only_of_source(ArraySource(batch), f"image {first} or after it")
            given = None if poses is None else poses.take(len(batch))
            yield from self.pipeline.run_once(batch, first, stages, region, given=given)
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
    tiles: GivenTiles = None,
    settings: Mapping[str, Any] | None = None,
    snapshot: str | int | None = None,
    runtime: str | None = None,
    precision: int | None = None,
    accept_drift: bool | None = None,
    **sources: Path | str | bool | None,
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
        tiles: look at large frames in overlapping tiles: the side of a tile, pixels of the frame, or side and overlap,
            ``(1280, 320)`` or ``"1280:320"``; ``"none"``: at whole frames; by default as the run says.
        settings: further changes of the run's configuration by their keys, ``{"inference.crops": 8}``; not on disk.
            What training has fixed cannot be changed (:data:`pose_core.runs.changes.CHANGEABLE`).
        snapshot: which weights of the run: ``"best"``, which training chose (by default); an epoch of which there is
            a snapshot (``train.keep``); ``"last"``, the newest of these.
        runtime: name of what computes the networks, such as ``torch``; by default as the run says, which is ``auto``
            where nothing else was written: what is known to be faster here where a stream or a list is long enough,
            else PyTorch. Only :func:`pose_core.predict` measures. ``pose runtimes`` lists those that are installed.
        precision: bits that pose networks compute with: 32; 16 on a GPU, or a CPU with bfloat16; 8 on a CPU, which is
            calibrated on images of the run's training. Both are compared on its validation images the first time. By
            default as the run says.
        accept_drift: use 16 or 8 bits even where they move keypoints by more than half a pixel; by default as the run
            says.
        sources: of what the model needs beside its network, in the place of the run's own: ``detector``, the
            folder of a trained detector; ``boxes``, a .csv or .parquet file of boxes; and those of plugins.
            True, for those that take it: poses will come with the images, ``predict(images, SOURCE=poses)``.

    Raises:
        RunError: no run folder, or its weights are missing or altered.
        ConfigError: unknown device, a plugin that the run needs is not installed, a source is not known or
            not needed, or nothing supplies what the model needs, such as boxes.
        DataError: the file of a source cannot be used.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"{argument('batch_size', str(batch_size))}: must be at least 1, in frames")
    changes = [
        make_settings_layer(settings),
        make_option_layer(
            [
                (argument("threshold"), "inference.threshold", threshold),
                (argument("max_animals"), "inference.max_animals", max_animals),
                (argument("follow"), "inference.follow", follow),
                (argument("tiles"), "inference.tiles", parse_tiles(tiles)),
                (argument("runtime"), "inference.runtime", None if runtime is None else {"type": runtime}),
                (argument("precision"), "inference.precision", precision),
                (argument("accept_drift"), "inference.accept_drift", accept_drift),
            ]
        ),
    ]
    # An option that is None was not given, so no limit, and no tiles, need a word.
    for name, value in (("max_animals", max_animals), ("tiles", tiles)):
        if value == NONE:
            changes.append(Layer({"inference": {name: None}}))
    opened = choose_snapshot(Run.open(run, RunSpec), snapshot).with_changes(changes)
    return PoseEstimator(
        opened, choose_device(device), batch_size or opened.spec.inference.batch_size, sources, region
    )
