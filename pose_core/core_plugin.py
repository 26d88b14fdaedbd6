"""The core's own formats and methods, offered through the same door as everybody's."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, MethodSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="core", summary="The core's own formats and methods", license="BSD-3-Clause", hook_api="1.0"
    )


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


@hookimpl
def pose_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        "single_animal",
        "one animal a frame: the whole frame goes through one network",
        view="frame",
        animals="one",
        heads="one",
        stages={"whole_frame": {"type": "core/whole_frame"}},
    )
    yield MethodSpec(
        "bottom_up",
        "several animals: keypoints of the whole frame are found, then assembled to animals",
        view="frame",
        animals="several",
        heads="several",
        stages={"whole_frame": {"type": "core/whole_frame"}},
    )
    yield MethodSpec(
        "top_down",
        "several animals: a detector finds each one, a network looks at its crop",
        view="animal",
        animals="several",
        heads="one",
        stages={"crops": {"type": "core/crops"}},
    )
