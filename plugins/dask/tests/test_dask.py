"""Workers are tasks of a real Dask scheduler: they are killed, moved and cancelled, and the results are those of one
process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask_jobqueue
import pytest
import torch
from dask_jobqueue.local import LocalCluster as LocalJobs
from distributed import Client, LocalCluster
from pose_dask.config import DaskEngineConfig
from pose_dask.engine import DaskEngine
from shared_work import list_alive, paused
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces import WorkerPlan
from pose_core.synthetic.videos import write_numbered_video
from pose_core.workers.engines import choose_engine

FRAMES = 600
QUICK = {"type": "dask", "part_frames": 60, "heartbeat": 0.2, "threads": torch.get_num_threads()}
"""Who died on this machine is seen at once; bytes are equal where the same number of threads computes."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "long.mp4"
    write_numbered_video(path, FRAMES)
    return path


@pytest.fixture(scope="module")
def undisturbed(run: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("one")
    pose_core.predict(run, video, out, device="cpu")
    return (out / "long.parquet").read_bytes()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two Dask workers, which Dask starts again when they die."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
    ) as started:
        yield started


def wait(ready: Callable[[], bool], out: Path) -> None:
    give_up = time.monotonic() + 240
    while not ready():
        logs = [log.read_text() for log in (out / ".plan" / "logs").glob("*")]
        assert time.monotonic() < give_up, [pose_core.read_status(out), *logs]
        time.sleep(0.02)


@pytest.mark.long
def test_a_dask_worker_is_killed_another_is_started_and_the_result_is_that_of_one_process(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, cluster: LocalCluster
) -> None:
    engine = {**QUICK, "scheduler": cluster.scheduler_address, "wait": False}
    (pending,) = pose_core.predict(run, video, tmp_path, device="cpu", engine=engine, workers=2)
    assert pending is not None
    wait(lambda: any("predicts" in w.doing for w in pose_core.read_status(tmp_path).workers), tmp_path)
    worker = list_alive(tmp_path)[0]
    with Client(cluster, set_as_default=False) as client, paused([worker]):
        dask_worker = read_parent(worker)
        assert dask_worker in client.run(os.getpid).values()
        # The worker of the plan is lost with it; were it alive, it would keep what it has and stop.
        os.kill(worker, signal.SIGKILL)
        os.kill(dask_worker, signal.SIGKILL)
        wait(lambda: pose_core.read_status(tmp_path).over, tmp_path)
        assert pending.result.read_bytes() == undisturbed
        client.wait_for_workers(2)
        assert dask_worker not in client.run(os.getpid).values()
    assert DaskEngine(DaskEngineConfig.model_validate(engine)).suggest_workers() == 2


def read_parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_dask_worker_that_is_told_to_end_loses_nothing(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, cluster: LocalCluster
) -> None:
    engine = {**QUICK, "scheduler": cluster.scheduler_address, "wait": False, "part_frames": FRAMES}
    pose_core.predict(run, video, tmp_path, device="cpu", engine=engine, workers=1)
    wait(lambda: any("predicts" in w.doing for w in pose_core.read_status(tmp_path).workers), tmp_path)
    (worker,) = list_alive(tmp_path)
    with paused([worker]):
        os.kill(read_parent(worker), signal.SIGTERM)
    wait(lambda: worker not in list_alive(tmp_path), tmp_path)
    # Its range was not over, and is on disk up to the batch; Dask begins the task elsewhere.
    assert [w.ended for w in pose_core.read_status(tmp_path).workers if w.pid == worker] == [""]
    wait(lambda: pose_core.read_status(tmp_path).over, tmp_path)
    assert (tmp_path / "long.parquet").read_bytes() == undisturbed
    frames = sum(w.frames for w in pose_core.read_status(tmp_path).workers)
    assert frames == FRAMES, "a frame was predicted twice"


@pytest.mark.slow
def test_cancelled_workers_keep_what_they_have_and_one_of_this_machine_goes_on(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, cluster: LocalCluster
) -> None:
    out = tmp_path / "out"
    engine = {**QUICK, "scheduler": cluster.scheduler_address, "wait": False}
    # One more than there are Dask workers: it waits, and never begins.
    pose_core.predict(run, video, out, device="cpu", engine=engine, workers=3)
    wait(lambda: pose_core.read_status(out).done > 0, out)
    with paused(list_alive(out)):
        assert pose_core.cancel(out) == []
    wait(lambda: not list_alive(out), out)
    status = pose_core.read_status(out)
    assert status.cancelled
    assert 0 < status.done < FRAMES
    assert len(list((out / ".plan" / "logs").iterdir())) <= 2
    # A scheduler of its own, in the command.
    (outcome,) = pose_core.predict(run, video, out, device="cpu", engine=QUICK, workers=1)
    assert outcome is not None
    assert (out / "long.parquet").read_bytes() == undisturbed


