"""Settings of the engine ``slurm``."""

from __future__ import annotations

from pydantic import Field

from pose_core.specs import EngineConfig


class SlurmEngineConfig(EngineConfig):
    """Tasks of a SLURM job array."""

    partition: str | None = Field(None, description="Partition of the jobs; by default that of the cluster.")
    time: str | None = Field(
        None,
        pattern=r"^[0-9:-]+$",
        description="Time limit of a task, as sbatch takes it: 30 (minutes), '04:00:00', 1-12; in YAML with quotes.",
    )
    gpus: int = Field(0, ge=0, description="GPUs of a task; a worker uses one.")
    cpus: int = Field(2, ge=1, description="CPU cores of a task.")
    memory: str | None = Field(None, pattern=r"^[0-9]+[KMGT]?$", description="Memory of a task, such as 8G.")
    account: str | None = Field(None, description="Account that pays.")
    at_once: int | None = Field(None, ge=1, description="Tasks that run at a time, at most.")
    grace: int = Field(
        60,
        ge=1,
        description="Seconds before the time limit at which a worker is told to stop; SLURM may tell it a minute "
        "earlier still.",
    )
    requeue: bool = Field(
        True,
        description="Put a task that was stopped at its time limit back into the queue while work is left.",
    )
    prologue: tuple[str, ...] = Field(
        (), description="Lines of shell before the worker, such as 'module load cuda'."
    )
    options: tuple[str, ...] = Field((), description="Further options of sbatch, such as --constraint=a100.")
    wait: bool = Field(
        False, description="Stay until the workers have ended, as with workers on this machine."
    )
