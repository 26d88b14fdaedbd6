"""Follow the animals of a video: ids for all frames, in two passes over what is stored.

The first pass asks the tracker, and keeps the ids alone; then tracklets are joined; the second pass puts the ids
into the frames as they go to a writer. Where a person corrected tracks, a pass in between sums up the tracklets that
are cut. Memory does not grow with the number of frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from pose_core.errors import DataError, PoseError, argument
from pose_core.interfaces.tracker import Tracker, TrackerContext
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.structures import ByteArray, FloatArray, Frame, Instances, IntArray
from pose_core.tracking.choose import Tracking, ask_tracker, make_tracker
from pose_core.tracking.corrections import Correction, Cuts, decide
from pose_core.tracking.doubts import DoubtFinder
from pose_core.tracking.linking import link_tracklets
from pose_core.tracking.naming import name_tracks
from pose_core.tracking.relinking import relink_tracklets
from pose_core.tracking.tracklets import TrackletCollector

if TYPE_CHECKING:
    from pose_core.tracking.frame_images import ReadImage

_IN_MEMORY = 1 << 22
_EVERY = 500

_FRAMES, _ANIMALS = 256, 4096
"""Frames that are held at once, at most, and animals from which on they are fewer. What is done for all of them takes
little longer than for one."""

_ROW = np.dtype([("id", np.int64), ("margin", np.float32)])

_STORED: Mapping[str, Callable[[Instances], object]] = {
    "keypoints": lambda animals: np.isfinite(animals.keypoints).any(),
    "scores": lambda animals: (
        (np.nan_to_num(animals.scores) > 0).any() or (animals.keypoint_scores > 0).any()
    ),
    "boxes": lambda animals: np.isfinite(animals.animal_boxes()).any(),
    "identities": lambda animals: (
        (animals.identity >= 0).any() or np.isfinite(animals.identity_probabilities).any()
    ),
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
        images: reads those of frames, for a tracker that needs them.

    Attributes:
        counts: of what was found.
        span: numbers of the first and the last frame.
        names: track -> its individual and how much speaks for that, where a track has one.

    Raises:
        DataError: frames are out of order, predictions lack what the tracker needs, an image cannot be read, or
            corrections do not fit.
    """

    counts: TrackCounts
    span: tuple[int, int]

    def __init__(
        self,
        frames: Callable[[], Iterable[Frame]],
        header: PredictionsHeader,
        tracking: Tracking,
        name: str = "",
        progress: Callable[[int], None] = lambda frames: None,
        images: ReadImage | None = None,
    ) -> None:
        self._name = name or header.source
        self._config, self._animals = tracking.config, tracking.animals
        if tracking.needs_images and images is None:
            raise ValueError(f"the tracker {self._config.type} needs images")
        self._images = images if tracking.needs_images else None
        self._skeleton = header.skeleton
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
            self._cuts: Cuts | None = None
            self._tracks, self.names = self._follow(frames, tracker, tracking.corrections, progress)
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

    def make_doubt_finder(self) -> DoubtFinder:
        """Make what finds doubts; for ``watch`` of :meth:`apply`."""
        names = {track: individual for track, (individual, _) in self.names.items()}
        return DoubtFinder(self._skeleton, names)

    def apply(
        self, frames: Iterable[Frame], watch: Callable[[Frame, IntArray], None] = lambda frame, ids: None
    ) -> Iterator[Frame]:
        """Put the ids into the same frames, given once more.

        What they had as tracks and margins is replaced. Where names are stored, an animal gets the name of its track.

        Args:
            frames: all of them, as before.
            watch: gets each frame as it is given back, and the tracklets (N,) of its animals, -1 for none.

        Raises:
            DataError: the frames are others.
        """
        for block, ids, margins in self._recall(frames):
            tracks = np.array([self._tracks.get(i, -1) for i in ids.tolist()], np.int64)
            named = [self.names.get(track, (-1, 0.0)) for track in tracks.tolist()]
            identity = np.array([individual for individual, _ in named], np.int64)
            sure = np.array([score for _, score in named], np.float32)
            margins = np.where(tracks >= 0, margins, np.float32(np.nan))
            for frame, rows in _take_rows(block):
                done = replace(
                    frame,
                    instances=replace(
                        frame.instances,
                        track=tracks[rows],
                        track_margins=margins[rows],
                        identity=identity[rows],
                        identity_scores=sure[rows],
                    ),
                )
                watch(done, ids[rows])
                yield done

    def _recall(self, frames: Iterable[Frame]) -> Iterator[tuple[list[Frame], IntArray, FloatArray]]:
        """Yield some frames, and the tracklets (N,) and margins (N,) of all their animals, as the tracker gave them."""
        self._file.seek(0)
        for block in _take_blocks(frames):
            counts = [len(frame.instances) for frame in block]
            rows = np.frombuffer(self._file.read(_ROW.itemsize * sum(counts)), _ROW)
            if len(rows) != sum(counts):
                first = int(np.searchsorted(np.cumsum(counts), len(rows), side="right"))
                raise DataError(
                    f"{self._name}: has other animals than a moment ago (frame {block[first].index}); track it again "
                    "when it is no longer written"
                )
            ids = rows["id"]
            if self._cuts is not None:
                numbers = np.repeat([frame.index for frame in block], counts).tolist()
                renamed = map(self._cuts.rename, ids.tolist(), numbers)
                ids = np.array(list(renamed), np.int64)
            yield block, ids, rows["margin"]

    def _read_image(self, frame: Frame) -> ByteArray | None:
        if self._images is None:
            return None
        try:
            return self._images(frame)
        except PoseError as error:
            raise DataError(
                f"{self._name}: the tracker {self._config.type} needs the image of frame {frame.index} ({error}); "
                f"choose another {argument('tracker')}"
            ) from None

    def _follow(
        self,
        frames: Callable[[], Iterable[Frame]],
        tracker: Tracker,
        corrections: Sequence[Correction],
        progress: Callable[[int], None],
    ) -> tuple[Mapping[int, int], Mapping[int, tuple[int, float]]]:
        """Ask the tracker for the ids of all frames, join tracklets and name them.

        Returns:
            id of a tracklet -> its track; track -> the individual and its score.
        """
        read = found = without = 0
        begun = previous = None
        lacking = set(self._config.needs()) - {"images"}
        collector = TrackletCollector(self._skeleton)
        for block in _take_blocks(frames()):
            for frame in block:
                if previous is not None and frame.index <= previous:
                    raise DataError(
                        f"{self._name}: frame {frame.index} comes after frame {previous}; trackers need frames in "
                        "order, each once: sort the file, or predict again"
                    )
                previous = frame.index
                begun = previous if begun is None else begun
            tracker.prepare(block)
            asked = []
            for frame in block:
                read += 1
                animals = frame.instances
                if len(animals):
                    ids, margins = ask_tracker(tracker, frame, self._read_image(frame))
                    if lacking:
                        lacking -= {need for need in lacking if _STORED[need](animals)}
                    collector.add(frame, ids)
                    asked.append((ids, margins))
                if read % _EVERY == 0:
                    progress(read)
            if asked:
                rows = np.empty(sum(len(ids) for ids, _ in asked), _ROW)
                rows["id"] = np.concatenate([ids for ids, _ in asked])
                rows["margin"] = np.concatenate([margins for _, margins in asked])
                self._file.write(rows.tobytes())
                found += len(rows)
                without += int((rows["id"] < 0).sum())
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
        if corrections and self._animals is not None:
            within = begun or 0, previous or 0
            decisions = decide(corrections, tracklets, names, self._animals, within, self._name)
            self._cuts = Cuts([decision.frame for decision in decisions], tracklets)
            collector = TrackletCollector(self._skeleton)
            for block, ids, _ in self._recall(frames()):
                for frame, own in _take_rows(block):
                    collector.add(frame, ids[own])
            tracklets = collector.collect()
            names = relink_tracklets(tracklets, names, decisions, self._cuts, self._animals)
        dropped = [tracklet.count for tracklet in tracklets if names.get(tracklet.id, -1) < 0]
        without += sum(dropped)
        tracks = len({name for name in names.values() if name >= 0})
        self.span = begun or 0, previous or 0
        self.counts = TrackCounts(read, found, len(tracklets), tracks, without, len(dropped))
        return names, name_tracks(tracklets, names)


def _take_blocks(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Yield frames some at a time, in order."""
    block: list[Frame] = []
    animals = 0
    for frame in frames:
        block.append(frame)
        animals += len(frame.instances)
        if len(block) >= _FRAMES or animals >= _ANIMALS:
            yield block
            block, animals = [], 0
    if block:
        yield block


def _take_rows(block: Sequence[Frame]) -> Iterator[tuple[Frame, slice]]:
    """Yield each frame with the rows of its animals among those of all."""
    end = 0
    for frame in block:
        start, end = end, end + len(frame.instances)
        yield frame, slice(start, end)
