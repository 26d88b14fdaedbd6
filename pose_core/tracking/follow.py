"""Follow the animals of a video: ids for all frames, in two passes over what is stored.

The first pass asks the tracker, and keeps the ids alone; then tracklets are joined; the second pass puts the ids
into the frames as they go to a writer. Memory does not grow with the number of frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from pose_core.errors import DataError, argument
from pose_core.interfaces.tracker import Tracker, TrackerContext
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.structures import Frame, Instances
from pose_core.tracking.choose import Tracking, ask_tracker, make_tracker
from pose_core.tracking.linking import link_tracklets
from pose_core.tracking.naming import name_tracks
from pose_core.tracking.tracklets import TrackletCollector

_IN_MEMORY = 1 << 22
_EVERY = 500

_STORED: Mapping[str, Callable[[Instances], object]] = {
    "keypoints": lambda animals: np.isfinite(animals.keypoints).any(),
    "scores": lambda animals: (
        (np.nan_to_num(animals.scores) > 0).any() or (animals.keypoint_scores > 0).any()
    ),
    "boxes": lambda animals: np.isfinite(animals.animal_boxes()).any(),
    "identities": lambda animals: (animals.identity >= 0).any(),
}
"""Whether animals have what a tracker may need, by the word for it."""


@dataclass(frozen=True)
class TrackCounts:
    """What a tracker made of a video.

    Attributes:
        frames: that were read.
        animals: found in them, all frames together.
        tracklets: that the tracker itself made.
        tracks: ids in the result.
        without: animals, all frames together, that have no id.
        dropped: tracklets that belong to no animal.
    """

    frames: int
    animals: int
    tracklets: int
    tracks: int
    without: int
    dropped: int


class TrackedFrames:
    """The ids of all animals of a video.

    Args:
        frames: gives all frames from the first on, each time that it is called.
        header: of the predictions.
        tracking: the tracker, and how many animals there are.
        name: how messages call the predictions.
        progress: gets the number of frames that were looked at, now and then.

    Attributes:
        counts: of what was found.

    Raises:
        DataError: frames are out of order, or predictions lack what the tracker needs.
    """

    counts: TrackCounts

    def __init__(
        self,
        frames: Callable[[], Iterable[Frame]],
        header: PredictionsHeader,
        tracking: Tracking,
        name: str = "",
        progress: Callable[[int], None] = lambda frames: None,
    ) -> None:
        self._name = name or header.source
        self._config, self._animals = tracking.config, tracking.animals
        context = TrackerContext(
            header.skeleton,
            self._animals,
            linked=self._animals is not None,
            width=header.width,
            height=header.height,
        )
        tracker = make_tracker(self._config, context)
        with ExitStack() as stack:
            # Ids are kept apart from frames: a tracker may join tracklets when it has seen all of them.
            self._file = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
            self._tracks, self._individuals = self._follow(
                frames(), tracker, TrackletCollector(header.skeleton), progress
            )
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory or file of the ids back."""
        self._file.close()

    def apply(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Put the ids into the same frames, given once more.

        What they had as tracks is replaced. Where names are stored, an animal gets the name of its track.

        Raises:
            DataError: the frames are others.
        """
        self._file.seek(0)
        for frame in frames:
            animals = frame.instances
            ids = np.frombuffer(self._file.read(8 * len(animals)), np.int64)
            if len(ids) != len(animals):
                raise DataError(
                    f"{self._name}: has other animals than a moment ago (frame {frame.index}); track it again when it "
                    "is no longer written"
                )
            tracks = np.array([self._tracks.get(i, -1) for i in ids.tolist()], np.int64)
            named = [self._individuals.get(track, (-1, 0.0)) for track in tracks.tolist()]
            yield replace(
                frame,
                instances=replace(
                    animals,
                    track=tracks,
                    identity=np.array([individual for individual, _ in named], np.int64),
                    identity_scores=np.array([score for _, score in named], np.float32),
                ),
            )

    def _follow(
        self,
        frames: Iterable[Frame],
        tracker: Tracker,
        collector: TrackletCollector,
        progress: Callable[[int], None],
    ) -> tuple[Mapping[int, int], Mapping[int, tuple[int, float]]]:
        """Ask the tracker for the ids of all frames, join tracklets and name them.

        Returns:
            id of a tracklet -> its track; track -> the individual and its score.
        """
        read = found = without = 0
        previous: int | None = None
        lacking = set(self._config.needs())
        for frame in frames:
            if previous is not None and frame.index <= previous:
                raise DataError(
                    f"{self._name}: frame {frame.index} comes after frame {previous}; trackers need frames in "
                    "order, each once: sort the file, or predict again"
                )
            previous = frame.index
            read += 1
            animals = frame.instances
            if len(animals):
                ids = ask_tracker(tracker, frame)
                lacking -= {need for need in lacking if _STORED[need](animals)}
                collector.add(frame, ids)
                self._file.write(np.ascontiguousarray(ids, np.int64).tobytes())
                found += len(ids)
                without += int((ids < 0).sum())
            if read % _EVERY == 0:
                progress(read)
        progress(read)
        if lacking and found:
            raise DataError(
                f"{self._name}: the tracker {self._config.type} needs {' and '.join(sorted(lacking))}, and no "
                f"animal has any; choose another {argument('tracker')}"
            )
        tracklets = collector.collect()
        names = tracker.finish(tracklets)
        if names is None and self._animals is not None:
            names = link_tracklets(tracklets, self._animals)
        if names is None:
            names = {tracklet.id: tracklet.id for tracklet in tracklets}
        dropped = [tracklet.count for tracklet in tracklets if names.get(tracklet.id, -1) < 0]
        without += sum(dropped)
        tracks = len({name for name in names.values() if name >= 0})
        self.counts = TrackCounts(read, found, len(tracklets), tracks, without, len(dropped))
        return names, name_tracks(tracklets, names)
