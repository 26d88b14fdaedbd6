"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, FormerName, Kind, PluginInfo, ZooNetwork, hookimpl
from pose_deeplabcut import zoo

_NETWORKS = (
    ("backbone", "ResNet", "resnet:backbone", ("resnet",)),
    ("backbone", "HRNet", "hrnet:backbone", ("hrnet",)),
    ("backbone", "CSPNeXt", "cspnext:backbone", ("cspnext",)),
    ("backbone", "DLCRNet", "paf:backbone", ("paf", "resnet")),
    ("backbone", "CondPreNet", "buctd:prenet", ("buctd",)),
    ("backbone", "HRNetCoAM", "buctd:coam", ("buctd", "hrnet")),
    ("input", "CondPreNet", "buctd:conditions", ("buctd",)),
    ("input", "HRNetCoAM", "buctd:conditions", ("buctd",)),
    ("neck", "Transformer", "tokenpose:neck", ("tokenpose",)),
    ("head", "HeatmapHead", "heatmap:head", ("heatmap",)),
    ("head", "DLCRNetHead", "paf:head", ("paf", "heatmap")),
    ("head", "DEKRHead", "dekr:head", ("dekr", "heatmap")),
    ("head", "RTMCCHead", "rtmpose:head", ("rtmpose",)),
    ("head", "TransformerHead", "tokenpose:head", ("tokenpose", "heatmap")),
    ("detector", "SSDLite", "torchvision:ssdlite", ("torchvision",)),
    ("detector", "FasterRCNN", "torchvision:fasterrcnn", ("torchvision",)),
)
"""The mappings of first-party networks: kind of part, DeepLabCut's name of it, function in ``networks``, and
the plugins with the components that it becomes. Networks of other plugins bring their own mapping, of the
same kinds."""

_FORMER_MODELS = {
    "animaltokenpose_base": ("animal_tokenpose_base",),
    "dlcrnet_ms5": ("dlcrnet_stride16_ms5", "dlcrnet_stride32_ms5"),
    "dlcr101_ms5": ("dlcrnet_stride16_ms5",),
    "dlcrnet_50_ms5": ("dlcrnet_stride16_ms5",),
    "BUCTD-hrnet_w32": ("ctd_prenet_hrnet_w32", "ctd_coam_w32"),
    "BUCTD-hrnet_w48": ("ctd_prenet_hrnet_w48", "ctd_coam_w48"),
    "BUCTD-preNet-W32": ("ctd_prenet_hrnet_w32",),
    "BUCTD-preNet-W48": ("ctd_prenet_hrnet_w48",),
    "BUCTD-CoAM-W32": ("ctd_coam_w32",),
    "BUCTD-CoAM-W48": ("ctd_coam_w48",),
}
_FORMER_DETECTORS = {
    "fasterrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn_v2",),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ("fasterrcnn_mobilenet_v3_large_fpn",),
}


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
def pose_kinds() -> Iterator[Kind]:
    for part in dict.fromkeys(kind for kind, *_ in _NETWORKS):
        yield Kind(
            part, f"{part} of a DeepLabCut network -> settings and weights of a {part} here", config=""
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
    for kind, name, function, requires in _NETWORKS:
        yield ComponentSpec(
            f"deeplabcut/{kind}",
            name,
            config="",
            factory=f"pose_deeplabcut.networks.{function}",
            summary=f"DeepLabCut's {kind} {name} as a part of {requires[0]}",
            requires=requires,
        )


@hookimpl
def pose_former_names() -> Iterator[FormerName]:
    for kind, names in (("model", _FORMER_MODELS), ("detector", _FORMER_DETECTORS)):
        for name, now in names.items():
            yield FormerName(name, kind, now, "DeepLabCut")


@hookimpl
def pose_zoo() -> Iterator[ZooNetwork]:
    yield from zoo.list_networks()
