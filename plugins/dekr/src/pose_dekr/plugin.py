"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, ModelPreset, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="dekr",
        summary="DEKR: several animals by regression from their centres",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("geng2021dekr", "dai2017deformable"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "head",
        "dekr",
        config="pose_dekr.config:DekrHeadConfig",
        factory="pose_dekr.head:DekrHead",
        summary="Heatmaps, and the way from an animal's centre to each of its keypoints",
        requires=("heatmap",),
    )
    yield ComponentSpec(
        "target_generator",
        "dekr",
        config="pose_dekr.config:DekrTargetConfig",
        factory="pose_dekr.targets:DekrTargets",
        summary="Gaussian blobs of keypoints and centres, and offsets around the centres",
    )
    yield ComponentSpec(
        "predictor",
        "centers",
        config="pose_dekr.config:CentersConfig",
        factory="pose_dekr.predictor:CentersPredictor",
        summary="The animals with the highest centres, duplicates removed",
    )
    yield ComponentSpec(
        "loss",
        "offset",
        config="pose_dekr.config:OffsetLossConfig",
        factory="pose_dekr.losses:OffsetLoss",
        summary="Smooth L1 of offsets in cells",
    )


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    for width in (18, 32, 48):
        yield ModelPreset(
            f"dekr_w{width}",
            method="bottom_up",
            family="dekr",
            summary=f"HRNet-W{width}, all its branches; animals by regression from their centres",
            spec={
                "model": {
                    "backbone": {"branches": "concatenated"},
                    "heads": {"keypoints": {"type": "dekr/dekr", "heatmap_channels": width}},
                },
            },
            backbone=f"hrnet/hrnet_w{width}",
        )
