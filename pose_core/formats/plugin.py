"""The core's own formats, offered through the same door as everybody's."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(namespace="core", summary="The core's own formats", license="BSD-3-Clause", hook_api="1.0")


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "reader",
        "project",
        config="pose_core.formats.project_config:ProjectReaderConfig",
        factory="pose_core.formats.project:ProjectReader",
        summary="project.yaml, labels.csv and images: the core's own labelled project",
    )
    yield ComponentSpec(
        "writer",
        "parquet",
        config="pose_core.formats.config:ParquetConfig",
        factory="pose_core.formats.parquet:ParquetWriter",
        summary="a table with one row for each animal of a frame; read it with pandas, polars or DuckDB",
        tags=("table",),
    )