def test_a_worker_that_is_killed_is_begun_again(tmp_path: Path, cluster: LocalCluster) -> None:
    engine = choose_engine({"type": "dask", "scheduler": cluster.scheduler_address})
    program = "import os, pathlib, sys; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); os.kill(os.getpid(), 9)"
    logs, begun = tmp_path / "logs", tmp_path / "begun"
    logs.mkdir()
    begun.mkdir()
    command = (sys.executable, "-c", program, str(begun))
    handle = engine.start(WorkerPlan(tmp_path, command, logs, "pose-test", tmp_path / "cancel"), 1)
    try:
        with pytest.raises(
            PoseError, match=r"no task could be carried out: WorkerKilledError: .* by SIGKILL"
        ):
            wait(lambda: handle.alive() == 0, tmp_path)
        assert handle.alive() == 0
    finally:
        handle.close()


@pytest.mark.slow
def test_jobs_are_submitted_again(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class of dask-jobqueue whose jobs are processes of this machine; those for clusters differ in commands."""
    started: list[Any] = []

    class Jobs(LocalJobs):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(dask_jobqueue, "LocalJobs", Jobs, raising=False)
    options = {"memory": "1GB", "scheduler_options": {"dashboard_address": None}}
    engine = {**QUICK, "cluster": "LocalJobs", "cluster_options": options}
    (outcome,) = pose_core.predict(run, video, tmp_path, device="cpu", engine=engine, workers=1)
    assert outcome is not None
    assert (tmp_path / "long.parquet").read_bytes() == undisturbed
    (jobs,) = started
    assert jobs.status.name == "closed"
    with pytest.raises(ConfigError, match=r"cluster_options: LocalJobs does not take them: .*hours"):
        pose_core.predict(
            *(run, video, tmp_path / "more"),
            device="cpu",
            engine={**engine, "cluster_options": {**options, "hours": 3}},
        )


@pytest.mark.slow
def test_a_scheduler_that_is_lost_is_a_line_and_what_is_done_stays(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = (sys.executable, "-m")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [
            *dask,
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-dashboard",
        ],
        **quiet,
    )
    worker = subprocess.Popen(
        [*dask, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"], **quiet
    )

    class Killer:
        def note(self, line: str) -> None:
            return

        def progress(self, what: str, done: float, total: float | None) -> None:
            if 0 < done < FRAMES:
                scheduler.kill()

    try:
        engine = {**QUICK, "scheduler": address, "connect": 20}
        with pytest.raises(
            PoseError, match=f"the scheduler at {address} answers no more; what is done stays"
        ):
            pose_core.predict(run, video, tmp_path, device="cpu", engine=engine, workers=1, reporter=Killer())
        worker.wait(60)
        wait(lambda: not list_alive(tmp_path), tmp_path)
        assert pose_core.read_status(tmp_path).done > 0
        pose_core.predict(run, video, tmp_path, device="cpu")
        assert (tmp_path / "long.parquet").read_bytes() == undisturbed
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def test_a_scheduler_that_does_not_answer_is_refused_before_anything_is_made(
    run: Path, video: Path, tmp_path: Path
) -> None:
    def ask(**settings: Any) -> None:
        engine = {"type": "dask", "connect": 0.5, **settings}
        pose_core.predict(run, video, tmp_path / "out", device="cpu", engine=engine)

    # Port 9 is of no program here.
    with pytest.raises(
        ConfigError, match=r"scheduler tcp://127.0.0.1:9: nobody answers there; start it"
    ) as caught:
        ask(scheduler="tcp://127.0.0.1:9")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="scheduler http://x: unknown address scheme 'http'"):
        ask(scheduler="http://x")
    with pytest.raises(
        ConfigError, match=r"cluster SlurmCluster: dask-jobqueue has HTCondorCluster, .*SLURMCluster"
    ):
        ask(cluster="SlurmCluster")
    assert not (tmp_path / "out").exists()


def test_without_dask_jobqueue_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(
        ConfigError, match=r"cluster SLURMCluster: needs dask-jobqueue, which is not .*: pip install"
    ):
        choose_engine({"type": "dask", "cluster": "SLURMCluster"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scheduler": "tcp://a:1", "cluster": "SLURMCluster"}, "give one of the two"),
        ({"cluster_options": {"queue": "gpu"}}, "add cluster"),
        ({"wait": False}, "give a scheduler that is running"),
        ({"resources": {"GPU": 1}}, "give a scheduler or a cluster"),
        ({"adress": "tcp://a:1"}, "adress"),
    ],
)
def test_settings_that_do_not_fit_together_are_a_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        choose_engine({"type": "dask", **settings})
    assert "\n" not in str(caught.value)
