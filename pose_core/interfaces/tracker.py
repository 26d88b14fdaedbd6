"""Tracker: the animals of frames -> who is who."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.specs.tracker import TrackerConfig
from pose_core.structures import ByteArray, FloatArray, Frame, Instances, IntArray, Skeleton

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackerContext:
    """What a tracker is told of a video.

    Attributes:
        skeleton: of the predictions.
        animals: how many there are, where the user says so; None: unknown, they may come and go. No frame may
            have more ids than that.
        linked: whether the core joins tracklets to animals afterwards, so that it is better to end a
            tracklet in doubt than to guess. False where ids are final, as they are with a camera.
        width, height: of the frames in pixels; 0 where unknown.
    """

    skeleton: Skeleton
    animals: int | None = None
    linked: bool = False
    width: int = 0
    height: int = 0


@dataclass(frozen=True, eq=False)
class TrackletEnd:
    """One end of a tracklet.

    Attributes:
        frame: number of its first (or last) frame.
        keypoints: (K, 2) pixels of the frame, NaN where missing.
        centre: (2,) mean of the keypoints, or of the box where there are none.
        velocity: (2,) pixels a frame, over its first (or last) frames.
    """

    frame: int
    keypoints: FloatArray
    centre: Floats
    velocity: Floats


@dataclass(frozen=True, eq=False)
class Tracklet:
    """What is known of a tracklet once it has ended; its poses are not kept.

    Attributes:
        id: as the tracker gave it.
        first, last: its ends.
        count: of frames in which it was seen.
        size: of the animal: the longer side of its box, mean over the frames, pixels; 0 where unknown.
        score: mean of its scores.
        identity: (number of individuals,) sum over its frames of the probabilities that the model gave them, or of
            what their names were stored with.
    """

    id: int
    first: TrackletEnd
    last: TrackletEnd
    count: int
    size: float
    score: float
    identity: Floats = field(default_factory=lambda: np.zeros(0))


class Tracker(ABC):
    """Gives the animals of one video after another frame ids, and changes nothing else.

    It is made for each video. Frames come in order of their numbers, and **time is the number of the frame**:
    numbers may be left out (frames that could not be decoded are), and a frame without animals is the same as
    one that is left out. What it keeps does not grow with the number of frames, and the order of animals
    within a frame means nothing.

    Args:
        config: of the tracker.
        context: of the video.
    """

    def __init__(self, config: TrackerConfig, context: TrackerContext) -> None:
        self.config = config
        self.context = context

    def take_image(self, frame: int, image: ByteArray) -> None:
        """Take the image of the frame that :meth:`update` is asked for next.

        Only trackers whose config names ``images`` in ``needs()`` are given any, and those must override this: that of
        each frame in which there are animals.

        Args:
            frame: its number.
            image: (H, W, 3) uint8 RGB, in whose pixels the keypoints are. It must not be changed, and what is
                kept of it must be a copy: a camera may write the next one into the same memory.
        """
        raise NotImplementedError(f"{type(self).__name__} needs images, and does not override take_image()")

    def prepare(self, frames: Sequence[Frame]) -> None:
        """Get ready for the frames that come next.

        It saves time, and no tracker needs it: stored frames come many at once, and what needs one of them alone
        (sizes, centres) may be computed for all of them by the calls that one takes. Frames of a camera are not
        announced. Nothing may be known of a frame before it comes, so :meth:`update`, :meth:`compute_margins` and
        :meth:`state_dict` give what they give without. The default does nothing.

        Args:
            frames: the next ones, in order. :meth:`update` may leave out those without animals. They must not be
                changed.
        """
        return

    @abstractmethod
    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are.

        Args:
            frame: its number, larger than those before.
            instances: its animals; they must not be changed.

        Returns:
            (N,) int64, the id of each; an id occurs once a frame. -1 leaves an animal without one. Ids count
            from 0; one that has ended does not return for another animal.
        """

    def compute_margins(self) -> FloatArray | None:
        """Compute how far each id of the last :meth:`update` was ahead of the next-best choice.

        People look at choices with small margins first. The core asks right after each update that had animals.

        Returns:
            (N,) float32 in [0, 1], in the tracker's own similarity: how much worse the matches would be, for the
            animals concerned, if this one had another id; NaN for animals without an id, that begin one, or that no
            other came into question for. None, the default: the tracker does not tell.
        """
        return None

    def finish(self, tracklets: Sequence[Tracklet]) -> Mapping[int, int] | None:
        """Decide, when all frames are over, which tracklets are of one animal.

        Args:
            tracklets: all of them, by their first frames.

        Returns:
            id of a tracklet -> id of its animal; tracklets that are not named lose their id. None, the
            default: the core joins them where the number of animals is known, else they stay as they are.
        """
        return None

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Put what it remembers into numbers, texts, lists, mappings and numpy arrays.

        A tracker made of the same config and context that is given it by :meth:`load_state_dict` goes on
        exactly as this one. The values are copies.
        """

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
