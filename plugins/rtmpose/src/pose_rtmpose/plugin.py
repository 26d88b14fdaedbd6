"""What this plugin offers."""

from collections.abc import Iterable
from typing import Any

from pose_core.hooks import ComponentSpec, ModelPreset, PluginInfo, hookimpl

_RTMPOSE = """@article{jiang2023rtmpose,
  title={RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose},
  author={Jiang, Tao and Lu, Peng and Zhang, Li and Ma, Ningsheng and Han, Rui and Lyu, Chengqi and Li, Yining and
    Chen, Kai},
  journal={arXiv:2303.07399}, year={2023}}"""

_SIMCC = """@inproceedings{li2022simcc,
  title={SimCC: A Simple Coordinate Classification Perspective for Human Pose Estimation},
  author={Li, Yanjie and Yang, Sen and Liu, Peidong and Zhang, Shoukui and Wang, Yunxiao and Wang, Zhicheng and
    Yang, Wankou and Xia, Shu-Tao},
  booktitle={European Conference on Computer Vision}, year={2022}}"""

_GAU = """@inproceedings{hua2022gau,
  title={Transformer Quality in Linear Time},
  author={Hua, Weizhe and Dai, Zihang and Liu, Hanxiao and Le, Quoc V.},
  booktitle={International Conference on Machine Learning}, year={2022}}"""


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="rtmpose",
        summary="RTMPose: coordinate classification (SimCC) with gated attention",
        license="BSD-3-Clause",
        hook_api="1.1",
        citations=(_RTMPOSE, _SIMCC),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "head",
        "simcc",
        config="pose_rtmpose.config:SimccHeadConfig",
        factory="pose_rtmpose.head:SimccHead",
        summary="x and y of each keypoint classified over bins, with gated attention between keypoints",
        citations=(_GAU,),
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
    yield ComponentSpec(
        "deeplabcut/head",
        "RTMCCHead",
        config="",
        factory="pose_rtmpose.deeplabcut:convert",
        summary="SimCC heads of DeepLabCut's rtmpose_s, rtmpose_m, rtmpose_x",
    )


def _preset(variant: str, deepen: float, widen: float, size: int) -> ModelPreset:
    spec: dict[str, Any] = {
        "model": {
            "preprocess": {"view": "animal", "size": [size, size]},
            "backbone": {"type": "cspnext/cspnext", "deepen": deepen, "widen": widen},
            "heads": {"keypoints": {"type": "rtmpose/simcc"}},
        },
        "train": {"optimizer": {"lr": 5e-4}},
    }
    return ModelPreset(
        f"rtmpose_{variant}",
        "top_down",
        family="rtmpose",
        summary=f"RTMPose-{variant}: CSPNeXt-{variant} and a SimCC head on {size} x {size} crops",
        spec=spec,
    )


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    yield _preset("s", 0.33, 0.5, 256)
    yield _preset("m", 0.67, 0.75, 256)
    yield _preset("x", 1.33, 1.25, 384)
