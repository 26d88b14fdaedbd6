"""Follow animals as frames come, from a camera for example."""

from __future__ import annotations

from dataclasses import replace

from pose_core.errors import DataError
from pose_core.interfaces.tracker import TrackerContext
from pose_core.structures import Frame, Skeleton
from pose_core.tracking.choose import GivenTracker, ask_tracker, check_animals, choose_tracker, make_tracker


class FrameTracker:
    """Give the animals of one frame after another their tracks.

    ::

        tracker = pose_core.FrameTracker(skeleton, animals=3)
        for frame in frames:
            frame = tracker.update(frame)  # frame.instances.track

    Ids are final at once. :func:`pose_core.track` sees the whole video, and joins the pieces of an animal that was
    lost; without a number of animals both give the same ids.

    Args:
        skeleton: of the animals.
        tracker: name of a tracker, or a mapping with settings; None: the recommended one.
        animals: how many there are; None: unknown.
        width, height: of the frames in pixels; 0 where unknown.

    Raises:
        ConfigError: no such tracker is installed, a setting is wrong, or ``animals`` is below 1.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        tracker: GivenTracker = None,
        *,
        animals: int | None = None,
        width: int = 0,
        height: int = 0,
    ) -> None:
        check_animals(animals)
        context = TrackerContext(skeleton, animals, width=width, height=height)
        self._tracker = make_tracker(choose_tracker(tracker), context)
        self._last: int | None = None

    def update(self, frame: Frame) -> Frame:
        """Give the animals of the next frame their tracks.

        Args:
            frame: its number must be larger than those before; numbers may be left out.

        Returns:
            the same frame with ``instances.track`` set, -1 for an animal that has none, and
            ``instances.track_margins``.

        Raises:
            DataError: the frame is out of order.
        """
        if self._last is not None and frame.index <= self._last:
            raise DataError(
                f"frame {frame.index} comes after frame {self._last}; give a tracker frames in order, each once"
            )
        self._last = frame.index
        if not len(frame.instances):
            return frame
        ids, margins = ask_tracker(self._tracker, frame)
        return replace(frame, instances=replace(frame.instances, track=ids, track_margins=margins))
