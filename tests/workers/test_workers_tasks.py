"""The search for work: every range once, the living left alone, the dead followed, and few requests to the disk."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.specs import EngineConfig
from pose_core.workers.claims import TRIES, Claims
from pose_core.workers.disk import Disk
from pose_core.workers.parts import Part, cover, find_unfinished, name_range
from pose_core.workers.plan import Plan, PlannedVideo, Times
from pose_core.workers.processes import describe_process
from pose_core.workers.tasks import Task, TaskFinder


class CountingDisk(Disk):
    """A disk that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def list_names(self, folder: Path) -> list[str]:
        self.asked["list"] += 1
        return super().list_names(folder)

    def read(self, path: Path) -> bytes:
        self.asked["read"] += 1
        return super().read(path)

    def read_time(self, path: Path) -> float:
        self.asked["time"] += 1
        return super().read_time(path)

    def make_once(self, path: Path, content: str) -> bool:
        self.asked["make"] += 1
        return super().make_once(path, content)


def make_plan(folder: Path, videos: int, ranges: int, disk: Disk) -> Plan:
    planned = tuple(
        PlannedVideo(f"v{n}", f"v{n}.mp4", (), None, (), None, {}, {}, frames=8 * ranges, part=8)
        for n in range(videos)
    )
    times = Times.of(EngineConfig(type="local"))
    return Plan(folder, str(folder), {}, {}, planned, times, disk=disk).write()


def make_finder(plan: Plan, worker: str, **owner: object) -> TaskFinder:
    clock = plan.home / "workers" / f"{worker}.clock"
    (plan.home / "workers" / f"{worker}.json").touch()
    claims = Claims(
        plan.home / "claims", clock, plan.times.stale, {"worker": worker, **owner}, disk=plan.disk
    )
    return TaskFinder(plan, claims)


def finish(plan: Plan, task: Task) -> None:
    """Leave what a worker leaves that has done a task."""
    if task.span is None:
        plan.done(task.video).write_text("{}")
    else:
        folder = plan.parts(task.video)
        folder.mkdir(exist_ok=True)
        (folder / f"{name_range(*task.span)}.{plan.mark}.parquet").touch()
    task.held.give_back()


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15))),
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.integers(0, 5),
)
def test_unfinished_ranges_are_those_that_parts_do_not_cover(
    pieces: list[tuple[int, int]], lengths: list[int], gap: int
) -> None:
    done = sorted((first, first + more) for first, more in pieces)
    parts = [Part(*span, Path()) for span in done]
    ranges, due = [], 0
    for length in lengths:
        ranges.append((due, due + length - 1))
        due += length + gap
    assert find_unfinished(done, ranges) == [r for r in ranges if cover(parts, *r)[1] <= r[1]]


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers())
def test_workers_in_any_order_do_each_task_once(
    tmp_path_factory: pytest.TempPathFactory, videos: int, ranges: int, workers: int, seed: int
) -> None:
    plan = make_plan(tmp_path_factory.mktemp("plan"), videos, ranges, Disk())
    finders = [make_finder(plan, f"w{n}") for n in range(workers)]
    held: dict[int, Task] = {}
    done: Counter[tuple[str, tuple[int, int] | None]] = Counter()
    order = random.Random(seed)
    while any(finder.is_left() for finder in finders):
        number = order.randrange(workers)
        if number in held:
            task = held.pop(number)
            done[task.video.stem, task.span] += 1
            finish(plan, task)
        elif (found := finders[number].find()) is not None:
            assert all(found.held.path != other.held.path for other in held.values()), "two have one claim"
            held[number] = found
    assert not held
    assert set(done.values()) == {1}
    assert len(done) == videos * (ranges + 1)


def test_who_loses_a_race_tries_elsewhere_at_random(tmp_path: Path) -> None:
    """A thousand workers that begin at once must not all try one range after the other."""

    class Late(CountingDisk):
        """A disk that shows no claims, as a network file system may for some seconds."""

        def list_names(self, folder: Path) -> list[str]:
            return [] if folder.parent.name == "claims" else super().list_names(folder)

    disk = Late()
    plan = make_plan(tmp_path, 1, 400, disk)
    spans = [task.span for n in range(100) if (task := make_finder(plan, f"w{n}").find()) is not None]
    assert len(set(spans)) == 100
    assert disk.asked["make"] < 100 * 4, "claims were tried in the order of the ranges"


