"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="deeplabcut",
        summary="DeepLabCut projects, prediction files and trained models for pose_core",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("mathis2018deeplabcut", "lauer2022multi"),
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "reader",
        "deeplabcut",
        config="pose_deeplabcut.config:ProjectReaderConfig",
        factory="pose_deeplabcut.project:ProjectReader",
        summary="DeepLabCut project: its config.yaml, or the folder that holds it",
    )
    yield ComponentSpec(
        "writer",
        "dlc-h5",
        config="pose_deeplabcut.config:H5WriterConfig",
        factory="pose_deeplabcut.writers:H5Writer",
        summary="DeepLabCut's HDF5 table, for pandas.read_hdf",
    )
    yield ComponentSpec(
        "writer",
        "dlc-csv",
        config="pose_deeplabcut.config:CsvWriterConfig",
        factory="pose_deeplabcut.writers:CsvWriter",
        summary="DeepLabCut's CSV table, for pandas.read_csv",
    )
    yield ComponentSpec(
        "importer",
        "deeplabcut",
        config="pose_deeplabcut.config:ModelImporterConfig",
        factory="pose_deeplabcut.importer:ModelImporter",
        summary="Models trained with DeepLabCut 3: snapshots and exported .pt files",
    )
