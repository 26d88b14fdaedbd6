"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="smoothing",
        summary="Smoother tracks: gaps filled in, median, Savitzky-Golay, Kalman smoother",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    yield ComponentSpec(
        "filter",
        "interpolate",
        config="pose_smoothing.config:InterpolateConfig",
        factory="pose_smoothing.interpolate:Interpolate",
        summary="Short gaps filled in by straight lines",
    )
    yield ComponentSpec(
        "filter",
        "median",
        config="pose_smoothing.config:MedianConfig",
        factory="pose_smoothing.median:Median",
        summary="Median of the frames around each, which removes spikes",
    )
    yield ComponentSpec(
        "filter",
        "savgol",
        config="pose_smoothing.config:SavgolConfig",
        factory="pose_smoothing.savgol:Savgol",
        summary="Polynomials through the frames around each (Savitzky-Golay)",
        citations=("savitzky1964",),
    )
    yield ComponentSpec(
        "filter",
        "kalman",
        config="pose_smoothing.config:KalmanConfig",
        factory="pose_smoothing.kalman:Kalman",
        summary="Kalman smoother that trusts keypoints by their scores (Rauch-Tung-Striebel)",
        citations=("rauch1965",),
    )