def test_a_look_asks_little_however_many_videos_and_workers_there_are(tmp_path: Path) -> None:
    disk = CountingDisk()
    plan = make_plan(tmp_path, 60, 2, disk)
    others = [make_finder(plan, f"w{n}") for n in range(120)]
    assert all(find_any(other) is not None for other in others)
    disk.asked.clear()
    finder = make_finder(plan, "late")
    assert finder.find() is None
    assert finder.is_left()
    first = disk.asked.copy()
    assert first["list"] == 2 * 8
    assert first["read"] <= 8 + 8
    assert first["make"] <= 1
    disk.asked.clear()
    for _ in range(60):
        assert finder.find() is None
    disk.asked.clear()
    assert finder.find() is None
    # Of all it has seen a sign of life that is young enough.
    assert disk.asked == {"list": 2 * 8, "read": 8}


def find_any(finder: TaskFinder) -> Task | None:
    return next((task for _ in range(10) if (task := finder.find()) is not None), None)


def test_what_is_done_is_seen_by_one_listing(tmp_path: Path) -> None:
    disk = CountingDisk()
    plan = make_plan(tmp_path, 300, 1, disk)
    for video in plan.videos[:299]:
        plan.done(video).write_text("{}")
    finder = make_finder(plan, "one")
    disk.asked.clear()
    task = finder.find()
    assert task is not None
    assert task.video == plan.videos[299]
    assert disk.asked["read"] <= 2
    finish(plan, task)
    join = finder.find()
    assert join is not None
    assert join.span is None
    finish(plan, join)
    assert finder.find() is None
    assert not finder.is_left()


def test_a_claim_without_signs_of_life_is_taken_over_and_one_with_is_not(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, 1, 1, Disk())
    silent = make_finder(plan, "silent").find()
    assert silent is not None
    now = [0.0]
    claims = Claims(
        plan.home / "claims", plan.home / "workers" / "b.clock", plan.times.stale, {"worker": "b"}
    )
    finder = TaskFinder(plan, claims, clock=lambda: now[0])
    assert finder.find() is None
    passed = plan.times.stale + 1
    server = silent.held.path.stat().st_mtime
    os.utime(silent.held.path, (server - passed, server - passed))
    now[0] += plan.times.stale - 2
    assert finder.find() is None, "the disk was asked again too early"
    now[0] += 3
    taken = finder.find()
    assert taken is not None
    assert taken.held.path.name.endswith(".2")


def test_a_failure_is_seen_at_once_though_its_owner_lived_a_moment_ago(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, 1, 1, Disk())
    other, finder = make_finder(plan, "a"), make_finder(plan, "b")
    for number in range(1, TRIES + 1):
        task = other.find()
        assert task is not None
        assert finder.find() is None
        task.held.fail(f"try {number}")
    assert finder.find() is None
    assert not finder.is_left(), "what failed three times is set aside"


def test_a_dead_process_of_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    described = describe_process()
    if not described["machine"]:
        pytest.skip("this system does not say which processes run")
    plan = make_plan(tmp_path, 1, 1, Disk())
    # As a process that had this number before.
    assert make_finder(plan, "dead", **{**described, "started": "1"}).find() is not None
    assert make_finder(plan, "b").find() is not None


def test_pauses_grow_with_the_time_and_with_those_who_wait(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, 1, 1, Disk())
    task = make_finder(plan, "busy").find()
    assert task is not None
    few = make_finder(plan, "few")
    assert few.find() is None
    pauses = [few.choose_pause() for _ in range(20)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == 10
    finish(plan, task)
    assert few.find() is not None
    for number in range(400):
        (plan.home / "workers" / f"{number}.json").touch()
    many = make_finder(plan, "many")
    assert many.find() is None
    pauses = [many.choose_pause() for _ in range(20)]
    assert pauses[0] > 3
    assert pauses[-1] > 30


def test_a_slow_disk_is_asked_less_often(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, 1, 1, Disk())
    assert make_finder(plan, "busy").find() is not None
    ticks = iter(range(100))
    claims = Claims(
        plan.home / "claims", plan.home / "workers" / "b.clock", plan.times.stale, {"worker": "b"}
    )
    finder = TaskFinder(plan, claims, clock=lambda: 0.1 * next(ticks))
    assert finder.find() is None
    assert finder.choose_pause() > 2
