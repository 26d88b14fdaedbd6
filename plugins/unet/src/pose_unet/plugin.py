"""Declare the U-Net, its decoder and its presets."""

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="unet",
        summary="U-Net backbones, and their decoder for others",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("ronneberger2015unet", "pereira2022sleap"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "unet",
        config="pose_unet.config:UNetConfig",
        factory="pose_unet.network:UNet",
        summary="Encoder-decoder with skip connections",
        tags=("from scratch",),
    )
    yield ComponentSpec(
        "neck",
        "decoder",
        config="pose_unet.decoder_config:DecoderConfig",
        factory="pose_unet.decoder:DecoderNeck",
        summary="The decoder of a U-Net, for the feature maps of any backbone",
    )


# Batch normalisation tolerates a high learning rate, which
# would destroy pretrained weights; there are none here.
_TRAINING = {"train": {"optimizer": {"base_lr": 3e-3}}}

# About as many pixels an animal as in whole frames of the automatic scale; 256 take four times as long, which on a
# CPU leaves too few steps.
_SMALL_CROPS = {"model": {"preprocess": {"size": [128, 128]}}}


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    yield BackbonePreset(
        "unet",
        family="unet",
        backbone={"type": "unet/unet", "filters": 16, "stem_stride": 2, "output_stride": 4},
        summary="U-Net, small and fast on a CPU",
        spec=_TRAINING,
        overrides={"top_down": _SMALL_CROPS, "conditional_top_down": _SMALL_CROPS},
        recommended=("cpu",),
    )
    yield BackbonePreset(
        "unet_medium_rf",
        family="unet",
        backbone={"type": "unet/unet", "filters": 32, "rate": 2.0, "max_stride": 16, "output_stride": 2},
        summary="U-Net with SLEAP's medium receptive field",
        spec=_TRAINING,
    )
    yield BackbonePreset(
        "unet_large_rf",
        family="unet",
        backbone={"type": "unet/unet", "filters": 24, "rate": 1.5, "max_stride": 32, "output_stride": 2},
        summary="U-Net with SLEAP's large receptive field",
        spec=_TRAINING,
    )
