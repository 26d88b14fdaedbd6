"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl

_RTMDET = """@article{lyu2022rtmdet,
  title={RTMDet: An Empirical Study of Designing Real-Time Object Detectors},
  author={Lyu, Chengqi and Zhang, Wenwei and Huang, Haian and Zhou, Yue and Wang, Yudong and Liu, Yanyi and
    Zhang, Shilong and Chen, Kai},
  journal={arXiv:2212.07784}, year={2022}}"""

_RTMPOSE = """@article{jiang2023rtmpose,
  title={RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose},
  author={Jiang, Tao and Lu, Peng and Zhang, Li and Ma, Ningsheng and Han, Rui and Lyu, Chengqi and Li, Yining and
    Chen, Kai},
  journal={arXiv:2303.07399}, year={2023}}"""

_CSPNET = """@inproceedings{wang2020cspnet,
  title={CSPNet: A New Backbone that can Enhance Learning Capability of CNN},
  author={Wang, Chien-Yao and Liao, Hong-Yuan Mark and Wu, Yueh-Hua and Chen, Ping-Yang and Hsieh, Jun-Wei and
    Yeh, I-Hau},
  booktitle={Computer Vision and Pattern Recognition Workshops}, year={2020}}"""

_SPP = """@article{he2015spp,
  title={Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition},
  author={He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  journal={IEEE Transactions on Pattern Analysis and Machine Intelligence}, year={2015}}"""

_SIZES = {"s": (0.33, 0.5), "m": (0.67, 0.75), "x": (1.33, 1.25)}


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="cspnext",
        summary="CSPNeXt backbones",
        license="BSD-3-Clause",
        hook_api="1.1",
        citations=(_RTMDET, _RTMPOSE, _CSPNET, _SPP),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "cspnext",
        config="pose_cspnext.config:CSPNeXtConfig",
        factory="pose_cspnext.network:CSPNeXt",
        summary="CSPNeXt, the backbone of RTMDet and RTMPose",
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for size, (deepen, widen) in _SIZES.items():
        yield BackbonePreset(
            f"cspnext_{size}",
            family="cspnext",
            backbone={"type": "cspnext/cspnext", "deepen": deepen, "widen": widen},
            summary=f"CSPNeXt-{size}",
            spec={"train": {"optimizer": {"lr": 5e-4}}},
        )
