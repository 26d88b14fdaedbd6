"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import (
    ComponentSpec,
    MethodSpec,
    ModelRecipe,
    PluginInfo,
    SupplierSpec,
    hookimpl,
)


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="centroid",
        summary="Centroid models of any backbone: one point an animal, by itself or ahead of crops",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("pereira2022sleap", "zhou2019objects"),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "predictor",
        "centres",
        config="pose_centroid.config:CentresPredictorConfig",
        factory="pose_centroid.predictor:CentresPredictor",
        summary="Every peak of a heatmap is an animal with one keypoint",
    )
    yield ComponentSpec(
        "stage",
        "centres",
        config="pose_centroid.config:CentresConfig",
        factory="pose_centroid.stage:CentresStage",
        summary="Boxes without extent at the centres that a network finds in whole frames",
    )


@hookimpl
def pose_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        "centroid",
        "several animals: one point each, in the whole frame",
        view="frame",
        animals="several",
        heads="several",
        stages={"whole_frame": {"type": "core/whole_frame"}},
        learns="centres",
    )


@hookimpl
def pose_suppliers() -> Iterable[SupplierSpec]:
    yield SupplierSpec(
        "centroid",
        gives="centres",
        stage={"type": "centroid/centres"},
        takes=("run",),
        metavar="RUN",
        help="A trained centroid model, in the place of a detector, for crops of fixed extent.",
        trains="poses",
    )


@hookimpl
def pose_recipes() -> Iterable[ModelRecipe]:
    yield ModelRecipe(
        "centroid_{backbone}",
        "centroid",
        "{backbone}; a heatmap of the centres of all animals",
        {
            "model": {
                "heads": {
                    "centroid": {
                        "type": "heatmap/heatmap",
                        "location_refinement": False,
                        "predictor": {"type": "centroid/centres"},
                    }
                }
            }
        },
    )
