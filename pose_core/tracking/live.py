"""Follow animals as frames come, from a camera for example."""

from __future__ import annotations

from dataclasses import replace

from pose_core.errors import DataError
from pose_core.interfaces.tracker import TrackerContext
from pose_core.structures import ByteArray, Frame, Skeleton
from pose_core.tracking.choose import GivenTracker, ask_tracker, check_animals, choose_tracker, make_tracker


class FrameTracker:
    """Give the animals of one frame after another their tracks.

    ::

        tracker = pose_core.FrameTracker(skeleton, animals=3)
        for frame in frames:
            frame = tracker.update(frame)  # frame.instances.track

    Ids are final at once. :func:`pose_core.track` sees the whole video, and joins the pieces of an animal that was
    lost; without a number of animals both give the same ids. A tracker that needs images is given them beside the
    frames: ``tracker.update(frame, image)``.

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
        config = choose_tracker(tracker)
        self._needs_images = "images" in config.needs()
        self._tracker = make_tracker(config, context)
        self._last: int | None = None

    def update(self, frame: Frame, image: ByteArray | None = None) -> Frame:
        """Give the animals of the next frame their tracks.

        Args:
            frame: its number must be larger than those before; numbers may be left out.
            image: (H, W, 3) or (H, W) uint8, RGB or gray. Trackers that need no images do not look at it.

        Returns:
            the same frame with ``instances.track`` set, -1 for an animal that has none, and
            ``instances.track_margins``.

        Raises:
            DataError: the frame is out of order; or the tracker needs its image, and it is not given, or no image.
        """
        if self._last is not None and frame.index <= self._last:
            raise DataError(
                f"frame {frame.index} comes after frame {self._last}; give a tracker frames in order, each once"
            )
        seen = self._check_image(frame, image)
        self._last = frame.index
        if not len(frame.instances):
            return frame
        ids, margins = ask_tracker(self._tracker, frame, seen)
        return replace(frame, instances=replace(frame.instances, track=ids, track_margins=margins))

    def _check_image(self, frame: Frame, image: ByteArray | None) -> ByteArray | None:
        if not self._needs_images:
            return None
        if image is None:
            raise DataError(
                f"frame {frame.index}: the tracker {self._tracker.config.type} needs images; give each frame with its "
                "own: update(frame, image)"
            )
        # Here, since it brings the reading of videos in, which other trackers do without.
        from pose_core.pipeline.sources import as_rgb

        return as_rgb(image, f"the image of frame {frame.index}")
