"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="filters",
        summary="Smoother tracks: gaps filled in, median, Savitzky-Golay, Kalman smoother",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "filter",
        "interpolate",
        config="pose_filters.config:InterpolateConfig",
        factory="pose_filters.interpolate:Interpolate",
        summary="Short gaps filled in by straight lines",
    )
    yield ComponentSpec(
        "filter",
        "median",
        config="pose_filters.config:MedianConfig",
        factory="pose_filters.median:Median",
        summary="Median of the frames around each, which removes spikes",
    )
    yield ComponentSpec(
        "filter",
        "savgol",
        config="pose_filters.config:SavgolConfig",
        factory="pose_filters.savgol:Savgol",
        summary="Polynomials through the frames around each (Savitzky-Golay)",
        citations=("savitzky1964",),
    )
    yield ComponentSpec(
        "filter",
        "kalman",
        config="pose_filters.config:KalmanConfig",
        factory="pose_filters.kalman:Kalman",
        summary="Kalman smoother that trusts keypoints by their scores (Rauch-Tung-Striebel)",
        citations=("rauch1965",),
    )
