"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, WeightSpec, hookimpl
from pose_cspnext.weights import FILES, INERT

_SIZES = {"s": (0.33, 0.5), "m": (0.67, 0.75), "x": (1.33, 1.25)}


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="cspnext",
        summary="CSPNeXt backbones",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("lyu2022rtmdet", "jiang2023rtmpose", "wang2020cspnet", "he2015spp"),
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
            spec={"train": {"optimizer": {"base_lr": 5e-4}}},
        )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for file in FILES:
        yield WeightSpec(
            f"cspnext_{file.size}_{file.images}",
            model=f"cspnext/cspnext_{file.size}",
            url=file.url,
            sha256=file.sha256,
            license="Apache-2.0",
            source=file.source,
            converter="pose_cspnext.weights:from_openmmlab",
            inert=INERT,
        )
