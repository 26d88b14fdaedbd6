"""Write the result of a source from its frames, and the note beside it that says what made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from pose_core.interfaces import PredictionsHeader, Writer
from pose_core.io.files import disk_errors, put_in_place, write_whole
from pose_core.io.frame_ranges import FrameRange, add_to_ranges, describe_ranges
from pose_core.pipeline.sources import FrameSource
from pose_core.pipeline.threads import Timing
from pose_core.prediction.journal import Sizes
from pose_core.structures import Frame
from pose_core.tracking.choose import Tracking
from pose_core.tracking.doubts import Doubts
from pose_core.tracking.doubts_file import write_doubts
from pose_core.tracking.follow import TrackedFrames
from pose_core.tracking.frame_images import read_in_step

NOTE_ENDING = ".info"


@dataclass(frozen=True)
class Outcome:
    """Outcome of predicting a source.

    Attributes:
        result: the file of predictions.
        frames: in it, how many.
        missing: runs (first, last) of frames that could not be decoded.
        reason: why they are missing; where reasons differ, each with its frames.
        doubtful: runs of frames that refer to damaged ones and may show something wrong.
        timing: of the frames predicted now; None when the result was there already.
    """

    result: Path
    frames: int
    missing: list[tuple[int, int]]
    reason: str | None = None
    doubtful: list[tuple[int, int]] = field(default_factory=list)
    timing: Timing | None = None


class MissingFrames:
    """Collect runs of missing frames, and the reasons, as frames pass by.

    Attributes:
        runs: (first, last) of them.
        by_reason: the same for each reason.
    """

    _LISTED = 3

    def __init__(self) -> None:
        self.runs: list[FrameRange] = []
        self.by_reason: dict[str, list[FrameRange]] = {}

    @property
    def reason(self) -> str | None:
        """Why they are missing; where reasons differ, each with its frames."""
        if len(self.by_reason) < 2:
            return next(iter(self.by_reason), None)
        each = [f"{describe_ranges(runs)}: {reason}" for reason, runs in self.by_reason.items()]
        more = len(each) - self._LISTED
        return "; ".join(each[: self._LISTED]) + (f"; and {more} more reasons" if more > 0 else "")

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Pass frames on."""
        for frame in frames:
            if frame.missing is not None:
                add_to_ranges(self.runs, frame.index)
                add_to_ranges(self.by_reason.setdefault(frame.missing, []), frame.index)
            yield frame


@dataclass(frozen=True)
class ResultFile:
    """A result to be written.

    Attributes:
        path: of it.
        writer: of its format.
        name: of the source.
        tracking: how animals are followed when all frames are there; None: they are not.
        open_source: opens the source anew, for a tracker that needs images.
    """

    path: Path
    writer: Writer
    name: str
    tracking: Tracking | None = None
    open_source: Callable[[], FrameSource] | None = None

    @property
    def note(self) -> Path:
        """The file beside it that says what made it."""
        return self.path.with_name(f"{self.path.name}{NOTE_ENDING}")

    def write(
        self,
        header: PredictionsHeader,
        frames: Callable[[], Iterator[Frame]],
        sizes: Sizes,
        folder: Path,
        note: Mapping[str, object],
    ) -> tuple[MissingFrames, Doubts | None]:
        """Write the result and put it in place; beside it the note, and where animals are followed their doubts.

        Args:
            header: of the predictions.
            frames: gives all of them in order, each time that it is called.
            sizes: of the frames.
            folder: for what is not yet whole, in the same file system.
            note: what made the result, and how many frames it has.

        Returns:
            which frames are missing, and moments in which a swap is likely; None where animals are not followed.

        Raises:
            PoseError: the disk is full, the format cannot hold these predictions, or the tracker refuses them.
        """
        seen = MissingFrames()
        with ExitStack() as stack:
            passing, finder = frames, None
            if self.tracking is not None:
                header = self.tracking.describe(header)
                # After the last frame, since pieces of the whole video are joined; what fails here loses nothing.
                tracked = stack.enter_context(self._track(frames, header, self.tracking))
                finder = tracked.make_doubt_finder()
                watch = finder.watch

                def passing() -> Iterator[Frame]:
                    return tracked.apply(frames(), watch)

            doubts: Doubts | None = None
            header = replace(header, width=sizes.width, height=sizes.height)
            temporary = folder / f"result{self.path.suffix}"
            with disk_errors(self.path.parent):
                try:
                    self.writer.write(temporary, header, seen.watch(passing()))
                    # The note is in place before the result: without one a result would be refused as a strange file.
                    write_whole(self.note, json.dumps({**note, "missing": seen.runs}, indent=1))
                    if finder is not None:
                        doubts = finder.finish()
                        write_doubts(self.path, doubts)
                    put_in_place(temporary, self.path)
                finally:
                    temporary.unlink(missing_ok=True)
        return seen, doubts

    def _track(
        self, frames: Callable[[], Iterator[Frame]], header: PredictionsHeader, tracking: Tracking
    ) -> TrackedFrames:
        images = None
        if tracking.needs_images and self.open_source is not None:
            images = read_in_step(self.open_source())
        return TrackedFrames(frames, header, tracking, self.name, images=images)
