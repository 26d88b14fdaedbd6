"""Filter: tracks -> the same, smoothed, or with gaps filled in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_core.interfaces.tracker import Floats
from pose_core.specs.filter import FilterConfig
from pose_core.structures import Skeleton


@dataclass(frozen=True)
class FilterContext:
    """What a filter is told of a video.

    Attributes:
        skeleton: of the predictions.
        fps: frames a second; 0 where unknown.
    """

    skeleton: Skeleton
    fps: float = 0.0


@dataclass(frozen=True, eq=False)
class Series:
    """Keypoints of A animals over T successive frames.

    Frames that are not stored, or in which an animal was not found, are rows of NaN. Keypoints that exist once a
    frame come as a series of their own, of one animal.

    Attributes:
        points: (T, A, K, 2) pixels of the frame; NaN where missing.
        scores: (T, A, K) in [0, 1]; 0 where missing or filled in.
        filled: (T, A, K) whether a keypoint was filled in and not measured.
    """

    points: Floats
    scores: Floats
    filled: npt.NDArray[np.bool_]


class Filter(ABC):
    """Moves keypoints of tracks, fills gaps in, or takes keypoints away.

    A video comes in windows, so that memory does not grow with its length; what a filter makes of a frame must not
    depend on the window that the frame comes in.

    Args:
        config: of the filter.
        context: of the video.
    """

    def __init__(self, config: FilterConfig, context: FilterContext) -> None:
        self.config = config
        self.context = context

    @property
    @abstractmethod
    def reach(self) -> int:
        """How many frames before and after a frame decide what becomes of it."""

    @abstractmethod
    def apply(self, series: Series) -> Floats:
        """Filter the keypoints of a window.

        Args:
            series: at least :attr:`reach` frames more on either side than are used of the result, unless the video
                begins or ends there; it must not be changed. Animals have nothing to do with each other, and their
                order means nothing.

        Returns:
            (T, A, K, 2) float64. A keypoint where there was none is filled in: it is stored with score 0. NaN where
            there was one takes it away.
        """
