"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, FormerName, PluginInfo, hookimpl

_FORMER = {
    "single_instance": ("unet",),
    "centroid": ("centroid_unet",),
    "centered_instance": ("top_down_unet",),
    "bottomup": ("unet",),
    "multi_class_bottomup": ("identity_unet",),
    "multi_class_topdown": ("top_down_identity_unet",),
}
"""Model types and what they are called here, with the smallest backbone."""


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="sleap",
        summary="SLEAP projects and prediction files for pose_core",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("pereira2022sleap",),
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "reader",
        "sleap",
        config="pose_sleap.config:SlpReaderConfig",
        factory="pose_sleap.slp_reader:SlpReader",
        summary="SLEAP project: a .slp file, or a .pkg.slp file with its images",
    )
    yield ComponentSpec(
        "writer",
        "slp",
        config="pose_sleap.config:SlpWriterConfig",
        factory="pose_sleap.slp_writer:SlpWriter",
        summary="SLEAP's .slp, which its GUI opens for proofreading",
    )
    yield ComponentSpec(
        "writer",
        "sleap-analysis",
        config="pose_sleap.config:AnalysisWriterConfig",
        factory="pose_sleap.analysis:AnalysisWriter",
        summary="SLEAP's analysis HDF5: an array (tracks, 2, keypoints, frames)",
    )
    yield ComponentSpec(
        "importer",
        "sleap",
        config="pose_sleap.config:ModelImporterConfig",
        factory="pose_sleap.importer:ModelImporter",
        summary="Trained models of SLEAP: folders with best.ckpt, or best_model.h5 of SLEAP up to 1.4",
    )


@hookimpl
def pose_former_names() -> Iterator[FormerName]:
    for name, now in _FORMER.items():
        yield FormerName(name, "model", now, "SLEAP")
