"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, ExtraHead, ModelRecipe, PluginInfo, hookimpl

_DEEPERCUT = """@inproceedings{insafutdinov2016deepercut,
  title={DeeperCut: A Deeper, Stronger, and Faster Multi-Person Pose Estimation Model},
  author={Insafutdinov, Eldar and Pishchulin, Leonid and Andres, Bjoern and Andriluka, Mykhaylo and Schiele, Bernt},
  booktitle={European Conference on Computer Vision}, year={2016}}"""

_DEEPLABCUT = """@article{mathis2018deeplabcut,
  title={DeepLabCut: markerless pose estimation of user-defined body parts with deep learning},
  author={Mathis, Alexander and Mamidanna, Pranav and Cury, Kevin M. and Abe, Taiga and Murthy, Venkatesh N. and
    Mathis, Mackenzie Weygandt and Bethge, Matthias},
  journal={Nature Neuroscience}, volume={21}, pages={1281--1289}, year={2018}}"""

_XIAO = """@inproceedings{xiao2018simple,
  title={Simple Baselines for Human Pose Estimation and Tracking},
  author={Xiao, Bin and Wu, Haiping and Wei, Yichen},
  booktitle={European Conference on Computer Vision}, year={2018}}"""

_GUO = """@article{guo2011gaussian,
  title={A Simple Algorithm for Fitting a Gaussian Function},
  author={Guo, Hongwei}, journal={IEEE Signal Processing Magazine}, year={2011}}"""


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="heatmap",
        summary="Heatmap and location-refinement heads",
        license="BSD-3-Clause",
        hook_api="1.3",
        citations=(_DEEPERCUT, _DEEPLABCUT),
    )


def _part(kind: str, name: str, cls: str, module: str, summary: str, citations: tuple[str, ...] = ()) -> ComponentSpec:
    suffix = {"head": "Head", "target_generator": "Targets", "predictor": "Predictor", "loss": "Loss"}[kind]
    config = f"{cls}HeadConfig" if kind == "head" else f"{cls}Config"
    return ComponentSpec(
        kind,
        name,
        config=f"pose_heatmap.config:{config}",
        factory=f"pose_heatmap.{module}:{cls}{suffix}",
        summary=summary,
        citations=citations,
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield _part("head", "heatmap", "Heatmap", "head", "One heatmap a keypoint, with location refinement")
    yield _part("head", "identity", "Identity", "identity", "One map an individual: which animal is this?")
    yield _part("target_generator", "gaussian", "Gaussian", "targets", "Gaussian blobs and offsets to their centres")
    yield _part("target_generator", "plateau", "Plateau", "targets", "Discs of ones and offsets to their centres")
    yield _part("target_generator", "identity", "Identity", "identity", "Individual of each place around keypoints")
    yield _part("predictor", "argmax", "Argmax", "predictors", "Highest cell, moved by location refinement")
    yield _part("predictor", "subpixel", "Subpixel", "predictors", "Gaussian fitted around the highest cell", (_GUO,))
    yield _part("predictor", "assign_identity", "AssignIdentity", "identity", "Names of all animals of a frame at once")
    yield _part("loss", "mse", "Mse", "losses", "Mean squared error, balanced between blobs and background")
    yield _part("loss", "bce", "Bce", "losses", "Cross-entropy of logits, balanced between blobs and background")
    yield _part("loss", "cross_entropy", "CrossEntropy", "losses", "Cross-entropy over the maps of a place")
    yield _part("loss", "huber", "Huber", "losses", "Huber loss")
    yield _part("loss", "smooth_l1", "SmoothL1", "losses", "Smooth L1 loss")
    yield ComponentSpec(
        "deeplabcut/head",
        "HeatmapHead",
        config="",
        factory="pose_heatmap.deeplabcut:convert",
        summary="Heatmap heads trained with DeepLabCut 3",
    )


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
        {
            "model": {
                "preprocess": {"view": "animal", "size": [256, 256]},
                "heads": {"keypoints": {"type": "heatmap/heatmap", "deconv_layers": 0}},
            },
            "augmentation": {"rotation": 180.0, "scale": [0.75, 1.25], "translation": 0.08},
        },
        citations=(_XIAO,),
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
