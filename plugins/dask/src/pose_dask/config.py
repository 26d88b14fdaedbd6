"""Settings of the engine ``dask``."""

from __future__ import annotations

from pydantic import Field, JsonValue, model_validator

from pose_core.specs import EngineConfig


class DaskEngineConfig(EngineConfig):
    """Tasks of a Dask scheduler."""

    scheduler: str | None = Field(
        None,
        description="Address of a scheduler that is running, such as tcp://node1:8786; by default one is started on "
        "this machine, with a Dask worker for each worker.",
    )
    cluster: str | None = Field(
        None,
        description="Class of dask-jobqueue that submits Dask workers as jobs, such as SLURMCluster; lost jobs are "
        "submitted again.",
    )
    cluster_options: dict[str, JsonValue] = Field(
        {},
        description="What that class takes, such as {queue: gpu, memory: 8GB, walltime: '04:00:00'}; cores and "
        "processes are 1 where they are not said.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads that each worker computes with; by default what the environment of the Dask workers says, "
        "and on this machine the cores divided by the workers.",
    )
    resources: dict[str, float] = Field(
        {},
        description="What a worker takes of the resources that Dask workers were started with, such as {GPU: 1}.",
    )
    connect: float = Field(
        5.0, gt=0, description="Seconds after which a scheduler that does not answer is taken for dead."
    )
    wait: bool = Field(
        True,
        description="Stay until the workers have ended; false only with a scheduler that is running already.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> DaskEngineConfig:
        if self.scheduler is not None and self.cluster is not None:
            raise ValueError(
                "scheduler and cluster: a scheduler that is running has a cluster; give one of the two"
            )
        if self.cluster_options and self.cluster is None:
            raise ValueError("cluster_options: are for a class; add cluster, such as SLURMCluster")
        if not self.wait and self.scheduler is None:
            raise ValueError(
                "wait: what is started here ends with this command; give a scheduler that is running"
            )
        if self.resources and self.scheduler is None and self.cluster is None:
            raise ValueError(
                "resources: the Dask workers of this machine have none; give a scheduler or a cluster"
            )
        return self
