"""Workers are told to stop, are killed, or lose their disk: what they have done stays, and others go on."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm_process
from crashing_worker import work_until_crash
from nursery import Nursery
from shared_work import (
    do_before_each_part,
    list_claims,
    plan_work,
    read_folder,
    work_elsewhere,
)

import pose_core
from pose_core.errors import PoseError
from pose_core.interfaces.engine import WorkerPlan
from pose_core.pipeline.engine import Pipeline
from pose_core.prediction import part_writer
from pose_core.prediction import worker as worker_module
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.prediction.worker import Worker, work
from pose_core.synthetic.videos import overwrite_bytes, write_numbered_video
from pose_core.workers import local_engine, parts
from pose_core.workers.engines import cancel
from pose_core.workers.local_engine import LocalEngine
from pose_core.workers.plan import Plan
from pose_core.workers.status import read_status


@pytest.mark.parametrize("stop_after", [0, 1, 5, 11])
def test_a_worker_that_is_told_to_stop_keeps_its_batches(
    plan: Plan,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
) -> None:
    stop = threading.Event()
    true = Pipeline.run
    batches = 0

    def watch(self: Pipeline, *arguments: Any) -> Iterator[Any]:
        nonlocal batches
        for result in true(self, *arguments):
            if batches == stop_after:
                stop.set()
            batches += 1
            yield result

    monkeypatch.setattr(Pipeline, "run", watch)
    assert not work(tmp_path, stop=stop)
    monkeypatch.undo()
    # The batch in which it was told is kept, too; where a range ends with it no further one is begun.
    assert read_status(tmp_path).done == 4 * (stop_after + 1) or batches == stop_after + 1
    assert list_claims(plan) == [], "a claim was not given back"
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def test_sigterm_keeps_the_batch_and_says_that_work_is_left(
    elsewhere: Any, run: Path, tmp_path: Path
) -> None:
    with work_elsewhere(run, tmp_path / "out", 1500) as worker:
        worker.send_signal(signal.SIGTERM)
        assert worker.stderr is not None
        error = worker.stderr.read().decode()
        assert (worker.wait(), error) == (143, "")
    status = read_status(tmp_path / "out")
    assert 0 < status.done < 1500
    assert [video.claimed for video in status.videos] == [0]
    assert [seen.ended for seen in status.workers if seen.pid == worker.pid] == [""]


@pytest.mark.long
def test_a_worker_whose_parent_is_gone_stops(elsewhere: Any, run: Path, tmp_path: Path) -> None:
    with work_elsewhere(run, tmp_path / "out", 1500) as worker:
        assert worker.stdin is not None
        worker.stdin.close()
        assert worker.wait() == 143


def test_cancelling_stops_workers_and_keeps_what_is_done(
    plan: Plan,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[list[str]] = []
    do_before_each_part(monkeypatch, lambda: told.append(cancel(tmp_path)))
    assert not work(tmp_path)
    monkeypatch.undo()
    assert told
    assert not any(told), "an engine could not be told"
    status = read_status(tmp_path)
    assert status.cancelled
    assert 0 < status.done < 134
    outcomes = predict(run, clips, tmp_path, device="cpu")
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    assert read_folder(tmp_path) == undisturbed


def test_local_workers_that_are_found_again_are_told(run: Path, clips: list[Path], tmp_path: Path) -> None:
    """The process that started them is another one, or gone."""
    engine = LocalEngine(local_engine.LocalEngineConfig(type="core/local"))
    logs = tmp_path / "logs"
    logs.mkdir()
    command = (sys.executable, "-c", "import sys, time; print('here', flush=True); time.sleep(600)")
    opened = list_open_files()
    handle = engine.start(WorkerPlan(tmp_path, command, logs, "pose-test", tmp_path / "cancel"), 2)
    found = engine.find(json.loads(json.dumps(handle.state())))
    assert (handle.alive(), found.alive()) == (2, 2)
    found.cancel()
    while handle.alive():
        time.sleep(0.01)
    assert found.alive() == 0
    found.cancel()
    assert engine.find({**handle.state(), "machine": "another"}).alive() is None
    handle.close()
    assert list_open_files() <= opened


def list_open_files() -> set[str]:
    """Numbers of the files and pipes that this process has open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_there_twice(
    elsewhere: Any, run: Path, tmp_path: Path, kills: int
) -> None:
    """One plan after the other, until so many were killed; three workers at a time, or two where two are killed."""
    rng = random.Random(kills)
    clips = [tmp_path / f"{name}.mp4" for name in ("a", "b", "c")]
    for clip in clips:
        write_numbered_video(clip, 120 if kills == 2 else 1000)
    predict(run, clips, tmp_path / "one", device="cpu")
    true = read_folder(tmp_path / "one")
    killed = plans = 0
    with Nursery(run, tmp_path) as nursery:
        while killed < kills:
            plans += 1
            out = tmp_path / f"out{plans}"
            plan_work(run, clips, out)
            killed += kill_workers(nursery, out, rng, kills - killed, 2 if kills == 2 else 3, true)
            predict(run, clips, out, device="cpu")
            assert read_folder(out) == true


