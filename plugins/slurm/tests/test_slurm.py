"""The engine asks SLURM's programs for what it should, and its job script stops, goes on and ends as it should.

The programs are small ones of these tests that run the tasks on this machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm, can_play, write_programs
from pose_slurm.config import SlurmEngineConfig
from pose_slurm.engine import SlurmEngine
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, PoseError
from pose_core.synthetic.videos import write_numbered_video


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    if not can_play():
        pytest.skip("the fake cluster needs bash and /proc")
    fake = write_programs(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{fake.home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return fake


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "long.mp4"
    write_numbered_video(path, 800)
    return path


@pytest.fixture(scope="module")
def undisturbed(run: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("one")
    pose_core.predict(run, video, out, device="cpu")
    return (out / "long.parquet").read_bytes()


def wait(ready: Callable[[], bool], cluster: FakeSlurm) -> None:
    give_up = time.monotonic() + 240
    while not ready():
        assert time.monotonic() < give_up, [cluster.log(), (cluster.home / "calls").read_text()]
        time.sleep(0.05)


ENGINE = {
    "type": "slurm",
    "part_frames": 80,
    "heartbeat": 0.2,
    "partition": "gpu",
    "time": "04:00:00",
    "memory": "8G",
    "cpus": 3,
    "at_once": 2,
    "options": ["--constraint=a100"],
    "prologue": ["export MODULES=loaded", "echo $MODULES >&2"],
}


def test_two_tasks_make_what_one_process_makes(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, cluster: FakeSlurm
) -> None:
    out = tmp_path / "out"
    (pending,) = pose_core.predict(run, video, out, device="cpu", engine=ENGINE, workers=2)
    assert pending is not None
    assert pending.result == out / "long.parquet"
    wait(lambda: pose_core.read_status(out).over, cluster)
    assert pending.result.read_bytes() == undisturbed
    (options,) = cluster.calls("sbatch")
    expected = {"--array=0-1%2", "--partition=gpu", "--time=04:00:00", "--mem=8G", "--cpus-per-task=3"}
    expected |= {"--requeue", "--signal=B:TERM@60", "--job-name=pose-out", "--constraint=a100", "--parsable"}
    assert expected <= set(options)
    assert not any(option.startswith(("--gres", "--account")) for option in options)
    assert cluster.log() == "loaded\n"
    handle = SlurmEngine(SlurmEngineConfig()).find({"job": "100"})
    wait(lambda: handle.alive() == 0, cluster)
    assert cluster.calls("scontrol") == [], "a task went back into the queue with nothing left to do"
    workers = pose_core.read_status(out).workers
    assert {worker.job.partition("SLURM_ARRAY_TASK_ID=")[2][:1] for worker in workers} <= {"0", "1"}
    # The same command shows the result.
    (outcome,) = pose_core.predict(run, video, out, device="cpu", engine=ENGINE, workers=2)
    assert outcome is not None
    assert len(cluster.calls("sbatch")) == 1


@pytest.mark.long
def test_a_task_at_its_time_limit_goes_on_after_it_was_queued_again(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, cluster: FakeSlurm
) -> None:
    out = tmp_path / "out"
    pose_core.predict(run, video, out, device="cpu", engine=ENGINE, workers=1)
    wait(lambda: pose_core.read_status(out).done > 0, cluster)
    # As --signal=B:TERM does: the shell alone.
    os.kill(cluster.pid(), signal.SIGTERM)
    wait(lambda: bool(cluster.calls("scontrol")), cluster)
    assert cluster.calls("scontrol") == [["requeue", "100"]]
    wait(lambda: pose_core.read_status(out).over, cluster)
    assert (out / "long.parquet").read_bytes() == undisturbed
    assert len(pose_core.read_status(out).workers) == 2


@pytest.mark.long
def test_cancelled_tasks_keep_what_they_have_and_stay_out_of_the_queue(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, cluster: FakeSlurm
) -> None:
    out = tmp_path / "out"
    pose_core.predict(run, video, out, device="cpu", engine=ENGINE, workers=2)
    wait(lambda: pose_core.read_status(out).done > 0, cluster)
    assert pose_core.cancel(out) == []
    handle = SlurmEngine(SlurmEngineConfig()).find({"job": "100"})
    wait(lambda: handle.alive() == 0, cluster)
    assert cluster.calls("scontrol") == []
    status = pose_core.read_status(out)
    assert 0 < status.done < 800
    assert not any(worker.alive for worker in status.workers)
    (outcome,) = pose_core.predict(run, video, out, device="cpu")
    assert outcome is not None
    assert (out / "long.parquet").read_bytes() == undisturbed


def test_what_slurm_refuses_is_a_line(run: Path, video: Path, tmp_path: Path, cluster: FakeSlurm) -> None:
    def ask(partition: str) -> None:
        engine = {"type": "slurm", "partition": partition}
        pose_core.predict(run, video, tmp_path / "out", device="cpu", engine=engine, workers=2)

    with pytest.raises(
        PoseError, match="sbatch failed: Batch job submission failed: Job violates accounting"
    ):
        ask("full")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(ConfigError, match="partition: the cluster has no 'gpus'; it has gpu, long, full"):
        ask("gpus")
    (cluster.home / "dead").touch()
    with pytest.raises(
        ConfigError, match="sinfo failed: slurm_load_partitions: Unable to contact slurm controller"
    ):
        ask("gpu")
    assert not (tmp_path / "out").exists()
    assert SlurmEngine(SlurmEngineConfig()).find({"job": "999"}).alive() == 0


def test_a_machine_without_slurm_is_refused_first(
    run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match="there is no sbatch here; give the command on a machine of the cluster"
    ):
        pose_core.predict(run, video, tmp_path / "out", device="cpu", engine="slurm")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"time": "4 hours"}, "time"), ({"memory": "8 GB"}, "memory"), ({"gpu": 1}, "did you mean gpus")],
)
def test_wrong_settings_are_a_line(
    run: Path, video: Path, tmp_path: Path, settings: dict[str, Any], said: str, cluster: FakeSlurm
) -> None:
    with pytest.raises(ConfigError, match=said):
        pose_core.predict(run, video, tmp_path / "out", device="cpu", engine={"type": "slurm", **settings})
