"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="slurm",
        summary="Predictions on a SLURM cluster",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "engine",
        "slurm",
        config="pose_slurm.config:SlurmEngineConfig",
        factory="pose_slurm.engine:SlurmEngine",
        summary="Tasks of a SLURM job array; needs sbatch",
    )
