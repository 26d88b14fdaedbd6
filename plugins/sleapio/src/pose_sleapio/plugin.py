"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="sleapio",
        summary="Labels of Label Studio, AlphaTracker, Ultralytics, NWB, LEAP and JABS, read by sleap-io",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("pereira2022sleap",),
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    for name, config, factory, summary in (
        (
            "label-studio",
            "LabelStudioConfig",
            "label_studio:LabelStudioReader",
            "Label Studio: tasks exported as JSON",
        ),
        (
            "alphatracker",
            "SleapIOReaderConfig",
            "readers:AlphaTrackerReader",
            "AlphaTracker: a JSON file beside its images",
        ),
        (
            "ultralytics",
            "UltralyticsConfig",
            "ultralytics:UltralyticsReader",
            "Ultralytics (YOLO) pose: data.yaml with its images and text files",
        ),
        ("nwb", "SleapIOReaderConfig", "readers:NWBReader", "NWB: training data of ndx-pose (.nwb)"),
        ("leap", "SleapIOReaderConfig", "readers:LeapReader", "LEAP: labels in MATLAB's format (.mat)"),
        (
            "jabs",
            "SleapIOReaderConfig",
            "readers:JabsReader",
            "JABS: poses beside their video (_pose_est_v2.h5 to v6)",
        ),
    ):
        yield ComponentSpec(
            "reader",
            name,
            config=f"pose_sleapio.config:{config}",
            factory=f"pose_sleapio.{factory}",
            summary=summary,
        )
