"""Find work in a plan: a range that nobody is at, or the join of a video of which all is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pose_core.io.files import disk_errors
from pose_core.workers.claims import Claims, Held
from pose_core.workers.parts import Part, cover, list_parts, name_range
from pose_core.workers.plan import JOIN, Plan, PlannedVideo


@dataclass(frozen=True)
class Task:
    """Something claimed.

    Attributes:
        video: of the plan.
        held: the claim.
        span: places (first, last) of the frames to be predicted; None: the video is to be joined.
        parts: of the video, that are there.
    """

    video: PlannedVideo
    held: Held
    span: tuple[int, int] | None
    parts: Sequence[Part]


class TaskFinder:
    """Finds a worker's next task.

    Args:
        plan: of the work.
        claims: in which this worker's are made.
        first: place of the video to begin with, so that few workers read the same one.
        joins_only: look for joins alone.
    """

    def __init__(self, plan: Plan, claims: Claims, first: int = 0, joins_only: bool = False) -> None:
        self._plan = plan
        self._claims = claims
        self._joins_only = joins_only
        self._order = [*plan.videos[first:], *plan.videos[:first]]
        self._over: set[str] = set()

    def is_left(self) -> bool:
        """Whether a video is neither done nor set aside, as far as was seen."""
        return any(video.stem not in self._over for video in self._plan.videos)

    def find(self) -> Task | None:
        """Claim something to do; what failed before comes last.

        Raises:
            PoseError: the disk is full.
        """
        later: list[tuple[int, int, PlannedVideo]] = []
        for place, video in enumerate(self._order):
            if video.stem in self._over:
                continue
            if self._plan.read_done(video) is not None:
                self._over.add(video.stem)
                continue
            task, tries = self._find_in(video, 0)
            if task is not None:
                # It goes on with this video, which it has open.
                self._order = self._order[place:] + self._order[:place]
                return task
            if tries:
                later.append((tries, place, video))
        for tries, _, video in sorted(later, key=lambda each: each[:2]):
            task, _ = self._find_in(video, tries)
            if task is not None:
                return task
        return None

    def _find_in(self, video: PlannedVideo, tries: int) -> tuple[Task | None, int]:
        """Claim something of one video that was tried at most so often; or say how often it was, 0 where there is
        nothing."""
        plan = self._plan
        claimed = self._claims.look(video.stem)
        if any(each.set_aside for each in claimed.values()):
            self._over.add(video.stem)
            return None, 0
        parts = list_parts(plan.parts(video), plan.mark, plan.disk)
        ranges = [(name_range(*span), span) for span in video.ranges() if cover(parts, *span)[1] <= span[1]]
        wanted: Sequence[tuple[str, tuple[int, int] | None]] = ranges or [(JOIN, None)]
        if self._joins_only and ranges:
            return None, 0
        least = 0
        for name, span in wanted:
            seen = claimed.get(name)
            if seen is not None and seen.live is not None:
                continue
            if seen is not None and seen.tries > tries:
                least = min(least or seen.tries, seen.tries)
                continue
            with disk_errors(plan.out):
                held = self._claims.take(video.stem, name, seen)
            if held is not None:
                return Task(video, held, span, parts), 0
        return None, least
