"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, ModelPreset, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="tokenpose",
        summary="TokenPose: keypoints as tokens of a transformer",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("li2021tokenpose",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "neck",
        "transformer",
        config="pose_tokenpose.config:TransformerConfig",
        factory="pose_tokenpose.neck:TransformerNeck",
        summary="Keypoint tokens that attend to the patches of a feature map",
        citations=("dosovitskiy2021vit",),
    )
    yield ComponentSpec(
        "head",
        "token_heatmap",
        config="pose_tokenpose.config:TokenHeatmapConfig",
        factory="pose_tokenpose.head:TokenHeatmapHead",
        summary="One heatmap a keypoint, from its token",
        requires=("heatmap",),
    )


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    yield ModelPreset(
        "animal_tokenpose_base",
        method="top_down",
        family="tokenpose",
        summary="HRNet-W32 and a transformer of keypoint tokens, crops of 256 x 256",
        spec={
            "model": {
                "preprocess": {"size": [256, 256]},
                "neck": {"type": "tokenpose/transformer"},
                "heads": {"keypoints": {"type": "tokenpose/token_heatmap"}},
            },
        },
        backbone="hrnet/hrnet_w32",
    )
