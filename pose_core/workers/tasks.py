"""Find work in a plan: a range that nobody is at, or the join of a video of which all is there.

With a thousand workers the shared disk is what is scarce. So a look at a video is three requests, whoever loses a race
tries somewhere else at random, signs of life of others are read where nothing else is left to do, and a look ends after
some videos, to go on with others the next time (simulated: docs/adr/0051).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pose_core.io.files import disk_errors
from pose_core.workers.claims import TRIES, Claimed, Claims, Generations, Held
from pose_core.workers.parts import Part, Span, find_unfinished, list_spans, make_part, name_range
from pose_core.workers.plan import JOIN, Plan, PlannedVideo
from pose_core.workers.processes import is_gone

_LOOKED_AT = 8
"""Videos that are looked at before a worker waits."""

_LISTED_EVERY = 60.0
"""Seconds between two listings of what is done, unless much of it is met one by one: a large plan has a long list."""

_JUDGED = 8
"""Claims of others of which signs of life are read before a worker waits."""

_PAUSES = (0.2, 10.0)
"""Seconds between two looks, at first and at last, where few workers wait."""

_LOOKS = (100, 10)
"""Looks a second, at first and at last, of all workers together if all of them wait."""

_SLOWER = 20
"""So many times the duration of a look a worker waits at least."""


@dataclass(frozen=True)
class Task:
    """Something claimed.

    Attributes:
        video: of the plan.
        held: the claim.
        span: places (first, last) of the frames to be predicted; None: the video is to be joined.
        parts: that are there and hold frames of the span, by their places.
    """

    video: PlannedVideo
    held: Held
    span: Span | None
    parts: Sequence[Part]


@dataclass(frozen=True)
class _Seen:
    """What was seen of a video: which frames are done, what can be done, and which of it others have begun."""

    video: PlannedVideo
    done: Sequence[Span]
    wanted: Mapping[str, Span | None]
    begun: Mapping[str, Generations]


class TaskFinder:
    """Finds a worker's next task; goes on with a video as long as there is work.

    Args:
        plan: of the work.
        claims: in which this worker's are made.
        joins_only: look for joins alone, in all videos at once.
        clock: seconds that pass, for how long a look takes.
    """

    def __init__(
        self,
        plan: Plan,
        claims: Claims,
        joins_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._claims = claims
        self._joins_only = joins_only
        self._clock = clock
        # By the worker's name, so that few of them read the same video.
        self._random = random.Random(str(claims.owner.get("worker", "")))
        self._place = self._random.randrange(len(plan.videos) or 1)
        # A byte each: there may be a hundred thousand videos.
        self._over = bytearray(len(plan.videos))
        # Of claims: until when their owners are not given up, and who these are.
        self._lives: dict[tuple[str, str, int], tuple[float, Mapping[str, object]]] = {}
        self._listed = -math.inf
        self._took = 0.0
        self._pause = 0.0
        self._shortest = self._longest = 0.0

    def is_left(self) -> bool:
        """Whether a video is neither done nor set aside, as far as was seen."""
        return 0 in self._over

    def find(self) -> Task | None:
        """Claim something to do; what failed before comes last.

        Returns:
            None where nothing was found; the next call may look at other videos.

        Raises:
            PoseError: the disk is full.
        """
        began = self._clock()
        task = self._find()
        self._took = self._clock() - began
        if task is not None:
            # It goes on with this video, which it has open.
            self._place = self._plan.places[task.video.stem]
            self._pause = 0.0
            self._lives.clear()
        return task

    def choose_pause(self) -> float:
        """Choose how many seconds to wait after nothing was found: longer each time, and the longer the more wait."""
        times = self._plan.times
        if not self._pause:
            names = self._plan.disk.list_names(self._plan.home / "workers")
            workers = sum(name.endswith(".json") for name in names)
            first, last = (max(pause, workers / looks) for pause, looks in zip(_PAUSES, _LOOKS, strict=True))
            self._longest = min(last, max(times.heartbeat, workers / _LOOKS[1]), times.stale / 2)
            self._shortest = min(first, self._longest)
        # Where the disk is slow it has enough to do.
        self._pause = min(max(1.5 * self._pause, self._shortest, _SLOWER * self._took), self._longest)
        return self._pause

    def _find(self) -> Task | None:
        begun: list[_Seen] = []
        for place in self._choose_videos():
            if (seen := self._look(place)) is None:
                continue
            if (task := self._claim_any(seen)) is not None:
                return task
            begun.append(seen)
        return self._take_over(begun)

    def _choose_videos(self) -> Iterator[int]:
        """Give places of videos that are not over, as far as is known, from the current one on."""
        looked_at: set[int] = set()
        met = 0
        while len(looked_at) < _LOOKED_AT or self._joins_only:
            place = self._over.find(0, self._place)
            if place < 0:
                place = self._over.find(0)
            if place < 0 or place in looked_at:
                return
            if self._plan.read_done(self._plan.videos[place]) is None:
                looked_at.add(place)
                self._place = place + 1
                yield place
                continue
            self._over[place] = 1
            met += 1
            # Others will be done, too.
            if met == _LOOKED_AT or (met == 1 and self._clock() >= self._listed + _LISTED_EVERY):
                self._mark_done()

    def _mark_done(self) -> None:
        """Mark all videos that are done, by one listing."""
        self._listed = self._clock()
        places = self._plan.places
        for name in self._plan.disk.list_names(self._plan.home / "done"):
            if (place := places.get(name.removesuffix(".json"))) is not None:
                self._over[place] = 1

    def _look(self, place: int) -> _Seen | None:
        """Look at a video; None where there is nothing to do."""
        plan, video = self._plan, self._plan.videos[place]
        # Before the parts: what was claimed no more had left its part by then.
        listed = self._claims.list_names(video.stem)
        if self._is_set_aside(video, listed):
            self._over[place] = 1
            return None
        done = list_spans(plan.parts(video), plan.mark, plan.disk)
        spans = find_unfinished(done, video.ranges())
        if spans and self._joins_only:
            return None
        wanted: dict[str, Span | None] = {name_range(*span): span for span in spans} or {JOIN: None}
        return _Seen(video, done, wanted, {name: made for name, made in listed.items() if name in wanted})

    def _is_set_aside(self, video: PlannedVideo, listed: Mapping[str, Generations]) -> bool:
        """Whether something failed too often, by its names, and by those claims that may be the last try."""
        doubtful = {n: made for n, made in listed.items() if made[max(made)] or len(made) >= TRIES}
        now = self._claims.read_clock() if doubtful else 0.0
        judged = (self._claims.judge(video.stem, name, made, now) for name, made in doubtful.items())
        return any(claimed.set_aside for claimed in judged if claimed is not None)

    def _claim_any(self, seen: _Seen) -> Task | None:
        """Claim something that nobody has begun: the first, or where another worker was faster any other."""
        names = [name for name in seen.wanted if name not in seen.begun]
        for number, name in enumerate(names):
            if number == 1:
                names[1:] = self._random.sample(names[1:], len(names) - 1)
                name = names[1]
            if (task := self._claim(seen, name, None)) is not None:
                return task
        return None

    def _take_over(self, begun: Sequence[_Seen]) -> Task | None:
        """Claim something that failed or whose owner died; what failed less often first."""
        each = [(seen, name) for seen in begun for name in seen.begun if not self._surely_lives(seen, name)]
        if not each:
            return None
        found: list[tuple[int, _Seen, str, Claimed]] = []
        now = self._claims.read_clock()
        live = 0
        for seen, name in self._random.sample(each, len(each)):
            made = seen.begun[name]
            # Of thousands that work only some are looked at; others look at others.
            live += not made[max(made)]
            if not made[max(made)] and live > _JUDGED:
                continue
            claimed = self._claims.judge(seen.video.stem, name, made, now)
            if claimed is None:
                continue
            if claimed.live is None:
                found.append((claimed.tries, seen, name, claimed))
            else:
                until = self._clock() + self._plan.times.stale - claimed.age
                self._lives[seen.video.stem, name, claimed.newest] = (until, claimed.live)
        for _, seen, name, claimed in sorted(found, key=lambda one: one[0]):
            if (task := self._claim(seen, name, claimed)) is not None:
                return task
        return None

    def _surely_lives(self, seen: _Seen, name: str) -> bool:
        """Whether a sign of life that was read is so young that the disk need not be asked again."""
        newest = max(seen.begun[name])
        until, owner = self._lives.get((seen.video.stem, name, newest), (-math.inf, {}))
        return not seen.begun[name][newest] and self._clock() < until and not is_gone(owner)

    def _claim(self, seen: _Seen, name: str, claimed: Claimed | None) -> Task | None:
        with disk_errors(self._plan.out):
            held = self._claims.take(seen.video.stem, name, claimed)
        if held is None:
            return None
        span = seen.wanted[name]
        first, last = span or (0, -1)
        folder, mark = self._plan.parts(seen.video), self._plan.mark
        parts = [make_part(folder, each, mark) for each in seen.done if each[0] <= last and each[1] >= first]
        return Task(seen.video, held, span, parts)
