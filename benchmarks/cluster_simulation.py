"""Simulate a thousand workers on one file server: how many requests a part takes, and what they wait for.

    python benchmarks/cluster_simulation.py                                # 500 videos of an hour, begin to end
    python benchmarks/cluster_simulation.py --videos 10000 --parts 1000 --minutes 15      # 10 million parts: begin
    python benchmarks/cluster_simulation.py --videos 10000 --parts 1000 --left 20         # ... and end
    python benchmarks/cluster_simulation.py --videos 1 --parts 10000 --rate 1000 --latency 0.005      # a slow disk

The plan, the claims, the search for work, the choice of parts that a join reads, and its removal of them are the
project's own code, on a clock and a disk that are simulated; predicting and reading parts are waited for. Workers die,
without a word, after a time that is drawn, and others begin in their place; some are silent for so long that others
take their range over. What is joined must be whole, and at the end every
video must have its result, or a range of it that was tried three times.

Seconds are simulated ones. Requests are those that the server gets; it is busy when it serves one.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

from simulated_disk import Clock, SimulatedDisk

from pose_core.prediction.join import remove_parts
from pose_core.specs import EngineConfig
from pose_core.workers.claims import Claimed, Claims, Held
from pose_core.workers.parts import cover, list_parts, name_range
from pose_core.workers.plan import Plan, PlannedVideo, Times
from pose_core.workers.tasks import Task, TaskFinder

PART = 4096
"""Frames of a part."""

_JOINED = 18e-6
"""Seconds that a join takes for a frame, measured (docs/adr/0044)."""

_SPREAD = 0.2
"""Standard deviation of the logarithm of the seconds that a part takes."""

_RESTART = 120.0
"""Seconds until a worker begins in the place of one that died."""


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        videos: of the plan.
        parts: of each video.
        workers: at a time.
        seconds: that a part takes, on average.
        rate: requests that the file server serves a second.
        latency: seconds from a request to its answer.
        life: seconds after which a worker dies, on average.
        silent: share of the parts at which a worker is silent for longer than others wait.
        left: parts that are left of each of as many videos as there are workers, all else being done; None: all.
        minutes: after which it is over; None: when all is done.
        seed: of what is drawn.
    """

    videos: int
    parts: int
    workers: int
    seconds: float
    rate: float
    latency: float
    life: float
    silent: float
    left: int | None
    minutes: float | None
    seed: int


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes:
        parts: that were put in place.
        repeated: that were predicted though another worker was first.
        joined: videos.
        set_aside: videos of which a part was tried too often.
        deaths: of workers.
        lost_races: claims that another worker made a moment before.
        seconds: until the last join, or until it was broken off.
        ideal: seconds in which the workers predict these parts where none ever waits.
        working: share of the workers' time in which they predicted or joined.
        asking: share of the workers' time in which they waited for answers of the server.
        busy: share of the time in which the server worked.
        longest: seconds that the slowest answer took.
        requests: a part, by what they were for.
    """

    parts: int
    repeated: int
    joined: int
    set_aside: int
    deaths: int
    lost_races: int
    seconds: float
    ideal: float
    working: float
    asking: float
    busy: float
    longest: float
    requests: dict[str, float]

    def format(self) -> str:
        """Make the lines that are printed."""
        requests = ", ".join(f"{purpose} {number:.1f}" for purpose, number in self.requests.items())
        return (
            f"{self.parts} parts put in place, {self.repeated} predicted twice; {self.joined} videos joined, "
            f"{self.set_aside} set aside; {self.deaths} workers died\n"
            f"{self.seconds:.0f} s; without any waiting {self.ideal:.0f} s; workers predicted or joined for "
            f"{100 * self.working:.1f} % of the time and waited for the disk for {100 * self.asking:.1f} %\n"
            f"server busy for {100 * self.busy:.1f} % of the time, slowest answer {self.longest:.2f} s; "
            f"{self.lost_races} claims came too late\n"
            f"requests a part: {sum(self.requests.values()):.1f} ({requests})"
        )


@dataclass(frozen=True)
class CountedClaims(Claims):
    """Claims that count how often another worker was a moment faster."""

    counts: Counter[str] = field(default_factory=Counter)

    def take(self, video: str, name: str, seen: Claimed | None) -> Held | None:
        """Claim something."""
        held = super().take(video, name, seen)
        self.counts["lost races"] += held is None
        return held


class Simulation:
    """Simulates one setting.

    Args:
        setting: of it.
        disk: the file server, and by which clock it works.
    """

    def __init__(self, setting: Setting, disk: SimulatedDisk, clock: Clock) -> None:
        self._setting, self._disk, self._clock = setting, disk, clock
        self._random = random.Random(setting.seed)
        self._counts: Counter[str] = Counter()
        self._useful = 0.0
        self._worked = 0.0
        self._working = 0
        self._ended = 0.0
        self._names = count()
        self._plan = _make_plan(setting, disk)
        _prepare(self._plan, setting, disk, self._random)

    def run(self) -> Result:
        """Simulate it.

        Raises:
            AssertionError: something was lost.
        """
        setting, clock, load = self._setting, self._clock, self._disk.load
        for _ in range(setting.workers):
            # As a scheduler starts an array: within a few seconds.
            self._start(self._random.uniform(0, 5))
        until = math.inf if setting.minutes is None else 60 * setting.minutes
        clock.run(until, lambda: not self._working)
        set_aside = 0 if self._working else self._count_set_aside()
        seconds = until if self._working else self._ended or clock.now
        parts, whole = self._counts["parts"], setting.workers * seconds
        return Result(
            parts=parts,
            repeated=self._counts["repeated"],
            joined=self._counts["joined"],
            set_aside=set_aside,
            deaths=self._counts["deaths"],
            lost_races=self._counts["lost races"],
            seconds=seconds,
            ideal=self._useful / setting.workers,
            working=self._worked / whole,
            asking=load.waited / whole,
            busy=load.busy / seconds,
            longest=load.longest,
            requests={purpose: number / max(parts, 1) for purpose, number in load.requests.most_common()},
        )

    def _start(self, after: float) -> None:
        """Have a worker begin, and die at some time."""
        name = f"worker-{next(self._names)}"
        running = [True]

        def work() -> None:
            self._work(name)
            running[0] = False
            self._working -= 1

        def die() -> None:
            if running[0]:
                self._clock.kill(worker)
                self._counts["deaths"] += 1
                self._start(_RESTART)
                self._working -= 1

        self._working += 1
        worker = self._clock.start(work, after)
        self._clock.start(die, after + self._random.expovariate(1 / self._setting.life))

    def _work(self, name: str) -> None:
        """Do what :class:`pose_core.prediction.worker.Worker` does, with a disk that is simulated."""
        plan, disk, clock = self._plan, self._disk, self._clock
        record = plan.home / "workers" / f"{name}.json"
        disk.begin("start")
        disk.read(plan.home / "plan.json")
        disk.write_whole(record, "{}")
        claims = CountedClaims(
            plan.home / "claims",
            record.with_suffix(".clock"),
            plan.times.stale,
            {"worker": name, "host": name},
            disk=disk,
            counts=self._counts,
        )
        finder = TaskFinder(plan, claims, clock=lambda: clock.now)
        looked = "search"
        while True:
            disk.begin(looked)
            disk.exists(plan.cancelled)
            task = finder.find()
            if task is None:
                if not finder.is_left():
                    return
                if looked == "search":
                    disk.write_whole(record, "{}")
                looked = "search while waiting"
                clock.sleep(finder.choose_pause())
                continue
            looked = "search"
            if task.span is None:
                self._join(task, record)
            else:
                self._predict(task, task.span, record)

    def _predict(self, task: Task, span: tuple[int, int], record: Path) -> None:
        plan, disk = self._plan, self._disk
        disk.begin("part")
        disk.write_whole(record, "{}")
        seconds = self._random.lognormvariate(0, _SPREAD) * self._setting.seconds
        if self._random.random() < self._setting.silent:
            self._clock.sleep(2 * plan.times.stale)
        self._spend(task.held, seconds, record)
        disk.begin("part")
        first = False
        if not disk.exists(plan.done(task.video)):
            name = f"{name_range(*span)}.{plan.mark}.parquet"
            disk.make_folder(plan.parts(task.video))
            first = disk.link_once(plan.parts(task.video) / name)
        self._counts["parts" if first else "repeated"] += 1
        self._useful += seconds if first else 0
        task.held.give_back()

    def _join(self, task: Task, record: Path) -> None:
        plan, disk, video = self._plan, self._disk, task.video
        disk.begin("join")
        disk.write_whole(record, "{}")
        if plan.read_done(video) is None:
            reaches, due = cover(list_parts(plan.parts(video), plan.mark, disk), 0, video.frames - 1)
            if due != video.frames:
                # As the real join, which refuses: another worker that was thought dead has joined the video.
                assert plan.read_done(video) is not None, (
                    f"{video.stem}: {due} of {video.frames} frames are there"
                )
                task.held.give_back()
                return
            # Each is opened and closed for its header, and again for its frames.
            disk.ask(4 * len(reaches))
            self._spend(task.held, _JOINED * video.frames, record)
            disk.begin("join")
            # The result, and the note about it.
            disk.ask(20)
            disk.write_whole(plan.done(video), "{}")
            remove_parts(plan, video)
            self._counts["joined"] += 1
            self._ended = self._clock.now
        task.held.give_back()

    def _spend(self, held: Held, seconds: float, record: Path) -> None:
        """Let time pass, with the signs of life of :class:`pose_core.workers.heart.Heart`."""
        plan, disk, clock = self._plan, self._disk, self._clock
        disk.begin("signs of life")
        while seconds > plan.times.heartbeat:
            clock.sleep(plan.times.heartbeat)
            self._worked += plan.times.heartbeat
            seconds -= plan.times.heartbeat
            disk.exists(plan.home / "plan.json")
            disk.exists(plan.cancelled)
            disk.touch(record)
            held.touch()
        clock.sleep(seconds)
        self._worked += seconds

    def _count_set_aside(self) -> int:
        """See that each video has its result, or was tried too often; count the latter."""
        plan = self._plan
        claims = Claims(plan.home / "claims", plan.home / "clock", plan.times.stale, disk=self._disk)
        left = [video.stem for video in plan.videos if plan.read_done(video) is None]
        for stem in left:
            assert any(claimed.set_aside for claimed in claims.look(stem).values()), f"{stem} was forgotten"
        return len(left)


def _make_plan(setting: Setting, disk: SimulatedDisk) -> Plan:
    videos = tuple(
        PlannedVideo(
            stem=f"video-{number:06d}",
            name=f"video-{number:06d}.mp4",
            paths=(f"/videos/video-{number:06d}.mp4",),
            choice=None,
            spans=(),
            region=None,
            source={},
            maker={},
            frames=setting.parts * PART,
            part=PART,
        )
        for number in range(setting.videos)
    )
    return Plan(Path("/shared"), "/", {}, {}, videos, Times.of(EngineConfig(type="local")), disk=disk)


def _prepare(plan: Plan, setting: Setting, disk: SimulatedDisk, rng: random.Random) -> None:
    """Put what is there already on the disk."""
    for folder in ("", "parts", "claims", "done", "workers"):
        disk.add_folder(plan.home / folder)
    disk.add_file(plan.home / "plan.json")
    if setting.left is None:
        return
    unfinished = set(rng.sample(range(setting.videos), min(setting.videos, setting.workers)))
    for number, video in enumerate(plan.videos):
        if number not in unfinished:
            disk.add_file(plan.done(video))
            continue
        disk.add_folder(plan.parts(video))
        spans = list(video.ranges())
        for span in spans[: len(spans) - rng.randint(1, 2 * setting.left)]:
            disk.add_file(plan.parts(video) / f"{name_range(*span)}.{plan.mark}.parquet")


def main(arguments: list[str]) -> int:
    """Simulate a setting and print what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--videos", type=int, default=500, help="of the plan")
    add("--parts", type=int, default=27, help=f"of each video, of {PART} frames")
    add("--workers", type=int, default=1000, help="at a time")
    add("--seconds", type=float, default=60, help="that a part takes, on average")
    add("--rate", type=float, default=10_000, help="requests that the file server serves a second")
    add("--latency", type=float, default=0.0005, help="seconds from a request to its answer")
    add("--life", type=float, default=14_400, help="seconds after which a worker dies, on average")
    add("--silent", type=float, default=0.001, help="share of parts at which a worker seems dead for a while")
    add("--left", type=int, help="all is done but about so many parts of a video for each worker")
    add("--minutes", type=float, help="simulate no more than the beginning")
    add("--seed", type=int, default=0)
    add("--json", action="store_true", help="print the result as JSON")
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("json")
    clock = Clock()
    setting = Setting(**options)
    result = Simulation(setting, SimulatedDisk(clock, setting.rate, setting.latency), clock).run()
    if as_json:
        print(json.dumps(asdict(result)))
        return 0
    print(result.format())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
