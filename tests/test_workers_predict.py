"""Several processes predict into one folder: the results are those of one, whatever dies on the way."""

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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, DataError, PoseError, VideoError
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_core.pipeline.engine import Pipeline
from pose_core.prediction import part_writer
from pose_core.prediction import worker as worker_module
from pose_core.prediction.distribute import Pending, make_request
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.prediction.worker import Worker, work
from pose_core.reporting import LogReporter
from pose_core.specs import EngineConfig
from pose_core.structures import Frame, Region
from pose_core.synthetic.videos import overwrite_bytes, write_numbered_video
from pose_core.tracking.choose import choose_tracker
from pose_core.workers import local_engine, parts
from pose_core.workers.disk import Disk
from pose_core.workers.engines import cancel
from pose_core.workers.local_engine import LocalEngine
from pose_core.workers.plan import Plan, open_plan
from pose_core.workers.status import read_status

QUICK = {"part_frames": 8, "heartbeat": 0.2, "stale": 60.0}
"""Settings of an engine for clips of some dozen frames; who died on this machine is seen at once."""

# Bytes are equal where the same number of threads computes.
THREADS = torch.get_num_threads()

FRAMES = {"one.mp4": 60, "two.mp4": 44, "three.avi": 30}


class Nobody(EngineHandle):
    def state(self) -> dict[str, Any]:
        return {}

    def alive(self) -> int | None:
        return None

    def cancel(self) -> None:
        (self.folder / "told").touch()

    def __init__(self, folder: Path) -> None:
        self.folder = folder


class Elsewhere(Engine):
    """Starts nothing: the test works itself."""

    waits = False

    def start(self, plan: WorkerPlan, workers: int) -> EngineHandle:
        return Nobody(plan.logs)

    def find(self, state: Mapping[str, Any]) -> EngineHandle:
        raise NotImplementedError("nobody looks for it")


class Watcher(LogReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[float] = []
        self.errors: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        self.steps.append(done)

    def finished(self, name: str, outcome: Outcome | VideoError | DataError) -> None:
        if not isinstance(outcome, Outcome):
            self.errors.append(str(outcome))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / name for name in FRAMES]
    for path, frames in zip(paths, FRAMES.values(), strict=True):
        write_numbered_video(
            path, frames, codec="mjpeg" if path.suffix == ".avi" else "libx264", pixels="yuvj420p"
        )
    return paths


