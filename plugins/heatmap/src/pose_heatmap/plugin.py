"""What this plugin offers."""

from collections.abc import Iterable, Mapping

from pose_core.hooks import ComponentSpec, ExtraHead, ModelRecipe, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="heatmap",
        summary="Heatmap and location-refinement heads",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("insafutdinov2016deepercut", "mathis2018deeplabcut"),
    )


def _part(
    kind: str, name: str, cls: str, module: str, summary: str, citations: tuple[str, ...] = ()
) -> ComponentSpec:
    suffix = {"head": "Head", "target_generator": "Targets", "predictor": "Predictor", "loss": "Loss"}[kind]
    config = f"{cls}HeadConfig" if kind == "head" else f"{cls}Config"
    return ComponentSpec(
        kind,
        name,
        config=f"pose_heatmap.{'identity_config' if module.startswith('identity') else 'config'}:{config}",
        factory=f"pose_heatmap.{module}:{cls}{suffix}",
        summary=summary,
        citations=citations,
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield _part("head", "heatmap", "Heatmap", "head", "One heatmap a keypoint, with location refinement")
    yield _part("head", "identity", "Identity", "identity", "One map an individual: which animal is this?")
    yield _part(
        "head",
        "identity_vector",
        "IdentityVector",
        "identity_vector",
        "One number an individual, of a whole crop: which animal is this?",
        ("pereira2022sleap",),
    )
    yield _part(
        "target_generator", "gaussian", "Gaussian", "targets", "Gaussian blobs and offsets to their centres"
    )
    yield _part(
        "target_generator", "plateau", "Plateau", "targets", "Discs of ones and offsets to their centres"
    )
    yield _part(
        "target_generator", "identity", "Identity", "identity", "Individual of each place around keypoints"
    )
    yield ComponentSpec(
        "target_generator",
        "identity_vector",
        config="pose_heatmap.identity_config:IdentityVectorTargetConfig",
        factory="pose_heatmap.identity_vector:IdentityVectorTargets",
        summary="Individual of the animal of a crop",
    )
    yield _part("predictor", "argmax", "Argmax", "predictors", "Highest cell, moved by location refinement")
    yield _part(
        "predictor",
        "subpixel",
        "Subpixel",
        "predictors",
        "Gaussian fitted around the highest cell",
        ("guo2011gaussian",),
    )
    yield _part(
        "predictor",
        "peaks",
        "Peaks",
        "predictors",
        "All peaks of each map, as candidates that a later head groups",
    )
    yield _part(
        "predictor",
        "identity_at_keypoints",
        "IdentityAtKeypoints",
        "identity_predictors",
        "Who each animal is: maps of individuals read at its keypoints",
    )
    yield _part(
        "predictor",
        "group_by_identity",
        "GroupByIdentity",
        "identity_predictors",
        "Candidates grouped to one animal for each individual",
        ("pereira2022sleap",),
    )
    yield _part(
        "predictor",
        "identity_of_crop",
        "IdentityOfCrop",
        "identity_vector",
        "Who the animal of a crop is",
    )
    yield _part("loss", "mse", "Mse", "losses", "Mean squared error, balanced between blobs and background")
    yield _part(
        "loss", "bce", "Bce", "losses", "Cross-entropy of logits, balanced between blobs and background"
    )
    yield _part(
        "loss",
        "ohkm",
        "Ohkm",
        "losses",
        "The mse or bce of the hardest keypoints of each image (online hard keypoint mining)",
        citations=("chen2018cascaded",),
    )
    yield _part("loss", "cross_entropy", "CrossEntropy", "losses", "Cross-entropy over the maps of a place")
    yield _part("loss", "huber", "Huber", "losses", "Huber loss")
    yield _part("loss", "smooth_l1", "SmoothL1", "losses", "Smooth L1 loss")


_MAPS_OF_CROPS = {"type": "heatmap/heatmap", "deconv_layers": 0}
# Of several feature maps the coarsest, whatever those of keypoints take.
_VECTOR = {"type": "heatmap/identity_vector", "feature": None}


def _top_down(**heads: Mapping[str, object]) -> dict[str, object]:
    return {
        "model": {"preprocess": {"size": [256, 256]}, "heads": heads},
        "augmentation": {"scale": [0.75, 1.25], "translation": 0.08},
    }


@hookimpl
def pose_recipes() -> Iterable[ModelRecipe]:
    yield ModelRecipe(
        "{backbone}",
        "single_animal",
        "{backbone}; heatmaps of one animal a frame",
        {"model": {"heads": {"keypoints": {"type": "heatmap/heatmap"}}}},
    )
    yield ModelRecipe(
        "top_down_{backbone}",
        "top_down",
        "{backbone}; heatmaps of the animal in a crop",
        _top_down(keypoints=_MAPS_OF_CROPS),
        citations=("xiao2018simple",),
    )
    yield ModelRecipe(
        "identity_{backbone}",
        "bottom_up",
        "{backbone}; peaks of several animals a frame, grouped by maps of individuals",
        {
            "model": {
                "heads": {
                    "peaks": {
                        "type": "heatmap/heatmap",
                        "location_refinement": False,
                        "predictor": {"type": "heatmap/peaks"},
                    },
                    "identity": {
                        "type": "heatmap/identity",
                        "predictor": {"type": "heatmap/group_by_identity"},
                    },
                }
            }
        },
        citations=("pereira2022sleap",),
        needs="identity",
    )
    yield ModelRecipe(
        "top_down_identity_{backbone}",
        "top_down",
        "{backbone}; heatmaps of the animal in a crop, and which individual it is",
        _top_down(keypoints=_MAPS_OF_CROPS, identity=_VECTOR),
        citations=("xiao2018simple", "pereira2022sleap"),
        needs="identity",
    )


@hookimpl
def pose_extra_heads() -> Iterable[ExtraHead]:
    yield ExtraHead(
        "unique_keypoints",
        "unique_keypoints",
        {"type": "heatmap/heatmap", "keypoints": "unique"},
        ("single_animal", "bottom_up"),
        "heatmaps of the keypoints that exist once a frame",
    )
    yield ExtraHead(
        "identity",
        "identity",
        {"type": "heatmap/identity"},
        ("bottom_up",),
        "a map for each individual, read at the keypoints found",
    )
    yield ExtraHead(
        "identity",
        "identity",
        _VECTOR,
        ("top_down",),
        "a number for each individual, of the whole crop",
    )
