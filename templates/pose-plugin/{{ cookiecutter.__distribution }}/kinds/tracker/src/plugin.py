"""What this plugin offers. Imported by every `pose` command: nothing heavy here."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="Who is who over time by the nearest animal of the frame before",
        license="{{ cookiecutter.license }}",
        hook_api="1.0",
        # Keys of entries in citations.bib, a BibTeX file beside this one, of what describes the method.
        citations=(),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "tracker",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:NearestConfig",
        factory="{{ cookiecutter.__package }}.tracker:NearestTracker",
        summary="The nearest animal of the frame before",
    )
