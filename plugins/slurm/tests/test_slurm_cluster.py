"""A real SLURM of one node: Debian's slurmctld, slurmd and munge, started here without systemd.

Slow, and skipped where the packages are not installed (``apt-get install slurmctld slurmd slurm-client munge``) or
this is not root.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from real_slurm import NEEDS, ask, can_run, run_slurm, wait
from tiny_run import make_run

import pose_core
from pose_core.synthetic.videos import write_numbered_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if not can_run():
        pytest.skip(NEEDS)
    with run_slurm(tmp_path_factory.mktemp("slurm")):
        yield


def test_tasks_are_killed_stopped_and_queued_again_and_the_result_is_that_of_one_process(
    cluster: None, tmp_path: Path
) -> None:
    run, video = make_run(tmp_path / "run"), tmp_path / "long.mp4"
    write_numbered_video(video, 3000)
    one, out = tmp_path / "one", tmp_path / "out"
    pose_core.predict(run, video, one, device="cpu")
    engine = {
        "type": "slurm",
        "partition": "test",
        "part_frames": 100,
        "heartbeat": 0.5,
        "stale": 30,
        "time": "10",
    }
    engine |= {"cpus": 1, "prologue": [f"export OMP_NUM_THREADS={torch.get_num_threads()}"]}
    said: list[str] = []

    class Reporter:
        def note(self, line: str) -> None:
            said.append(line)

        def progress(self, what: str, done: float, total: float | None) -> None:
            return

    pose_core.predict(run, video, out, device="cpu", engine=engine, workers=3, reporter=Reporter())
    (job,) = [line.split("SLURM job ")[1].split(";")[0] for line in said if "SLURM job" in line]
    logs = sorted((out / ".plan" / "logs").glob("*"))

    def explain() -> str:
        return "\n".join([ask("squeue"), *(log.read_text() for log in logs), str(pose_core.read_status(out))])

    wait(lambda: pose_core.read_status(out).done > 0, explain())
    # As at a time limit: the shell of the first task is told, keeps what it has and queues again.
    subprocess.run(["scancel", "--signal=TERM", "--batch", f"{job}_0"], check=True)
    wait(lambda: "Restarts=1" in ask("scontrol", "show", "job", f"{job}_0"), explain(), 60)
    # And one that is lost.
    alive = [worker for worker in pose_core.read_status(out).workers if worker.alive]
    assert alive, explain()
    os.kill(alive[0].pid, signal.SIGKILL)
    wait(lambda: pose_core.read_status(out).over, explain())
    assert (out / "long.parquet").read_bytes() == (one / "long.parquet").read_bytes()
