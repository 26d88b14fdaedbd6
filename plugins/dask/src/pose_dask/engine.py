"""Engine ``dask``: the workers are tasks of a Dask scheduler."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pose_core.errors import ConfigError, PoseError, argument, readable
from pose_core.interfaces import Engine, EngineHandle, WorkerPlan
from pose_dask import pools
from pose_dask.config import DaskEngineConfig

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOKS = 0.02
"""Seconds between two questions whether tasks were submitted."""

_OVER = (None, "memory", "erred", "forgotten")
"""States of a task that runs no more, and will not; None: its scheduler does not know it."""

_WAITING = ("waiting", "queued", "no-worker")
"""States of a task that no Dask worker has."""


class DaskEngine(Engine):
    """Give a Dask scheduler one task for each worker; where a task is lost, Dask starts it again."""

    config: DaskEngineConfig

    @property
    def waits(self) -> bool:
        """Always where the scheduler is started here, else as the setting ``wait`` says."""
        return self.config.wait

    @property
    def on_this_machine(self) -> bool:
        """Where the scheduler is started for these workers alone, without jobs."""
        return self.config.scheduler is None and self.config.cluster is None

    def check(self) -> None:
        """Refuse a scheduler that does not answer, and a class that is not there.

        Raises:
            ConfigError: one of them.
        """
        if self.config.cluster is not None:
            pools.find_cluster(self.config.cluster)
        if self.config.scheduler is not None:
            try:
                pools.connect(self.config.scheduler, self.config.connect).close()
            except PoseError as error:
                raise ConfigError(str(error)) from None

    def suggest_workers(self) -> int:
        """One for each thread of the Dask workers that are there; on this machine one for every two cores."""
        from dask.system import CPU_COUNT

        if self.config.scheduler is None:
            return 1 if self.config.cluster else max(1, CPU_COUNT // 2)
        pool = pools.connect(self.config.scheduler, self.config.connect)
        try:
            return max(1, int(sum(pool.client.nthreads().values())))
        finally:
            pool.close()

    def start(self, plan: WorkerPlan, workers: int) -> DaskHandle:
        """Submit the tasks.

        Raises:
            PoseError: the scheduler does not answer, or cannot be started.
        """
        from distributed import fire_and_forget

        from pose_dask.task import run_worker

        config = self.config
        threads = config.threads
        if config.scheduler is not None:
            pool = pools.connect(config.scheduler, config.connect)
        elif config.cluster is not None:
            pool = pools.submit(config, workers)
        else:
            from dask.system import CPU_COUNT

            pool = pools.start_here(workers, config.connect)
            threads = threads or max(1, CPU_COUNT // workers)
        name = f"{plan.name}-{uuid.uuid4().hex[:8]}"
        keys = [f"{name}-{number + 1}" for number in range(workers)]
        logs = [str(plan.logs / f"dask-{key}.log") for key in keys]
        futures = [
            pool.client.submit(
                run_worker,
                plan.command,
                name,
                log,
                str(plan.cancelled),
                threads,
                key=key,
                pure=False,
                # Of a process that was killed. Lost Dask workers Dask counts by itself.
                retries=2,
                resources=config.resources or None,
            )
            for key, log in zip(keys, logs, strict=True)
        ]
        # Tasks of a scheduler that outlives this process outlive it, too.
        fire_and_forget(futures)
        handle = DaskHandle(name, keys, pool.address, config.connect, pool, futures)
        handle.wait_until_known()
        return handle

    def find(self, state: Mapping[str, Any]) -> DaskHandle:
        """Find tasks by their keys and the address of their scheduler."""
        return DaskHandle(
            str(state["name"]), list(state["keys"]), str(state["scheduler"]), self.config.connect
        )


class DaskHandle(EngineHandle):
    """Tasks of a scheduler.

    Args:
        name: of the workers, which no others have.
        keys: of the tasks.
        address: of the scheduler.
        connect: seconds after which the scheduler is taken for dead.
        pool: where this process submitted them; None: it connects when it is asked.
        futures: of the tasks, where this process submitted them.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        address: str,
        connect: float,
        pool: pools.Pool | None = None,
        futures: Sequence[Future[int]] = (),
    ) -> None:
        self._name = name
        self._keys = list(keys)
        self._address = address
        self._connect = connect
        self._pool = pool
        self._futures = futures
        self._lost = False

    def state(self) -> dict[str, Any]:
        """The address of the scheduler, and the keys of the tasks."""
        return {"scheduler": self._address, "name": self._name, "keys": self._keys}

    def wait_until_known(self) -> None:
        """Wait until the scheduler knows the tasks: what is asked may overtake what was submitted.

        Raises:
            PoseError: it was lost.
        """
        try:
            while None in self._ask(self._open().client).values():
                # What a scheduler of another version cannot read it never knows.
                if all(future.status == "error" for future in self._futures):
                    return
                time.sleep(_LOOKS)
        except OSError:
            self.close()
            raise PoseError(f"{self._describe_scheduler()} does not answer") from None

    def alive(self) -> int | None:
        """Count tasks that wait or run; None where the scheduler does not answer.

        Raises:
            PoseError: this process waits for them, and the scheduler was lost, or no task could be begun.
        """
        if self._lost:
            return 0
        try:
            states = self._ask(self._open().client)
        except (OSError, PoseError):
            if not self._futures:
                return None
            self._lost = True
            raise PoseError(
                f"{self._describe_scheduler()} answers no more; what is done stays, and the same command with any "
                "engine goes on"
            ) from None
        alive = sum(state not in _OVER for state in states.values())
        # By the scheduler: its client here may hear of them later, and exception() waits until it has.
        if (
            not alive
            and self._futures
            and all(states.get(str(each.key)) == "erred" for each in self._futures)
        ):
            self._lost = True
            error = self._futures[0].exception()
            raise PoseError(
                f"{argument('engine', 'dask')}: no task could be carried out: {type(error).__name__}: "
                f"{readable(str(error))}; Dask workers need pose-core and the plugins that are installed here, and "
                "must see the same folders"
            )
        return alive

    def cancel(self) -> None:
        """Tell those that run, and take those that wait away from the scheduler."""
        from distributed import Future

        from pose_dask.task import stop_workers

        if self._lost:
            return
        client = self._open().client
        try:
            states = self._ask(client)
            waiting = [key for key, state in states.items() if state in _WAITING]
            client.cancel([Future(key, client=client) for key in waiting], force=True)
            # Those that Dask workers have but did not yet begin see it when they begin.
            client.run(stop_workers, self._name, on_error="ignore")
        except OSError:
            raise PoseError(f"{self._describe_scheduler()} does not answer") from None

    def close(self) -> None:
        """Give up the connection, and end the scheduler and the Dask workers that were started here."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def describe(self) -> str:
        """Name the scheduler."""
        return f"{len(self._keys)} tasks of the Dask scheduler at {self._address}"

    def _describe_scheduler(self) -> str:
        return f"{argument('engine', 'dask')}: the scheduler at {self._address}"

    def _ask(self, client: Client) -> dict[str, str | None]:
        """Ask for the states of the tasks; None for one that the scheduler does not know (any more)."""
        if client.scheduler is None:
            raise ConnectionError("it was closed")
        states: dict[str, str | None] = client.sync(client.scheduler.get_task_status, keys=self._keys)
        return states

    def _open(self) -> pools.Pool:
        if self._pool is None:
            self._pool = pools.connect(self._address, self._connect)
        return self._pool
