"""Engine ``slurm``: the workers are tasks of a job array."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from pose_core.errors import ConfigError, PoseError, argument
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_slurm.config import SlurmEngineConfig

_SECONDS = 120
"""A controller that does not answer in this time is taken for dead."""

# The worker is no exec: after it was stopped at the time limit, its job goes back into the queue. --signal=B: reaches
# this shell alone, which hands it on. A job that was cancelled is no longer RUNNING, and one of a cancelled plan stays
# out of the queue, too.
_SCRIPT = """#!/bin/bash
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}" MKL_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
{prologue}
{worker} &
worker=$!
again=
trap 'again=$(squeue -h -j "$SLURM_JOB_ID" -o %T); kill -TERM "$worker"' TERM
wait "$worker"
status=$?
# A signal ends the wait, not the worker.
while kill -0 "$worker" 2>/dev/null; do
  wait "$worker"
  status=$?
done
if {requeue} && [ "$status" = 143 ] && [ "$again" = RUNNING ] && [ ! -e {cancelled} ]; then
  scontrol requeue "$SLURM_JOB_ID" || echo "this cluster does not requeue; give the command again" >&2
  exit 0
fi
exit "$status"
"""


class SlurmEngine(Engine):
    """Submit one job array; its tasks are workers."""

    config: SlurmEngineConfig

    @property
    def waits(self) -> bool:
        """As the setting ``wait`` says: jobs outlive the command that submits them."""
        return self.config.wait

    def check(self) -> None:
        """Refuse a machine from which nothing can be submitted, and a partition that is not there.

        Raises:
            ConfigError: SLURM is missing or does not answer, or has no such partition.
        """
        for program in ("sbatch", "squeue", "scancel", "sinfo"):
            if shutil.which(program) is None:
                raise ConfigError(
                    f"{argument('engine', 'slurm')}: there is no {program} here; give the command on a machine of the "
                    "cluster from which jobs are submitted"
                )
        try:
            # The one that is taken by default is marked.
            partitions = [name.rstrip("*") for name in _call(["sinfo", "-h", "-o", "%P"]).split()]
        except PoseError as error:
            raise ConfigError(str(error)) from None
        for name in (self.config.partition or "").split(","):
            if name and name not in partitions:
                raise ConfigError(
                    f"{argument('engine', 'slurm')}: partition: the cluster has no {name!r}; it has "
                    f"{', '.join(partitions) or 'none'}"
                )

    def start(self, plan: WorkerPlan, workers: int) -> SlurmHandle:
        """Submit the array.

        Raises:
            PoseError: SLURM refuses it; the line says why.
        """
        answer = _call(["sbatch", *self._list_options(plan, workers)], self._write_script(plan))
        # Behind a semicolon stands the cluster, where there are several.
        job = answer.strip().partition(";")[0]
        if not job.isdecimal():
            raise PoseError(
                f"{argument('engine', 'slurm')}: sbatch answered {answer.strip()!r} and no job number"
            )
        return SlurmHandle(job)

    def find(self, state: Mapping[str, Any]) -> SlurmHandle:
        """Find an array by its number."""
        return SlurmHandle(str(state["job"]))

    def _list_options(self, plan: WorkerPlan, workers: int) -> list[str]:
        config = self.config
        at_once = f"%{config.at_once}" if config.at_once else ""
        given = {
            "--partition": config.partition,
            "--time": config.time,
            "--gres": f"gpu:{config.gpus}" if config.gpus else None,
            "--mem": config.memory,
            "--account": config.account,
        }
        return [
            "--parsable",
            f"--array=0-{workers - 1}{at_once}",
            f"--job-name={plan.name}",
            f"--cpus-per-task={config.cpus}",
            f"--output={plan.logs / 'slurm-%A_%a.log'}",
            "--open-mode=append",
            "--requeue" if config.requeue else "--no-requeue",
            f"--signal=B:TERM@{config.grace}",
            *(f"{name}={value}" for name, value in given.items() if value is not None),
            *config.options,
        ]

    def _write_script(self, plan: WorkerPlan) -> str:
        return _SCRIPT.format(
            prologue="\n".join(self.config.prologue),
            worker=shlex.join(plan.command),
            requeue="true" if self.config.requeue else "false",
            cancelled=shlex.quote(str(plan.cancelled)),
        )


class SlurmHandle(EngineHandle):
    """A job array."""

    def __init__(self, job: str) -> None:
        self._job = job

    def state(self) -> dict[str, Any]:
        """The number of the job."""
        return {"job": self._job}

    def alive(self) -> int | None:
        """Count tasks that wait or run; None where SLURM does not answer."""
        try:
            lines = _call(["squeue", "-h", "-r", "-j", self._job, "-o", "%T"])
        except PoseError as error:
            # It forgets a job some minutes after its end.
            return 0 if re.search(r"invalid job id", str(error), re.IGNORECASE) else None
        return len(lines.split())

    def cancel(self) -> None:
        """Take tasks that wait out of the queue, and tell those that run."""
        for options in (["--state=PENDING"], ["--signal=TERM", "--full"]):
            try:
                _call(["scancel", *options, self._job])
            except PoseError as error:
                if not re.search(
                    r"invalid job id|already completing or completed", str(error), re.IGNORECASE
                ):
                    raise

    def describe(self) -> str:
        """Name the job."""
        return f"SLURM job {self._job}"


def _call(command: Sequence[str], text: str = "") -> str:
    """Call a program of SLURM and return what it prints.

    Raises:
        PoseError: it fails, or does not answer; one line with the last that it said.
    """
    try:
        process = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise PoseError(
            f"{argument('engine', 'slurm')}: {command[0]} does not answer; ask whether the cluster is up ('sinfo')"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PoseError(f"{argument('engine', 'slurm')}: {command[0]} cannot be run ({reason})") from None
    if process.returncode:
        said = " ".join((process.stderr.strip().splitlines() or ["no reason given"])[-1].split())
        said = said.removeprefix(f"{command[0]}: ").removeprefix("error: ")
        raise PoseError(
            f"{argument('engine', 'slurm')}: {command[0]} failed: {said}; 'sinfo' lists partitions and limits"
        )
    return process.stdout
