"""Stage: one step of a pipeline that turns frames into animals.

A pipeline is a list of stages. Each sees the frames and what the stages before it found, and returns it
extended, in pixels of the frames. A network that sees whole frames is one stage; a detector and the network
that looks at its crops are two; the pipeline around them (decoding, batches, threads, writing) is the same.

A stage is made as ``factory(config, context)``; the factory may return another stage than its own class where
the context calls for it (a crop stage that follows one animal, where ``context.follow``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces.geometry import FrameGeometry, Matrix
from pose_core.interfaces.tensors import Predictions
from pose_core.interfaces.thresholds import Thresholds
from pose_core.structures import ByteArray, FloatArray, Frame, Instances, LabelledImage, Region, Skeleton

T = TypeVar("T")

Picture = ByteArray | Tensor
"""A frame, (H, W, 3) uint8 RGB: in host memory, or a tensor on the device."""


@dataclass(frozen=True)
class View:
    """Frames as one stage wants to see them.

    Attributes:
        images: (B, 3, h, w) uint8 RGB, channels last, on the device.
        to_frame: (3, 3) float64, pixels of ``images`` -> pixels of the frames.
    """

    images: Tensor
    to_frame: Matrix


@dataclass(frozen=True)
class FrameGroup:
    """Frames of equal size that are computed together; a batch of frames of a video is one group.

    Attributes:
        indices: their numbers in the video or sequence.
        images: their paths, for sequences of image files.
        width, height: of the frames in pixels.
        views: for each stage of the pipeline the view it asked for, None where it asked for none.
        frames: the frames themselves, (H, W, 3) uint8 RGB in host memory that is used again after
            :meth:`Stage.run`; empty unless a stage has ``needs_frames``. Where they were decoded on the device, each is
            copied when it is asked for.
        device: where the networks are.
        region: the part of the stored frames that these are, where only a part is looked at; None: all.
            Whatever a stage reads of frames elsewhere, such as a file of boxes, is in pixels of the stored
            frames; what it finds is in pixels of these.
        given: for each frame the poses that a caller gave with it, by the name of their supplier, in pixels of the
            stored frames; a supplier's ``context.memory`` is that name.
        on_device: (B, H, W, 3) uint8, the frames on the device, where the pipeline makes views there; else None.
    """

    indices: list[int]
    images: list[str | None]
    width: int
    height: int
    views: list[View | None]
    frames: Sequence[ByteArray]
    device: torch.device
    region: Region | None = None
    given: Sequence[Mapping[str, Instances]] = ()
    on_device: Tensor | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.indices)

    @property
    def pictures(self) -> Sequence[Picture]:
        """The frames as networks cut crops from them soonest: on the device if they are there, else :attr:`frames`."""
        return self.frames if self.on_device is None else self.on_device.unbind()

    def alone(self, view: View | None, i: int) -> tuple[FrameGroup, View | None]:
        """One frame of the group and of a stage's view, for stages in which frames depend on each other."""
        group = replace(
            # The views are those of all stages, while one stage goes on with its own only: it is returned
            # beside the group.
            self,
            indices=[self.indices[i]],
            images=[self.images[i]],
            frames=self.frames[i : i + 1],
            given=self.given[i : i + 1],
            on_device=None if self.on_device is None else self.on_device[i : i + 1],
            views=[],
        )
        return group, None if view is None else View(view.images[i : i + 1], view.to_frame)


