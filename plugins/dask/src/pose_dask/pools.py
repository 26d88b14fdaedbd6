"""Pools of Dask workers: of this machine, of a scheduler that is running, or submitted as jobs by dask-jobqueue."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pose_core.errors import ConfigError, PoseError, argument, readable
from pose_dask.config import DaskEngineConfig

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

_JOBQUEUE = "dask_jobqueue"


@dataclass(frozen=True)
class Pool:
    """A scheduler, and what this process keeps alive for it.

    Attributes:
        client: this process's connection to the scheduler.
        address: of the scheduler.
        cluster: that this process started; None: it was running already.
    """

    client: Client
    address: str
    cluster: Cluster | None = None

    def close(self) -> None:
        """Give up the connection, and end what this process started."""
        self.client.close()
        if self.cluster is not None:
            self.cluster.close()


def connect(address: str, seconds: float) -> Pool:
    """Connect to a scheduler that is running.

    Raises:
        PoseError: nobody answers there in time, or it is no address.
    """
    from distributed import Client

    try:
        return Pool(Client(address, timeout=seconds, set_as_default=False), address)
    # Whatever a wrong address or protocol, or another program that listens there, leads to.
    except (OSError, ValueError, TypeError) as error:
        reason = "nobody answers there" if isinstance(error, OSError) else readable(str(error))
        raise PoseError(
            f"{argument('engine', 'dask')}: scheduler {address}: {reason}; start it ('dask scheduler'), or name the "
            "address that it prints when it starts"
        ) from None


def start_here(workers: int, seconds: float) -> Pool:
    """Start a scheduler and Dask workers on this machine; they end with this process.

    Raises:
        PoseError: they do not start.
    """
    from distributed import LocalCluster

    try:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            # Whoever reaches a scheduler can have it run anything.
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            # What needs memory is a process beside the Dask worker.
            memory_limit=0,
            silence_logs=logging.ERROR,
        )
    except (OSError, RuntimeError) as error:
        raise PoseError(
            f"{argument('engine', 'dask')}: Dask workers do not start on this machine ({readable(str(error))}); use "
            "fewer, and in a script call it below: if __name__ == '__main__'"
        ) from None
    return _join(cluster, seconds)


def submit(config: DaskEngineConfig, workers: int) -> Pool:
    """Have a class of dask-jobqueue submit Dask workers, and again where one is lost.

    Raises:
        ConfigError: there is no such class, or it does not take the options.
        PoseError: the jobs cannot be submitted.
    """
    kind = find_cluster(str(config.cluster))
    options = {"cores": 1, "processes": 1, **config.cluster_options}
    try:
        cluster = kind(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{argument('engine', 'dask')}: cluster_options: {config.cluster} does not take them: "
            f"{readable(str(error))}"
        ) from None
    except (OSError, RuntimeError) as error:
        raise PoseError(
            f"{argument('engine', 'dask')}: {config.cluster} does not start ({readable(str(error))})"
        ) from None
    # With scale() a job that ended at its time limit would be missing from then on.
    cluster.adapt(minimum=workers, maximum=workers)
    return _join(cluster, config.connect)


def find_cluster(name: str) -> type[Cluster]:
    """Find a class of dask-jobqueue by its name.

    Raises:
        ConfigError: dask-jobqueue is not installed, or has no such class.
    """
    where = f"{argument('engine', 'dask')}: cluster {name}"
    if importlib.util.find_spec(_JOBQUEUE) is None:
        raise ConfigError(f"{where}: needs dask-jobqueue, which is not installed: pip install dask-jobqueue")
    module = importlib.import_module(_JOBQUEUE)
    base: type[Cluster] = module.JobQueueCluster
    kinds = dict(inspect.getmembers(module, lambda each: inspect.isclass(each) and issubclass(each, base)))
    del kinds[base.__name__]
    if name not in kinds:
        raise ConfigError(f"{where}: dask-jobqueue has {', '.join(kinds)}")
    kind: type[Cluster] = kinds[name]
    return kind


def _join(cluster: Cluster, seconds: float) -> Pool:
    from distributed import Client

    try:
        return Pool(
            Client(cluster, timeout=seconds, set_as_default=False), cluster.scheduler_address, cluster
        )
    except BaseException:
        cluster.close()
        raise
