"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="tracking",
        summary="Who is who over time: trackers by keypoints, by boxes, by optical flow and by names",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "tracker",
        "oks",
        config="pose_tracking.config:OksConfig",
        factory="pose_tracking.oks_tracker:OksTracker",
        summary="Keypoints near where a Kalman filter expects them",
        tags=("recommended",),
        citations=("bewley2016sort", "zhang2022bytetrack", "cao2023ocsort"),
    )
    yield ComponentSpec(
        "tracker",
        "boxes",
        config="pose_tracking.config:BoxesConfig",
        factory="pose_tracking.box_tracker:BoxTracker",
        summary="Boxes over where a Kalman filter expects them, as OC-SORT and ByteTrack do",
        citations=("bewley2016sort", "zhang2022bytetrack", "cao2023ocsort"),
    )
    yield ComponentSpec(
        "tracker",
        "flow",
        config="pose_tracking.config:FlowConfig",
        factory="pose_tracking.flow_tracker:FlowTracker",
        summary="Keypoints of the last frames, moved by optical flow; reads the video",
        citations=("bouguet2001pyramidal", "pereira2022sleap"),
    )
    yield ComponentSpec(
        "tracker",
        "identity",
        config="pose_tracking.config:IdentityConfig",
        factory="pose_tracking.identity_tracker:IdentityTracker",
        summary="Names that the model stored, and nothing else",
    )
