"""Tell the processes of a training apart."""

from __future__ import annotations

import os


def started_by_srun() -> bool:
    """Whether SLURM's ``srun`` started this process as one of several."""
    # A batch script has these variables, too, but no number among the tasks of a step that srun begins.
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1 and os.environ.get("SLURM_STEP_ID", "").isdecimal()


def started_by_torchrun() -> bool:
    """Whether ``torchrun`` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def count_started() -> int | None:
    """Count the processes that ``srun`` or ``torchrun`` started together with this one; None: neither did."""
    if started_by_srun():
        return int(os.environ["SLURM_NTASKS"])
    return int(os.environ["WORLD_SIZE"]) if started_by_torchrun() else None


def node_rank() -> int:
    """Return the number of this machine among those of one training, from 0."""
    if started_by_srun():
        return int(os.environ.get("SLURM_NODEID", "0"))
    return int(os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0")))


def rank(devices: int = 1) -> int:
    """Return the number of this process among those of one training, from 0; 0 outside of such.

    Lightning starts the processes of a training on several devices by the variable ``LOCAL_RANK``; a process of a
    data loader inherits it.

    Args:
        devices: processes on each machine.
    """
    if started_by_srun():
        return int(os.environ["SLURM_PROCID"])
    if started_by_torchrun():
        return int(os.environ["RANK"])
    return node_rank() * devices + int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this is the process that writes files and speaks."""
    # Without the number of devices larger numbers may be wrong, but 0 is right.
    return rank() == 0
