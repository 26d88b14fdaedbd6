"""What this plugin offers."""

from collections.abc import Iterable
from typing import Any

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl

_RESNET = """@inproceedings{he2016resnet,
  title={Deep Residual Learning for Image Recognition},
  author={He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  booktitle={Computer Vision and Pattern Recognition}, year={2016}}"""

_GROUP_NORM = """@inproceedings{wu2018groupnorm,
  title={Group Normalization},
  author={Wu, Yuxin and He, Kaiming}, booktitle={European Conference on Computer Vision}, year={2018}}"""

_TIMM = """@misc{wightman2019timm,
  title={PyTorch Image Models},
  author={Wightman, Ross}, year={2019}, howpublished={https://github.com/huggingface/pytorch-image-models}}"""


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="resnet",
        summary="ResNet backbones on timm",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=(_RESNET, _TIMM),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "resnet",
        config="pose_resnet.config:ResNetConfig",
        factory="pose_resnet.network:ResNet",
        summary="ResNet-18 to 152, ImageNet weights through timm",
        tags=("imagenet",),
        citations=(_GROUP_NORM,),
    )


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    for depth in (18, 34, 50, 101, 152):
        backbone: dict[str, Any] = {"type": "resnet/resnet", "depth": depth, "output_stride": 16}
        if depth == 50:
            backbone["norm"] = "group"
        yield BackbonePreset(
            f"resnet_{depth}",
            family="resnet",
            backbone=backbone,
            summary=f"ResNet-{depth}" + (" with group normalisation" if depth == 50 else ""),
            spec={"train": {"optimizer": {"lr": 5e-4}}},
        )
