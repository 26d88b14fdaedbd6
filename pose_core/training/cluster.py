"""The processes of a training on several devices and machines: who started them, and whether they fit."""

from __future__ import annotations

import os

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from pose_core.errors import ConfigError, argument
from pose_core.processes import count_started, started_by_srun, started_by_torchrun
from pose_core.specs import TrainSpec

_BY_HAND = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


def check_processes(train: TrainSpec) -> None:
    """Check that the processes that were started are those that the configuration asks for.

    Raises:
        ConfigError: they are not, or a step has fewer images than there are processes.
    """
    wanted = train.devices * train.nodes
    described = f"{argument('devices', str(train.devices))} on {argument('nodes', str(train.nodes))}"
    started = count_started()
    if started is not None and started != wanted:
        launcher = "srun" if started_by_srun() else "torchrun"
        raise ConfigError(
            f"{launcher} started {started} processes, and {described} are {wanted}; let both say the same"
        )
    if started_by_srun() and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(
            f"srun does not say how many processes a machine has; set its option ntasks-per-node to {train.devices}"
        )
    if (
        started is None
        and train.nodes > 1
        and (missing := [name for name in _BY_HAND if name not in os.environ])
    ):
        raise ConfigError(
            f"{argument('nodes', str(train.nodes))}: start the command by srun or torchrun, or on each machine with "
            f"the variables {', '.join(_BY_HAND)}; it was started without {', '.join(missing)}"
        )
    if isinstance(train.batch_size, int) and train.batch_size < wanted:
        raise ConfigError(
            f"train.batch_size: {train.batch_size} images a step cannot be shared by {wanted} processes; give "
            f"{argument('batch_size', str(wanted))} or more"
        )


def choose_environment() -> ClusterEnvironment:
    """Tell Lightning who starts the processes; by its own guess a batch script would be one of srun's."""
    if started_by_srun():
        # Going on after a limit is the user's, by --resume.
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if started_by_torchrun() else LightningEnvironment()
