"""What this plugin offers. Imported by every `pose` command: no torch here."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="A small convolutional backbone",
        license="{{ cookiecutter.license }}",
        hook_api="1.0",
        citations=("{{ cookiecutter.__package }}",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:NetworkConfig",
        factory="{{ cookiecutter.__package }}.network:Network",
        summary="Stages of strided convolutions",
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for size, channels in (("small", 16), ("large", 48)):
        yield BackbonePreset(
            f"{{ cookiecutter.namespace }}_{size}",
            family="{{ cookiecutter.namespace }}",
            backbone={"type": "{{ cookiecutter.namespace }}/{{ cookiecutter.namespace }}", "channels": channels},
            summary=f"Strided convolutions, {size}",
            spec={"train": {"optimizer": {"base_lr": 3e-3}}},
        )
