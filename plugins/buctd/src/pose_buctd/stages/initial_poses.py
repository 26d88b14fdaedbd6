"""Where the poses come from that the network refines: a network that sees whole frames, or a file of
predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pose_buctd.config import InitialPosesConfig
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import (
    EarlierStages,
    FrameGeometry,
    FrameGroup,
    FrameNetwork,
    Predictions,
    Stage,
    StageContext,
    StageResult,
    View,
    open_predictions,
)
from pose_core.structures import Frame, Region, Skeleton


def make_initial_poses(config: InitialPosesConfig, context: StageContext) -> Stage:
    """The stage for what the supplier was given: poses with each image, a file, or the run of a network.

    Raises:
        ConfigError: the network looks at crops and nothing finds animals for it, or it finds other keypoints.
        DataError: the file cannot be read, or holds other keypoints.
    """
    if context.memory:
        return GivenPosesStage(context.memory, context.skeleton)
    if context.file is not None:
        return PoseFileStage(read_poses(context.file, context.skeleton), context.skeleton)
    if context.network is not None and context.network.skeleton.keypoints != context.skeleton.keypoints:
        raise ConfigError(
            f"{context.origin}: finds {', '.join(context.network.skeleton.keypoints)}; the model refines "
            f"{', '.join(context.skeleton.keypoints)}"
        )
    if context.crops is None:
        return NetworkPosesStage(context.whole_frames(), context)
    if context.inner:
        return ChainPosesStage(context)
    raise ConfigError(
        f"{context.origin}: looks at crops and has no network of its own that finds the animals; train it with "
        "one, or predict the video with it and give that file instead"
    )


class NetworkPosesStage(Stage):
    """Poses that another network finds in whole frames.

    Args:
        network: of a bottom-up model, as it sees frames.
        context: of the stage, with the skeleton of the run that refines them.
    """

    def __init__(self, network: FrameNetwork, context: StageContext) -> None:
        self._network = network
        self._rename = _Names(context)

    def view(self, width: int, height: int) -> FrameGeometry:
        """As the network wants to see it."""
        return self._network.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The network's animals."""
        assert view is not None
        return replace(found, predictions=self._rename(self._network.predict(view)))


class ChainPosesStage(Stage):
    """Poses of a run of several networks: a top-down model with its centroid model or detector.

    Args:
        context: of the stage; its ``inner`` stages predict with the run.
    """

    def __init__(self, context: StageContext) -> None:
        self._stages = EarlierStages(context.inner)
        self.needs_frames = self._stages.needs_frames
        self._rename = _Names(context)

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """As the first of its networks wants to see the frame."""
        return self._stages.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The animals of its last network."""
        poses = self._stages.run(group, view).predictions
        assert poses is not None
        return replace(found, predictions=self._rename(poses))


class _Names:
    """Takes the names off animals of another project: names are numbers of individuals, and those are others."""

    def __init__(self, context: StageContext) -> None:
        self._individuals = context.skeleton.num_individuals
        network = context.network
        self._known = network is not None and network.skeleton.individuals == context.skeleton.individuals

    def __call__(self, poses: Predictions) -> Predictions:
        return poses if self._known else poses.without_names(self._individuals)


class KnownPosesStage(Stage, ABC):
    """Poses that are known already.

    Args:
        skeleton: of the model.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton

    @abstractmethod
    def find(self, group: FrameGroup) -> list[Frame | None]:
        """Find the poses of each frame of a group, in pixels of the stored frame; None where nothing is known."""

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The poses of the frames of this group."""
        frames = [_seen(frame, group.region) for frame in self.find(group)]
        animals = max((len(f.instances) for f in frames if f is not None), default=0)
        k = self._skeleton.num_keypoints
        points = np.full((len(frames), animals, k, 2), np.nan, np.float32)
        point_scores = np.zeros((len(frames), animals, k), np.float32)
        scores = np.zeros((len(frames), animals), np.float32)
        for row, frame in enumerate(frames):
            if frame is not None:
                n = len(frame.instances)
                points[row, :n], scores[row, :n] = frame.instances.keypoints, frame.instances.scores
                point_scores[row, :n] = frame.instances.keypoint_scores
        none = Predictions.none(len(frames), self._skeleton, group.device)
        arrays = (torch.from_numpy(array).to(group.device) for array in (points, point_scores, scores))
        return replace(found, predictions=none.with_animals(*arrays))


class PoseFileStage(KnownPosesStage):
    """Poses of a file; a frame that it does not hold has none.

    Args:
        frames: with their animals, by frame number.
        skeleton: of the model.
    """

    def __init__(self, frames: dict[int, Frame], skeleton: Skeleton) -> None:
        super().__init__(skeleton)
        self._frames = frames

    def find(self, group: FrameGroup) -> list[Frame | None]:
        """By the numbers of the frames."""
        return [self._frames.get(index) for index in group.indices]


class GivenPosesStage(KnownPosesStage):
    """Poses that a caller gives with each image.

    Args:
        name: of the supplier that they are given to.
        skeleton: of the model.
    """

    def __init__(self, name: str, skeleton: Skeleton) -> None:
        super().__init__(skeleton)
        self._name = name

    def find(self, group: FrameGroup) -> list[Frame | None]:
        """Those that came with the images."""
        return [
            Frame(index, given[self._name]) for index, given in zip(group.indices, group.given, strict=True)
        ]


def _seen(frame: Frame | None, region: Region | None) -> Frame | None:
    """The animals of a stored frame that show in a part of it, in pixels of that part."""
    if frame is None or region is None:
        return frame
    moved = frame.moved(-region.x1, -region.y1)
    points = moved.instances.keypoints
    with np.errstate(invalid="ignore"):
        inside = ((points > -1) & (points < (region.x2 - region.x1, region.y2 - region.y1))).all(-1).any(-1)
    return replace(moved, instances=moved.instances.select(inside))


def read_poses(path: Path, skeleton: Skeleton) -> dict[int, Frame]:
    """The poses in a file of predictions, of any installed format that can be read back, by frame number.

    Raises:
        DataError: the file cannot be read, or its keypoints are others than the model's.
    """
    stream = open_predictions(path)
    names = stream.header.skeleton.keypoints
    if names != skeleton.keypoints:
        raise DataError(
            f"{path}: holds {', '.join(names)}; the model refines {', '.join(skeleton.keypoints)}"
        )
    return {frame.index: frame for frame in stream}