def kill_workers(
    nursery: Nursery, out: Path, rng: random.Random, most: int, together: int, true: dict[str, bytes]
) -> int:
    """Kill workers at random while work is left; how many were killed."""
    workers: list[int] = []
    killed = 0
    while killed < most and not read_status(out).over:
        living = [worker for worker in workers if nursery.poll(worker) is None]
        for _ in range(together - len(living)):
            living.append(nursery.start(out))
            workers.append(living[-1])
        before = read_status(out).done
        give_up = time.monotonic() + 60
        while True:
            status = read_status(out)
            if status.done > before or status.over or time.monotonic() > give_up:
                break
            time.sleep(rng.uniform(0, 0.05))
        victim = rng.choice(living)
        # Told before, it may have ended by itself meanwhile.
        if nursery.poll(victim) is None:
            os.kill(victim, rng.choice([signal.SIGKILL, signal.SIGTERM]))
            killed += 1
        there = read_folder(out)
        assert there == {name: true[name] for name in there}, "a result is not whole"
    for worker in workers:
        if nursery.poll(worker) is None:
            os.kill(worker, signal.SIGTERM)
        while (code := nursery.poll(worker)) is None:
            time.sleep(0.01)
        # Before it listens to signals a worker has nothing to keep, and ends as any process.
        assert code in (0, 143, -signal.SIGKILL, -signal.SIGTERM)
    return killed


def test_a_slow_worker_that_was_overtaken_does_no_harm(
    plan: Plan, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still until others have taken over, finished and joined; then it puts its part in place."""
    slow: list[int] = []
    overtaken = False

    def be_overtaken() -> None:
        nonlocal overtaken
        if not slow and threading.current_thread().name == "slow":
            slow.append(1)
            for claim in (plan.home / "claims").rglob("*.1"):
                os.utime(claim, (0, 0))
            overtaken = work(tmp_path)

    do_before_each_part(monkeypatch, be_overtaken)
    # Signs of life that do not come any more: the disk of this worker is far away.
    monkeypatch.setattr("pose_core.workers.heart.Heart._give_sign", lambda self: None)
    thread = threading.Thread(target=work, args=(tmp_path,), name="slow")
    thread.start()
    thread.join()
    assert overtaken
    assert read_folder(tmp_path) == undisturbed
    assert read_status(tmp_path).over


def test_a_damaged_part_is_made_again(
    plan: Plan, run: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    estimator = pose_core.load(run, "cpu")
    stopped = False
    made = parts.publish

    def damage(folder: Path, first: int, *rest: Any) -> bool:
        nonlocal stopped
        result = made(folder, first, *rest)
        if first == 16 and not stopped:
            stopped = True
            (part,) = folder.glob("0000000016-*.parquet")
            overwrite_bytes(part, part.stat().st_size // 2, 200)
            part.write_bytes(part.read_bytes()[:-20])
        return result

    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_writer, "publish", damage)
        assert Worker(plan, tell=said.append, estimator=estimator).work()
    assert stopped
    assert any("0000000016-" in line and "a damaged part" in line for line in said)
    assert read_folder(tmp_path) == undisturbed


def test_a_full_disk_ends_a_worker_in_one_line_and_loses_nothing(
    plan: Plan, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = 0

    def fail_the_fourth_time() -> None:
        nonlocal published
        published += 1
        if published == 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    do_before_each_part(monkeypatch, fail_the_fourth_time)
    with pytest.raises(PoseError, match="no space left on the disk; free some"):
        work(tmp_path)
    monkeypatch.undo()
    status = read_status(tmp_path)
    assert status.done == 3 * 8
    assert [w.ended for w in status.workers if w.ended] == [
        f"{tmp_path}: no space left on the disk; free some and run the same command again, it goes on from here"
    ]
    assert not list_claims(plan)
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def test_a_join_whose_parts_another_worker_took_is_no_error(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two join a video where one was thought dead; the second may find no parts any more."""
    plan_work(run, clips[:1], tmp_path)
    true = worker_module.join_video

    def join_twice(*given: Any) -> None:
        true(*given)
        true(*given)

    monkeypatch.setattr(worker_module, "join_video", join_twice)
    told: list[str] = []
    assert work(tmp_path, tell=told.append)
    assert told == []
    assert (tmp_path / f"{clips[0].stem}.parquet").exists()


def test_a_plan_that_is_removed_ends_the_workers(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_before_each_part(monkeypatch, lambda: shutil.rmtree(plan.home, ignore_errors=True))
    with pytest.raises(PoseError, match="the plan was removed"):
        work(tmp_path)
    assert not plan.home.exists(), "it was begun anew"


@pytest.mark.long
def test_a_range_on_which_processes_crash_is_set_aside_after_three(
    pose: Any, plan: Plan, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """A decoder that brings its process down says nothing; its range comes last, and costs three processes."""
    ends = []
    while not read_status(tmp_path).over:
        process = warm_process.start_function(work_until_crash, tmp_path, "two.mp4", 16)
        process.join()
        ends.append(process.exitcode)
    assert ends == [-signal.SIGSEGV] * 3
    status = read_status(tmp_path)
    assert [video.state for video in status.videos] == ["done", "set aside", "done"]
    assert "ended without a word: killed, out of memory" in status.videos[1].reason
    told = pose("status", tmp_path)
    assert told.returncode == 2
    assert told.stdout.count(f"gone; last: predicts {clips[1]}, frames 16-") == 3, told.stdout
    predict(run, clips, tmp_path, device="cpu")
    assert read_folder(tmp_path) == undisturbed


def test_a_disk_that_is_full_is_a_line_and_nothing_is_lost(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """A real one, of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        out = disk / "out"
        plan_work(run, clips, out)
        filler = disk / "filler"
        free = shutil.disk_usage(disk).free
        # Room for the records of a worker and some parts.
        filler.write_bytes(bytes(free - 60_000))
        with pytest.raises(PoseError, match="no space left on the disk; free some"):
            work(out)
        assert 0 < read_status(out).done < 134
        assert not list(out.glob("*.parquet")) or read_folder(out).items() <= undisturbed.items()
        filler.unlink()
        assert work(out)
        assert read_folder(out) == undisturbed
    finally:
        subprocess.run(["umount", str(disk)], check=True)
