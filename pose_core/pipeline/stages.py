"""What happens to a batch of frames: one network, or several steps that build on each other.

A pipeline is a list of stages. Each sees the frames and what the stages before it found, and returns it extended, in
pixels of the frames. Whole-frame networks are one stage; a detector and the network that looks at its crops are two;
the pipeline around them (decoding, batches, threads, writing) is the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pose_core.data.geometry import FrameGeometry, Matrix, frame_view, invert
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray, Frame


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
        rows: positions of the frames in their batch.
        indices: their numbers in the video or sequence.
        images: their paths, for sequences of image files.
        width, height: of the frames in pixels.
        views: for each stage of the pipeline the view it asked for, None where it asked for none.
        frames: the frames themselves, (H, W, 3) uint8 RGB in host memory; empty unless a stage has ``needs_frames``.
        device: where the network is.
    """

    rows: list[int]
    indices: list[int]
    images: list[str | None]
    width: int
    height: int
    views: list[View | None]
    frames: list[ByteArray]
    device: torch.device

    def alone(self, view: View | None, i: int) -> tuple[FrameGroup, View | None]:
        """One frame of the group and of a stage's view, for stages in which frames depend on each other."""
        group = replace(
            self,
            rows=[self.rows[i]],
            indices=[self.indices[i]],
            images=[self.images[i]],
            frames=[self.frames[i]],
            views=[],
        )
        return group, None if view is None else View(view.images[i : i + 1], view.to_frame)


@dataclass(frozen=True)
class StageResult:
    """What the stages have found so far, in pixels of the frames, on the device.

    Attributes:
        predictions: poses; None before the first stage that finds some.
        boxes: (B, N, 4) float32 ``x1, y1, x2, y2``, NaN beyond the last; of the animals in ``predictions`` once there
            are some. None: tight boxes around the keypoints are used.
        box_scores: (B, N) float32 in [0, 1].
        tracks: (B, N) int64, the number of each animal within the video, -1 where it has none; None: nobody follows.
    """

    predictions: Predictions | None = None
    boxes: Tensor | None = None
    box_scores: Tensor | None = None
    tracks: Tensor | None = None


class Stage(ABC):
    """One step of a pipeline.

    Attributes:
        needs_frames: whether :meth:`run` uses ``group.frames`` (to cut crops at full resolution).
    """

    needs_frames: bool = False

    def begin(self, previous: Frame | None) -> Stage:
        """The stage for one stream of frames: itself, or a copy where what was found in a frame decides about the next.

        Args:
            previous: the result of the frame before the first; None at the beginning.
        """
        return self

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """How the stage wants to see a frame of this size as a whole; None if it does not.

        Views are made while the device computes the batch before.
        """
        return None

    @abstractmethod
    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """What was found, extended.

        Called in inference mode with a whole group; must not loop over its frames in Python where that can be helped.
        """


class WholeFrameStage(Stage):
    """A network that sees the whole frame: one animal, or several that it tells apart itself.

    Args:
        model: on its device.
        spec: of the run.
    """

    def __init__(self, model: PoseModel, spec: RunSpec) -> None:
        self._model = model
        self._preprocess = spec.model.decided_preprocess()

    def view(self, width: int, height: int) -> FrameGeometry:
        """Resized by the run's scale and padded on the right and at the bottom, as in training."""
        return frame_view(width, height, self._preprocess, self._model.size_multiple)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The network's animals, moved to pixels of the frames."""
        assert view is not None
        return StageResult(predictions_through(self._model.predict(view.images), view.to_frame))


def points_through(points: Tensor, matrix: Matrix) -> Tensor:
    """(..., 2) points through an affine (3, 3) matrix, float32, on their device; NaN stays NaN."""
    x, y = points.unbind(-1)
    # Sums of products instead of a matrix product: GPUs may compute those with fewer digits.
    a, b = (x * float(row[0]) + y * float(row[1]) + float(row[2]) for row in np.asarray(matrix)[:2])
    return torch.stack([a, b], dim=-1)


def predictions_through(predictions: Predictions, matrix: Matrix) -> Predictions:
    """Predictions whose points are moved by an affine (3, 3) matrix."""
    return replace(
        predictions,
        keypoints=points_through(predictions.keypoints, matrix),
        unique_keypoints=points_through(predictions.unique_keypoints, matrix),
    )


def run_stages(stages: Sequence[Stage], group: FrameGroup) -> StageResult:
    """One stage after the other."""
    found = StageResult()
    with torch.inference_mode():
        for stage, view in zip(stages, group.views, strict=True):
            found = stage.run(group, view, found)
    if found.predictions is None:
        raise ValueError(f"{type(stages[-1]).__name__} ends the pipeline without poses")
    return found


def make_view(pixels: Tensor, geometry: FrameGeometry, device: torch.device) -> View:
    """A view from (B, h, w, 3) uint8 host memory; on the device it is channels last without being rearranged."""
    images = pixels.to(device, non_blocking=device.type == "cuda").permute(0, 3, 1, 2)
    return View(images, invert(geometry.matrix))
