"""A real SLURM of one node: Debian's slurmctld, slurmd and munge, started here without systemd."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
NEEDS = "slurmctld, slurmd, munge (apt-get install slurmctld slurmd slurm-client munge) and root are needed"


def can_run() -> bool:
    """Whether the packages are installed, and this is root."""
    return all(map(shutil.which, PROGRAMS)) and os.getuid() == 0


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(ready: Callable[[], bool], what: str, seconds: float = 300) -> None:
    give_up = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def run_slurm(home: Path) -> Iterator[None]:
    """Run the daemons, with all that they write in one folder, empty or new; SLURM's programs find them meanwhile."""
    home.mkdir(exist_ok=True)
    home.chmod(0o700)
    for name in ("run", "log", "state", "spool"):
        (home / name).mkdir(mode=0o700)
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
        yield
    finally:
        for name in ("d.pid", "ctld.pid", "munge.pid"):
            if (home / "run" / name).exists():
                os.kill(int((home / "run" / name).read_text()), signal.SIGTERM)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before
