"""What this plugin offers. Imported by every `pose` command: nothing heavy here."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="Labels and predictions as JSON lines",
        license="{{ cookiecutter.license }}",
        hook_api="1.0",
        # Keys of entries in citations.bib, a BibTeX file beside this one, of what describes the format.
        citations=(),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "reader",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:ReaderSettings",
        factory="{{ cookiecutter.__package }}.reader:LinesReader",
        summary="Labels, an image a line (a .jsonl file)",
    )
    yield ComponentSpec(
        "writer",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:WriterSettings",
        factory="{{ cookiecutter.__package }}.writer:LinesWriter",
        summary="Predictions, a frame a line (a .jsonl file)",
    )
