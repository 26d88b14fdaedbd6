"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, ModelPreset, ModelRecipe, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="paf",
        summary="Part affinity fields: several animals, bottom-up",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("cao2017realtime", "lauer2022multi"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "head",
        "paf",
        config="pose_paf.config:PafHeadConfig",
        factory="pose_paf.head:PafHead",
        summary="Heatmaps, location refinement and part affinity fields",
        requires=("heatmap",),
    )
    yield ComponentSpec(
        "head",
        "fields",
        config="pose_paf.config:FieldsHeadConfig",
        factory="pose_paf.head:FieldsHead",
        summary="Part affinity fields alone; they group the candidates of the heads before",
        requires=("heatmap",),
    )
    yield ComponentSpec(
        "target_generator",
        "fields",
        config="pose_paf.config:FieldTargetConfig",
        factory="pose_paf.targets:FieldTargets",
        summary="Directions of limbs along their strips",
        citations=("pereira2022sleap",),
    )
    yield ComponentSpec(
        "target_generator",
        "paf",
        config="pose_paf.config:PafTargetConfig",
        factory="pose_paf.targets:PafTargets",
        summary="Directions of limbs along their strips, beside the targets of another generator",
        requires=("heatmap",),
    )
    yield ComponentSpec(
        "predictor",
        "assembly",
        config="pose_paf.config:AssemblyConfig",
        factory="pose_paf.predictor:AssemblyPredictor",
        summary="Blobs joined to animals along part affinity fields",
    )
    yield ComponentSpec(
        "predictor",
        "grouping",
        config="pose_paf.config:GroupingConfig",
        factory="pose_paf.predictor:GroupingPredictor",
        summary="Candidates of the heads before, joined to animals along part affinity fields",
        citations=("pereira2022sleap",),
    )
    yield ComponentSpec(
        "backbone",
        "dlcrnet",
        config="pose_paf.dlcrnet_config:DLCRNetConfig",
        factory="pose_paf.dlcrnet:DLCRNet",
        summary="A ResNet whose early stages join its last one (DLCRNet)",
    )


@hookimpl
def pose_recipes() -> Iterable[ModelRecipe]:
    yield ModelRecipe(
        "{backbone}",
        "bottom_up",
        "{backbone}; part affinity fields of several animals a frame",
        {"model": {"heads": {"keypoints": {"type": "paf/paf"}}}},
    )


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    for stride in (16, 32):
        backbone: dict[str, object] = {
            "type": "paf/dlcrnet",
            "backbone": {"type": "resnet/resnet", "depth": 50, "output_stride": stride},
        }
        yield ModelPreset(
            f"dlcrnet_stride{stride}_ms5",
            method="bottom_up",
            family="dlcrnet",
            summary=f"multi-scale ResNet-50 of stride {stride}; part affinity fields refined in 5 stages",
            spec={
                "model": {
                    "backbone": backbone,
                    # As many layers as DeepLabCut 3 has, so that sizes can be compared.
                    "heads": {
                        "keypoints": {
                            "type": "paf/paf",
                            "stages": 5,
                            "deconv_layers": 2 if stride == 16 else 3,
                            "deconv_channels": 1152,
                        }
                    },
                },
                "train": {"optimizer": {"base_lr": 5e-4}},
            },
        )
