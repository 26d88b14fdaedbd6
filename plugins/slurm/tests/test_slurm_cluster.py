"""A real SLURM of one node: Debian's slurmctld, slurmd and munge, started here without systemd.

Slow, and skipped where the packages are not installed (``apt-get install slurmctld slurmd slurm-client munge``) or
this is not root.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_run import make_run

import pose_core
from pose_core.synthetic.videos import write_numbered_video

pytestmark = pytest.mark.slow

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other}
AuthType=auth/munge
AuthInfo=socket={home}/run/munge.sock,cred_expire=10
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/run/ctld.pid
SlurmdPidFile={home}/run/d.pid
SlurmctldLogFile={home}/log/ctld.log
SlurmdLogFile={home}/log/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2,batch_sched_delay=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=01:00:00 State=UP
"""


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(ready: Callable[[], bool], what: str, seconds: float = 300) -> None:
    give_up = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    programs = {name: shutil.which(name) for name in ("slurmctld", "slurmd", "munged", "sbatch")}
    if not all(programs.values()) or os.getuid() != 0:
        pytest.skip("slurmctld, slurmd, munge and root are needed")
    home = tmp_path_factory.mktemp("slurm")
    for name in ("run", "log", "state", "spool"):
        (home / name).mkdir(mode=0o700)
    home.chmod(0o700)
    (home / "key").write_bytes(os.urandom(1024))
    (home / "key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    (home / "slurm.conf").write_text(
        CONFIGURATION.format(home=home, host=host, port=find_port(), other=find_port(), cores=os.cpu_count())
    )
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(home / "slurm.conf")
    try:
        munge = {
            "key-file": "key",
            "socket": "run/munge.sock",
            "pid-file": "run/munge.pid",
            "log-file": "log/munge.log",
        }
        subprocess.run(
            [
                "munged",
                "--force",
                f"--seed-file={home}/seed",
                *(f"--{k}={home}/{v}" for k, v in munge.items()),
            ],
            check=True,
        )
        subprocess.run(["slurmctld", "-f", str(home / "slurm.conf")], check=True)
        subprocess.run(["slurmd", "-f", str(home / "slurm.conf"), "-N", host], check=True)
        wait(lambda: "idle" in ask("sinfo", "-h", "-o", "%T"), "the node does not come up", 60)
        yield home
    finally:
        for name in ("d.pid", "ctld.pid", "munge.pid"):
            if (home / "run" / name).exists():
                os.kill(int((home / "run" / name).read_text()), signal.SIGTERM)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_tasks_are_killed_stopped_and_queued_again_and_the_result_is_that_of_one_process(
    cluster: Path, tmp_path: Path
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
