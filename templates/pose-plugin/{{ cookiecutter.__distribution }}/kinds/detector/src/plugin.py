"""What this plugin offers. Imported by every `pose` command: no torch here."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="A small detector that finds centres",
        license="{{ cookiecutter.license }}",
        hook_api="1.0",
        citations=("zhou2019objects",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "detector",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:DetectorSettings",
        factory="{{ cookiecutter.__package }}.network:CentreDetector",
        summary="Centres of animals and the way to the sides of their boxes",
    )
