"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, ModelPreset, PluginInfo, WeightSpec, hookimpl
from pose_rtmpose.weights import FILES, INERT


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="rtmpose",
        summary="RTMPose: coordinate classification (SimCC) with gated attention",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("jiang2023rtmpose", "li2022simcc"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "head",
        "simcc",
        config="pose_rtmpose.config:SimccHeadConfig",
        factory="pose_rtmpose.head:SimccHead",
        summary="x and y of each keypoint classified over bins, with gated attention between keypoints",
        citations=("hua2022gau",),
    )
    yield ComponentSpec(
        "target_generator",
        "simcc",
        config="pose_rtmpose.config:SimccTargetConfig",
        factory="pose_rtmpose.targets:SimccTargets",
        summary="A Gaussian on each axis",
    )
    yield ComponentSpec(
        "predictor",
        "simcc",
        config="pose_rtmpose.config:SimccPredictorConfig",
        factory="pose_rtmpose.predictor:SimccPredictor",
        summary="Position with the target that fits the output best, or the highest bin",
    )
    yield ComponentSpec(
        "loss",
        "kl",
        config="pose_rtmpose.config:KlConfig",
        factory="pose_rtmpose.losses:KlLoss",
        summary="Kullback-Leibler divergence between distributions over bins",
    )


def _preset(variant: str, size: int) -> ModelPreset:
    spec: dict[str, object] = {
        "model": {
            "preprocess": {"size": [size, size]},
            "heads": {"keypoints": {"type": "rtmpose/simcc"}},
        },
    }
    return ModelPreset(
        f"rtmpose_{variant}",
        "top_down",
        family="rtmpose",
        summary=f"RTMPose-{variant}: CSPNeXt-{variant} and a SimCC head on {size} x {size} crops",
        spec=spec,
        backbone=f"cspnext/cspnext_{variant}",
    )


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    yield _preset("s", 256)
    yield _preset("m", 256)
    yield _preset("x", 384)


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for file in FILES:
        yield WeightSpec(
            f"rtmpose_{file.size}_{file.skeleton}",
            model=f"rtmpose/rtmpose_{file.size}",
            url=file.url,
            sha256=file.sha256,
            license="Apache-2.0",
            source=file.source,
            keypoints=file.keypoints,
            converter="pose_rtmpose.weights:from_openmmlab",
            inert=INERT,
        )