@pytest.fixture(scope="module")
def undisturbed(run: Path, clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes, notes included, by name."""
    out = tmp_path_factory.mktemp("undisturbed")
    predict(run, clips, out, device="cpu")
    return read_folder(out)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Elsewhere]:
    """An engine of which the test is the workers."""
    made = Elsewhere(EngineConfig(type="core/local", **QUICK))

    def choose(given: object) -> Elsewhere:
        return made

    monkeypatch.setattr("pose_core.prediction.predict.choose_engine", choose)
    return choose


def read_folder(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def plan_work(run: Path, clips: list[Path], out: Path, **options: Any) -> Plan:
    predict(run, clips, out, device="cpu", engine="local", **options)
    return open_plan(out)


def test_two_workers_make_what_one_process_makes(
    pose: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    engine = f"{{type: local, part_frames: 8, threads: {THREADS}}}"
    process = pose(
        *(
            "predict",
            run,
            *clips,
            "--out",
            "out",
            "--device",
            "cpu",
            "--engine",
            engine,
            "--workers",
            "2",
        ),
    )
    assert process.returncode == 0, process.stderr
    assert sorted(process.stdout.split()) == sorted(f"out/{Path(name).stem}.parquet" for name in FRAMES)
    assert read_folder(tmp_path / "out") == undisturbed
    rows = json.loads(pose("status", "out", "--json").stdout)
    assert (rows["done"], rows["frames"], rows["over"]) == (134, 134, True)
    assert sum(worker["frames"] for worker in rows["workers"]) == 134
    again = pose("predict", run, *clips, "--out", "out", "--device", "cpu", "--engine", engine)
    assert again.returncode == 0
    assert "is complete" in again.stderr


def test_a_plan_says_all_and_any_process_may_finish_it(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    watcher = Watcher()
    outcomes = predict(run, clips, tmp_path, device="cpu", engine="x", reporter=watcher)
    assert outcomes == [Pending(tmp_path / f"{Path(name).stem}.parquet") for name in FRAMES]
    status = read_status(tmp_path)
    assert (status.done, status.frames, status.over, status.rate) == (0, 134, False, 0)
    plan = open_plan(tmp_path)
    assert [list(video.ranges())[-1] for video in plan.videos] == [(56, 59), (40, 43), (24, 29)]
    # Without an engine, this process does the rest.
    outcomes = predict(run, clips, tmp_path, device="cpu", reporter=watcher)
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    assert read_folder(tmp_path) == undisturbed
    assert watcher.steps[-1] == 134
    assert not any((plan.home / "parts").iterdir())
    assert not any((plan.home / "claims").iterdir())


def test_two_workers_share_and_do_not_repeat(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, int]] = []
    true = Pipeline.run

    def watch(self: Pipeline, source: Any, start: int = 0, *rest: Any) -> Iterator[Any]:
        for result in true(self, source, start, *rest):
            seen.extend((str(source.video), frame.index) for frame in result.frames)
            yield result

    monkeypatch.setattr(Pipeline, "run", watch)
    plan_work(run, clips, tmp_path)
    threads = [threading.Thread(target=work, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == 134, "a frame was predicted twice"
    assert read_folder(tmp_path) == undisturbed


@pytest.mark.parametrize("stop_after", [0, 1, 5, 11])
def test_a_worker_that_is_told_to_stop_keeps_its_batches(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
) -> None:
    plan = plan_work(run, clips, tmp_path)
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
    claims = [path for path in (plan.home / "claims").rglob("*") if path.is_file()]
    assert claims == [], "a claim was not given back"
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def start_worker(out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pose_core", "worker", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_there_twice(
    elsewhere: Any, run: Path, tmp_path: Path, kills: int
) -> None:
    rng = random.Random(kills)
    # Long enough that work is left after the last kill.
    few = kills == 2
    clips = [tmp_path / f"{name}.mp4" for name in ("a", "b", "c")]
    for clip in clips:
        write_numbered_video(clip, 120 if few else 2000)
    one, out = tmp_path / "one", tmp_path / "out"
    predict(run, clips, one, device="cpu")
    plan_work(run, clips, out)
    workers: list[subprocess.Popen[bytes]] = []
    killed = 0
    while killed < kills and not read_status(out).over:
        living = [worker for worker in workers if worker.poll() is None]
        for _ in range((2 if few else 3) - len(living)):
            living.append(start_worker(out))
            workers.append(living[-1])
        before = read_status(out).done
        give_up = time.monotonic() + 60
        while (
            read_status(out).done <= before + 8 and time.monotonic() < give_up and not read_status(out).over
        ):
            time.sleep(rng.uniform(0, 0.05))
        victim = rng.choice(living)
        victim.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        killed += 1
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        worker.communicate()
        # Before its imports are over a worker has nothing to keep, and ends as any process.
        assert worker.returncode in (0, 143, -signal.SIGKILL, -signal.SIGTERM)
    assert killed == kills, "everything was done before the last kill"
    predict(run, clips, out, device="cpu")
    assert read_folder(out) == read_folder(one)


def test_sigterm_keeps_the_batch_and_says_that_work_is_left(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    long = tmp_path / "long.mp4"
    write_numbered_video(long, 1500)
    predict(run, [long], tmp_path / "out", device="cpu", engine="local")
    process = start_worker(tmp_path / "out")
    while not read_status(tmp_path / "out").done:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    error = process.communicate()[1].decode()
    assert process.returncode == 143, error
    assert error == ""
    status = read_status(tmp_path / "out")
    assert 0 < status.done < 1500
    assert [video.claimed for video in status.videos] == [0]
    assert [worker.ended for worker in status.workers if worker.pid == process.pid] == [""]


def test_a_worker_whose_parent_is_gone_stops(elsewhere: Any, run: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.mp4"
    write_numbered_video(long, 1500)
    predict(run, [long], tmp_path / "out", device="cpu", engine="local")
    process = subprocess.Popen(
        [sys.executable, "-m", "pose_core", "worker", str(tmp_path / "out"), "--attached"],
        stdin=subprocess.PIPE,
    )
    while not read_status(tmp_path / "out").done:
        assert process.poll() is None
        time.sleep(0.02)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == 143


def test_a_slow_worker_that_was_overtaken_does_no_harm(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stands still until others have taken over, finished and joined; then it puts its part in place."""
    plan = plan_work(run, clips, tmp_path)
    true = parts.publish
    slow: list[int] = []
    overtaken = False

    def publish(*arguments: Any) -> bool:
        nonlocal overtaken
        if not slow and threading.current_thread().name == "slow":
            slow.append(1)
            for claim in (plan.home / "claims").rglob("*.1"):
                os.utime(claim, (0, 0))
            overtaken = work(tmp_path)
        return true(*arguments)

    monkeypatch.setattr(part_writer, "publish", publish)
    # Signs of life that do not come any more: the disk of this worker is far away.
    monkeypatch.setattr("pose_core.workers.heart.Heart._give_sign", lambda self: None)
    thread = threading.Thread(target=work, args=(tmp_path,), name="slow")
    thread.start()
    thread.join()
    assert overtaken
    assert read_folder(tmp_path) == undisturbed
    assert read_status(tmp_path).over


def test_a_second_start_of_the_command_works_on_the_same_plan(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    first = plan_work(run, clips, tmp_path)
    watcher = Watcher()
    predict(run, clips, tmp_path, device="cpu", engine="local", workers=7, reporter=watcher)
    assert open_plan(tmp_path) == first
    assert len(list((first.home / "engines").iterdir())) == 2
    work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def test_a_full_disk_ends_a_worker_in_one_line_and_loses_nothing(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_work(run, clips, tmp_path)
    published = 0
    true = parts.publish

    def publish(*arguments: Any) -> bool:
        nonlocal published
        published += 1
        if published == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return true(*arguments)

    monkeypatch.setattr(part_writer, "publish", publish)
    with pytest.raises(PoseError, match="no space left on the disk; free some"):
        work(tmp_path)
    monkeypatch.undo()
    status = read_status(tmp_path)
    assert status.done == 3 * 8
    assert [w.ended for w in status.workers if w.ended] == [
        f"{tmp_path}: no space left on the disk; free some and run the same command again, it goes on from here"
    ]
    assert not [path for path in (plan.home / "claims").rglob("*") if path.is_file()]
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: make_run(run, seed=1), "the weights of the run"),
        (
            lambda run: (run / "config.yaml").write_text(
                (run / "config.yaml").read_text().replace("threshold: 0.0", "threshold: 0.5")
            ),
            "the model, or the way of using it",
        ),
        (
            lambda run: (run / "config.yaml").write_text(
                (run / "config.yaml").read_text().replace("batch_size: 4", "batch_size: 8")
            ),
            "the model, or the way of using it",
        ),
    ],
)
def test_a_run_that_changed_is_refused_before_a_frame_is_read(
    elsewhere: Any, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    run = make_run(tmp_path / "run")
    out = tmp_path / "out"
    plan = plan_work(run, clips, out)
    content = (run / "config.yaml").read_bytes()
    shutil.rmtree(run) if "weights" in said else None
    change(run)
    assert "weights" in said or (run / "config.yaml").read_bytes() != content
    monkeypatch.setattr(Pipeline, "run", None)
    with pytest.raises(PoseError, match=f"the plan was made with another state of .*{said}"):
        work(out)
    with pytest.raises(PoseError, match=f"holds unfinished work that differs in .*{said}"):
        predict(run, clips, out, device="cpu", engine="local")
    assert not [path for path in (plan.home / "claims").rglob("*") if path.is_file()]


def test_another_version_of_a_plugin_is_refused(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    plan = plan_work(run, clips, tmp_path)
    path = plan.home / "plan.json"
    content = json.loads(path.read_text())
    assert set(content["maker"]["plugins"]) == {"heatmap", "unet"}
    content["maker"]["plugins"]["unet"] = "pose-unet 9.9"
    path.write_text(json.dumps(content))
    with pytest.raises(PoseError, match=r"the version of a plugin \(unet: pose-unet 9.9, now pose-unet "):
        work(tmp_path)


def test_a_video_that_was_replaced_is_refused_and_the_others_are_predicted(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    copies = [Path(shutil.copy2(clip, tmp_path / clip.name)) for clip in clips]
    out = tmp_path / "out"
    plan_work(run, copies, out)
    write_numbered_video(copies[1], 50)
    assert work(out)
    status = read_status(out)
    assert [video.state for video in status.videos] == ["done", "set aside", "done"]
    assert status.videos[1].reason.startswith("has changed since the plan was made")
    watcher = Watcher()
    outcomes = predict(run, copies, out, device="cpu", reporter=watcher, finished=watcher.finished)
    # The plan is over, so the new video is predicted as any other.
    assert [isinstance(outcome, Outcome) and outcome.frames for outcome in outcomes] == [60, 50, 30]


def test_a_video_that_is_replaced_between_two_ranges_is_noticed(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Path(shutil.copy2(clips[0], tmp_path / "clip.mp4"))
    plan_work(run, [clip], tmp_path / "out")
    true = parts.publish

    def publish(*arguments: Any) -> bool:
        os.utime(clip, (1, 1))
        return true(*arguments)

    monkeypatch.setattr(part_writer, "publish", publish)
    assert work(tmp_path / "out")
    (video,) = read_status(tmp_path / "out").videos
    assert video.state == "set aside"
    assert video.done == 8
    assert video.reason.startswith("has changed since the plan was made")


def test_a_video_that_fails_is_set_aside_after_three_tries(
    pose: Any, elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_work(run, clips, tmp_path / "out")
    true = Pipeline.run
    tries = 0

    def fail(self: Pipeline, source: Any, *rest: Any) -> Iterator[Any]:
        nonlocal tries
        if source.video.name == "two.mp4":
            tries += 1
            raise VideoError(f"{source.video}: the decoder gave up")
        yield from true(self, source, *rest)

    monkeypatch.setattr(Pipeline, "run", fail)
    assert work(tmp_path / "out")
    assert tries >= 3
    status = pose("status", "out")
    assert status.returncode == 2, status.stdout
    (line,) = [line for line in status.stdout.splitlines() if "two.mp4" in line]
    assert "set aside" in line
    assert "the decoder gave up" in line
    # The same command tries it anew.
    monkeypatch.undo()
    watcher = Watcher()
    outcomes = predict(
        run, clips, tmp_path / "out", device="cpu", reporter=watcher, finished=watcher.finished
    )
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)


def test_what_no_file_explains_ends_a_worker_after_three_times(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_work(run, clips, tmp_path)

    def fail(self: Pipeline, *arguments: Any) -> Iterator[Any]:
        raise RuntimeError("CUDA out of memory")
        yield

    monkeypatch.setattr(Pipeline, "run", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        work(tmp_path)
    status = read_status(tmp_path)
    assert not status.over, "one broken machine set videos aside"
    assert any("RuntimeError: CUDA out of memory" in video.reason for video in status.videos)
    assert [w.ended for w in status.workers if w.ended] == ["RuntimeError: CUDA out of memory"]


def test_a_range_on_which_nothing_comes_is_given_up(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_work(run, clips[:1], tmp_path)
    path = plan.home / "plan.json"
    content = json.loads(path.read_text())
    content["times"] |= {"hang": 0.5, "heartbeat": 0.1}
    path.write_text(json.dumps(content))
    true = Pipeline.run
    said: list[str] = []
    stop, woken = threading.Event(), threading.Event()

    def hang(self: Pipeline, source: Any, start: int = 0, *rest: Any) -> Iterator[Any]:
        if start == 16:
            assert woken.wait(60), "nobody saw that it hangs"
        yield from true(self, source, start, *rest)

    def wake(reason: str) -> None:
        said.append(reason)
        stop.set()
        woken.set()

    monkeypatch.setattr(Pipeline, "run", hang)
    work(tmp_path, stop=stop, hung=wake)
    assert len(said) == 1
    assert "no new batch came for" in said[0]
    (video,) = read_status(tmp_path).videos
    assert "no new batch came for" in video.reason


def test_a_damaged_part_is_made_again(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    plan = plan_work(run, clips, tmp_path)
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
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_work(run, clips, tmp_path)
    true = parts.publish

    def publish(*arguments: Any) -> bool:
        shutil.rmtree(plan.home, ignore_errors=True)
        return true(*arguments)

    monkeypatch.setattr(part_writer, "publish", publish)
    with pytest.raises(PoseError, match="the plan was removed"):
        work(tmp_path)
    assert not plan.home.exists(), "it was begun anew"


def test_cancelling_stops_workers_and_keeps_what_is_done(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan_work(run, clips, tmp_path)
    true = parts.publish

    def publish(*arguments: Any) -> bool:
        assert cancel(tmp_path) == []
        return true(*arguments)

    monkeypatch.setattr(part_writer, "publish", publish)
    assert not work(tmp_path)
    monkeypatch.undo()
    status = read_status(tmp_path)
    assert status.cancelled
    assert 0 < status.done < 134
    outcomes = predict(run, clips, tmp_path, device="cpu")
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    assert read_folder(tmp_path) == undisturbed


@pytest.mark.parametrize("needs_images", [False, True])
def test_trackers_run_where_parts_are_joined(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, needs_images: bool
) -> None:
    one, out = tmp_path / "one", tmp_path / "out"
    trackers = pose_core.catalog.get_catalog().components("tracker")
    chosen = [
        t.full_name for t in trackers if ("images" in choose_tracker(t.full_name).needs()) == needs_images
    ]
    options = {"tracker": chosen[0], "animals": 1}
    predict(run, clips[:1], one, device="cpu", **options)
    plan_work(run, clips[:1], out, **options)
    assert work(out)
    assert read_folder(out) == read_folder(one)


def test_regions_frames_images_and_stages_that_look_back(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    """What is predicted of a source, and how it must be read, is in the plan."""
    images = tmp_path / "images"
    images.mkdir()
    import cv2

    from pose_core.synthetic.videos import draw_number

    for number in range(10):
        cv2.imwrite(str(images / f"{number}.png"), draw_number(number))
    cases: list[tuple[list[Path], dict[str, Any], set[int]]] = [
        (clips[:2], {"region": {"left": (0, 0, 32, 48), "right": "32,0,64,48"}}, {8}),
        (clips[:2], {"frames": "4-40:3"}, {8}),
        ([images], {}, {0}),
        ([images / "3.png", images / "1.png"], {}, {0}),
        (clips[:2], {"settings": {"inference.threshold": 0.1}, "batch_size": 2, "format": "parquet"}, {8}),
    ]
    for number, (paths, options, sizes) in enumerate(cases):
        one, out = tmp_path / f"one{number}", tmp_path / f"out{number}"
        predict(run, paths, one, device="cpu", **options)
        plan = plan_work(run, paths, out, **options)
        assert {video.part for video in plan.videos} == sizes
        assert work(out)
        assert read_folder(out) == read_folder(one)


def test_a_stage_that_looks_back_goes_on_from_the_frame_before(
    elsewhere: Any, tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    one, out = tmp_path / "one", tmp_path / "out"
    predict(run, clips[:1], one, device="cpu", follow=True)
    plan = plan_work(run, clips[:1], out, follow=True)
    assert plan.videos[0].part == 0
    previous: list[Frame | None] = []
    true = Pipeline.run
    stop = threading.Event()

    def watch(self: Pipeline, source: Any, start: int, timing: Any, before: Any, *rest: Any) -> Iterator[Any]:
        previous.append(before)
        for number, result in enumerate(true(self, source, start, timing, before, *rest)):
            yield result
            if number == 4:
                stop.set()

    monkeypatch.setattr(Pipeline, "run", watch)
    work(out, stop=stop)
    assert work(out)
    assert previous[0] is None
    assert previous[1] is not None
    assert previous[1].index % 4 == 3
    assert read_folder(out) == read_folder(one)


def test_a_damaged_video_gives_the_same_frames_wherever_a_range_begins(
    elsewhere: Any, run: Path, tmp_path: Path
) -> None:
    video = tmp_path / "damaged.mp4"
    packets = write_numbered_video(video, 60)
    for at in (17, 40):
        overwrite_bytes(video, packets[at][0], packets[at][1] // 2)
    one, out = tmp_path / "one", tmp_path / "out"
    watcher, other = Watcher(), Watcher()
    (expected,) = predict(run, [video], one, device="cpu", reporter=watcher)
    plan_work(run, [video], out)
    assert work(out)
    (outcome,) = predict(run, [video], out, device="cpu", engine="local", reporter=other)
    assert isinstance(expected, Outcome)
    assert isinstance(outcome, Outcome)
    assert outcome.missing == expected.missing
    assert read_folder(out) == read_folder(one)
    record = open_plan(out).read_done(open_plan(out).videos[0])
    assert record is not None
    assert [tuple(each) for each in record["doubtful"]] == expected.doubtful


def test_a_finished_plan_makes_room_for_another(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    plan_work(run, clips[:1], tmp_path)
    with pytest.raises(PoseError, match=r"differs in the videos, or which of their frames"):
        predict(run, clips, tmp_path, device="cpu", engine="local")
    work(tmp_path)
    plan = plan_work(run, clips, tmp_path)
    assert [video.stem for video in plan.videos] == ["two", "three"]
    assert work(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [
        "one.parquet",
        "three.parquet",
        "two.parquet",
    ]
    again = plan_work(run, clips[:1], tmp_path, overwrite=True)
    assert [video.stem for video in again.videos] == ["one"]
    assert work(tmp_path)


def test_where_links_are_unknown_one_worker_works_alone(
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: Any,
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    started: list[int] = []
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(
        Elsewhere, "start", lambda self, plan, workers: started.append(workers) or Nobody(plan.logs)
    )
    watcher = Watcher()
    predict(run, clips, tmp_path, device="cpu", engine="local", workers=5, reporter=watcher)
    assert started == [1]
    assert any("knows no hard links, so only one worker" in line for line in watcher.notes)
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "slurmm"}, "no engine 'slurmm' is installed"),
        ({"engine": "{type: local, hartbeat: 1}"}, "hartbeat"),
        ({"engine": {"type": "local", "gpus": [7]}}, "there is no GPU 7"),
        ({"workers": 3}, "is for an engine; add engine=NAME"),
        ({"engine": "local", "workers": 0}, "must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_a_line(
    run: Path, clips: list[Path], tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(PoseError, match=said):
        predict(run, clips, tmp_path / "out", device="cpu", **options)


def test_commands_without_a_plan_say_how_to_make_one(pose: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for command in ("status", "cancel", "worker"):
        line = pose.refuses(command, "out")
        assert "holds no plan of work to share; make one with 'pose predict RUN VIDEO --out" in line


def test_local_workers_that_are_found_again_are_told(run: Path, clips: list[Path], tmp_path: Path) -> None:
    """The process that started them is another one, or gone."""
    engine = LocalEngine(local_engine.LocalEngineConfig(type="core/local"))
    logs = tmp_path / "logs"
    logs.mkdir()
    command = (sys.executable, "-c", "import sys, time; print('here', flush=True); time.sleep(600)")
    handle = engine.start(WorkerPlan(tmp_path, command, logs, "pose-test", tmp_path / "cancel"), 2)
    found = engine.find(json.loads(json.dumps(handle.state())))
    assert (handle.alive(), found.alive()) == (2, 2)
    found.cancel()
    while handle.alive():
        time.sleep(0.01)
    assert found.alive() == 0
    found.cancel()
    assert engine.find({**handle.state(), "machine": "another"}).alive() is None


def test_500_videos_are_planned_and_looked_at_quickly(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    """One opened file each, and a few listings of folders: no more than that grows with the number of videos."""
    videos = [tmp_path / f"{number:03d}.avi" for number in range(40)]
    for video in videos:
        os.link(clips[2], video)
    plan = plan_work(run, videos, tmp_path / "out")
    assert len(plan.videos) == 40
    listed: list[Path] = []
    true = Disk.list_names

    def list_names(self: Disk, folder: Path) -> list[str]:
        listed.append(folder)
        return true(self, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Disk, "list_names", list_names)
        read_status(tmp_path / "out")
    assert 0 < len(listed) <= 2 * len(videos)


def test_requests_that_cannot_be_told_are_refused() -> None:
    plain = make_request({"region": Region(0, 8, 2, 6), "tiles": (64, 16), "run": Path("run")}, animals=None)
    assert plain == {"load": {"region": [0, 2, 8, 6], "tiles": "64:16", "run": "run"}, "animals": None}
    with pytest.raises(ConfigError, match="cannot be told to other processes"):
        make_request({"settings": {"inference.threshold": object()}})
