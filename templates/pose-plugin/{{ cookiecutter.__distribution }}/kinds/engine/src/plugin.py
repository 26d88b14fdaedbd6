"""What this plugin offers. Imported by every `pose` command: nothing heavy here."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="Predictions by workers that are started behind a command",
        license="{{ cookiecutter.license }}",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "engine",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:LaunchedConfig",
        factory="{{ cookiecutter.__package }}.engine:LaunchedEngine",
        summary="Processes, each behind a command such as ssh",
    )
