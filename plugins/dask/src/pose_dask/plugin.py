"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="dask",
        summary="Predictions on a Dask cluster",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "engine",
        "dask",
        config="pose_dask.config:DaskEngineConfig",
        factory="pose_dask.engine:DaskEngine",
        summary="Tasks of a Dask scheduler: a given one, one of this machine, or one of dask-jobqueue",
    )
