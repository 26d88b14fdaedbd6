"""Programs of SLURM that run tasks on this machine, for tests of what asks SLURM's programs."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path

import torch

# Every program of the fake cluster; what it knows lies in the folder around it.
PROGRAM = """#!{python}
import json, os, signal, subprocess, sys
from pathlib import Path

home, name, arguments = Path(__file__).parent.parent, Path(__file__).name, sys.argv[1:]
with (home / "calls").open("a") as file:
    print(json.dumps([name, *arguments]), file=file)

def start(task, restarts=0):
    log = (home / f"task{{task}}.log").open("ab")
    environment = {{**os.environ, "SLURM_JOB_ID": str(100 + task), "SLURM_ARRAY_JOB_ID": "100"}}
    environment["SLURM_ARRAY_TASK_ID"] = str(task)
    environment["SLURM_CPUS_PER_TASK"] = (home / "threads").read_text()
    if restarts:
        environment["SLURM_RESTART_COUNT"] = str(restarts)
    process = subprocess.Popen(
        ["bash", str(home / "script")],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,
    )
    (home / f"task{{task}}.pid").write_text(str(process.pid))

def living(job):
    tasks = range(9) if job == "100" and name != "scontrol" else [int(job) - 100]
    found = []
    for task in tasks:
        try:
            pid = int((home / f"task{{task}}.pid").read_text())
            state = Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.append(pid)
    return found

if name == "sbatch":
    if "--partition=full" in arguments:
        print("sbatch: error: some hint", file=sys.stderr)
        sys.exit("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy")
    (home / "script").write_text(sys.stdin.read())
    (array,) = [a for a in arguments if a.startswith("--array=0-")]
    for task in range(int(array.partition("=0-")[2].partition("%")[0]) + 1):
        start(task)
    print("100;cluster")
elif name == "sinfo":
    if (home / "dead").exists():
        sys.exit("slurm_load_partitions: Unable to contact slurm controller (connect failure)")
    print("gpu*\\nlong\\nfull")
elif name == "squeue":
    job = arguments[arguments.index("-j") + 1]
    if job == "999":
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    for pid in living(job):
        print("RUNNING")
elif name == "scancel":
    if "--state=PENDING" not in arguments:
        for pid in living(arguments[-1]):
            os.killpg(pid, signal.SIGTERM)
elif name == "scontrol":
    start(int(arguments[1]) - 100, restarts=1)
"""


class FakeSlurm:
    """What the programs left behind."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def calls(self, name: str) -> list[list[str]]:
        lines = (self.home / "calls").read_text().splitlines()
        return [call[1:] for call in map(json.loads, lines) if call[0] == name]

    def pid(self, task: int = 0) -> int:
        return int((self.home / f"task{task}.pid").read_text())

    def log(self, task: int = 0) -> str:
        return (self.home / f"task{task}.log").read_text()


PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")


def can_play() -> bool:
    """Whether this machine has what the programs need: bash and /proc."""
    return Path("/proc/self/stat").exists() and shutil.which("bash") is not None


def write_programs(home: Path) -> FakeSlurm:
    """Write the programs into ``home/bin``, which belongs into PATH; tasks have as many threads as this process."""
    programs = home / "bin"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        (programs / name).write_text(PROGRAM.format(python=sys.executable))
        (programs / name).chmod(stat.S_IRWXU)
    (home / "threads").write_text(str(torch.get_num_threads()))
    return FakeSlurm(home)