@dataclass(frozen=True)
class StageResult:
    """Findings of the stages so far, in pixels of the frames, on the device.

    Attributes:
        predictions: poses; None before the first stage that finds some.
        boxes: (B, N, 4) float32 ``x1, y1, x2, y2``, NaN beyond the last; of the animals in ``predictions``
            once there are some. None: tight boxes around the keypoints are used.
        box_scores: (B, N) float32 in [0, 1].
        tracks: (B, N) int64, the number of each animal within the video, -1 where it has none; None: no stage
            follows animals.
    """

    predictions: Predictions | None = None
    boxes: Tensor | None = None
    box_scores: Tensor | None = None
    tracks: Tensor | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> StageResult:
        """The same on another device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=non_blocking)

        predictions = self.predictions
        return StageResult(
            None if predictions is None else predictions.to(device, non_blocking),
            moved(self.boxes),
            moved(self.box_scores),
            moved(self.tracks),
        )


# Protocols, so that the interfaces of plugins depend neither on the model nor on the pipeline that
# implement these.
class Network(Protocol):
    """A trained pose network by itself: images in, animals in pixels of these images out."""

    @property
    def skeleton(self) -> Skeleton:
        """Skeleton that it finds."""

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""

    @property
    def size_multiple(self) -> int:
        """Height and width of images must be multiples of it."""

    def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
        """Find the animals in images.

        Args:
            images: (B, 3, H, W) uint8 RGB on its device.
            initial: what its extra inputs are made of, in pixels of ``images``, for networks that have some.
        """


class FrameNetwork(Protocol):
    """A pose network through which whole frames are seen; animals come out in pixels of the frames."""

    @property
    def fixed_size(self) -> bool:
        """Whether it takes inputs of one size only, so that there are no windows."""

    def view(self, width: int, height: int) -> FrameGeometry:
        """Decide its view of a frame of this size: resized and padded on the right and at the bottom, as in
        training."""

    def predict(self, view: View, initial: Predictions | None = None) -> Predictions:
        """Find the animals of frames.

        Args:
            view: of the frames, made by :meth:`view`.
            initial: in pixels of the frames, for networks with extra inputs.
        """

    def predict_frame(self, frame: Picture) -> Predictions:
        """Find the animals of one frame (H, W, 3) that is not in the view of a stage."""

    def predict_window(self, frame: Picture, box: FloatArray) -> Predictions:
        """Find the animals in a window of one frame around a box (4,), at the resolution of the whole
        view."""


class CropNetwork(Protocol):
    """A pose network through which crops around animals are seen; animals come out in pixels of the
    frames."""

    @property
    def fixed_extent(self) -> bool:
        """Whether crops have a fixed extent (``model.preprocess.extent``), so that boxes may be points."""

    def boxes_around(self, keypoints: FloatArray) -> FloatArray:
        """Make the boxes that crops around poses are cut around, as around labelled animals in training.

        Args:
            keypoints: (A, K, 2) in pixels of the frames, NaN where missing; K as of
                its skeleton.

        Returns:
            (A, 4) float32 ``x1, y1, x2, y2``; NaN for a pose without keypoints.
        """

    def predict_frame(self, frame: Picture) -> Predictions:
        """Find the animal of one frame (H, W, 3) in a crop that shows all of it, as when it was lost."""

    def predict(
        self, frames: Sequence[Picture], boxes: FloatArray, initial: Predictions | None = None
    ) -> Predictions:
        """Find the animal in the crop around each box.

        Of a network whose crops have a fixed extent (``model.preprocess.extent``) only the centre of a box
        counts, and it may be a point.

        Args:
            frames: for each box its frame, (H, W, 3) uint8 RGB, one of ``group.pictures``.
            boxes: (A, 4) finite ``x1, y1, x2, y2`` in pixels of the frames.
            initial: for networks with extra inputs: A images with one animal each, in pixels of the frames.

        Returns:
            predictions of A images with one animal each.
        """


class BoxNetwork(Protocol):
    """A detector through which whole frames are seen; boxes come out in pixels of the frames, and within them
    unless crops have a fixed extent."""

    def view(self, width: int, height: int) -> FrameGeometry:
        """Decide its view of a frame of this size."""

    def predict(self, view: View, width: int, height: int) -> tuple[Tensor, Tensor]:
        """Find the boxes of animals, best first.

        Args:
            view: of the frames, made by :meth:`view`.
            width: of the frames, pixels.
            height: of the frames, pixels.

        Returns:
            boxes (B, N, 4), NaN beyond the last, and scores (B, N), 0 beyond the last.
        """


@dataclass(frozen=True)
class StageContext:
    """Surroundings of a stage: networks, limits and earlier stages that it may use.

    Attributes:
        skeleton: of the run that predicts.
        device: where its networks are.
        origin: where the stage comes from, for messages: the name of the model, or the argument that names a
            run.
        max_animals: at most so many animals a frame; None: any number.
        threshold: keypoints with a lower score will be reported as missing; of all, or by name, see
            :attr:`keypoint_thresholds`.
        follow: whether it is to start from what was found in the frame before.
        follow_threshold: an animal is lost below this mean score of its keypoints.
        min_box: boxes around keypoints are enlarged to be at least so long, pixels of the frame; 0 in methods
            that see whole frames.
        centre: where the centre of an animal is: ``box``, ``keypoints`` or the name of a keypoint.
        network: the network of the run, or of the run that its supplier was given; None for other stages.
        frames, crops, boxes: the same network as it sees frames; at most one of them is there.
        file: what its supplier was given, where that is a file.
        memory: name of its supplier, where poses come with each image (``group.given``); empty otherwise.
        labels: the labelled images that are evaluated, by frame number, where its supplier takes labels.
        before: the stages that supply what it needs, and those before them.
        inner: the stages that predict with the run that its supplier was given, where that run has networks of its
            own that it builds on: a top-down model with its detector or centroid model. :class:`EarlierStages`
            runs them.
    """

    skeleton: Skeleton
    device: torch.device
    origin: str
    max_animals: int | None = None
    threshold: float | Mapping[str, float] = 0.0
    follow: bool = False
    follow_threshold: float = 0.0
    min_box: float = 0.0
    centre: str = "box"
    network: Network | None = None
    frames: FrameNetwork | None = None
    crops: CropNetwork | None = None
    boxes: BoxNetwork | None = None
    file: Path | None = None
    memory: str = ""
    labels: Sequence[LabelledImage] | None = None
    before: Sequence[Stage] = field(default=())
    inner: Sequence[Stage] = field(default=())

    @property
    def keypoint_thresholds(self) -> FloatArray:
        """(K,) float32, the least score with which each keypoint will be reported.

        Raises:
            ConfigError: ``threshold`` names a keypoint that there is not.
        """
        return Thresholds.of(self.threshold, self.skeleton).keypoints

    def whole_frames(self) -> FrameNetwork:
        """The network that sees whole frames.

        Raises:
            ConfigError: there is none.
        """
        return self._there(self.frames, "a pose network that looks at whole frames")

    def in_crops(self) -> CropNetwork:
        """The network that sees crops.

        Raises:
            ConfigError: there is none.
        """
        return self._there(self.crops, "a pose network that looks at crops")

    def detector(self) -> BoxNetwork:
        """The detector.

        Raises:
            ConfigError: there is none.
        """
        return self._there(self.boxes, "a detector")

    def _there(self, network: T | None, what: str) -> T:
        if network is None:
            raise ConfigError(f"{self.origin}: is not {what}, which is needed here; name the run of one")
        return network


class Stage(ABC):
    """One step of a pipeline.

    Attributes:
        needs_frames: whether :meth:`run` uses ``group.frames`` (to cut crops at full resolution).
        sequential: whether what it finds in a frame depends on the frame before. Only then must frames go
            through it in order, in batches of one size and without a gap.
        takes_over: whether it runs the stages of ``context.before`` itself, where it finds that it needs
            them.
    """

    # Class attributes: the pipeline decides on threads and memory before any frame is read.
    needs_frames: bool = False
    sequential: bool = False
    takes_over: bool = False

    def begin(self, previous: Frame | None) -> Stage:
        """The stage for one stream of frames: itself, or a copy where what was found in a frame decides about
        the next.

        Args:
            previous: the result of the frame before the first; None at the beginning.
        """
        return self

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """Decide the view of a whole frame of this size; None if the stage needs none.

        Views are made while the device computes the batch before.
        """
        return None

    @abstractmethod
    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """Findings so far, extended by this stage's.

        Called in inference mode with a whole group; must not loop over its frames in Python where that can be
        helped.
        """


class EarlierStages:
    """The stages that another one takes over, run where it asks for them.

    Args:
        stages: ``context.before``; one of them at most may want to see whole frames.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = list(stages)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._stages)

    @property
    def needs_frames(self) -> bool:
        """Whether one of them uses ``group.frames``."""
        return any(stage.needs_frames for stage in self._stages)

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """Decide the view of a whole frame that one of them wants."""
        views = [view for stage in self._stages if (view := stage.view(width, height)) is not None]
        # The stage that takes over passes on its own view, and there is one of it.
        if len(views) > 1:
            raise ValueError("stages that are taken over by another want more than one view of a frame")
        return views[0] if views else None

    def run(self, group: FrameGroup, view: View | None) -> StageResult:
        """Run them one after the other."""
        found = StageResult()
        for stage in self._stages:
            # Asked again for each size: a stage may see small frames as a whole and large ones in windows.
            wanted = stage.view(group.width, group.height) is not None
            found = stage.run(group, view if wanted else None, found)
        return found
