"""What this plugin offers."""

from collections.abc import Iterable, Mapping

from pose_core.hooks import (
    ComponentSpec,
    MethodSpec,
    ModelPreset,
    ModelRecipe,
    PluginInfo,
    SupplierSpec,
    hookimpl,
)

_HEATMAPS = {"keypoints": {"type": "heatmap/heatmap", "deconv_layers": 0}}
_SIMCC = {"keypoints": {"type": "rtmpose/simcc"}}
_HUMAN = (384, 288)
# The crop lies around a pose that may be wrong: the animal is anywhere in it, cut off, or of another size.
_AUGMENTATION = {"scale": [0.7, 1.3], "translation": 0.12}
# People stand upright, and the mean of CrowdPose's sigmas is smaller than what is assumed of animals.
_HUMAN_AUGMENTATION = {**_AUGMENTATION, "rotation": 40.0}
_HUMAN_SIGMA = 0.074


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="buctd",
        summary="Bottom-up conditioned top-down: initial poses go into the network that refines them",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("zhou2023buctd",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "input",
        "conditions",
        config="pose_buctd.config:ConditionsConfig",
        factory="pose_buctd.conditions:Conditions",
        summary="An initial pose drawn as one map a keypoint; in training made of the labels, with errors",
        citations=("moon2019posefix",),
    )
    yield ComponentSpec(
        "backbone",
        "prenet",
        config="pose_buctd.config:PreNetConfig",
        factory="pose_buctd.prenet:PreNet",
        summary="Conditions are added to the image before any backbone",
    )
    yield ComponentSpec(
        "backbone",
        "coam",
        config="pose_buctd.config:CoamConfig",
        factory="pose_buctd.coam:Coam",
        summary="Feature maps within another backbone attend to the conditions (CoAM), for one input size",
        citations=("fu2019danet",),
    )
    for name, config, factory, summary in (
        (
            "refine",
            "Refine",
            "refine:make_refine_stage",
            "A network that refines poses, each in a crop around it",
        ),
        (
            "initial_poses",
            "InitialPoses",
            "initial_poses:make_initial_poses",
            "Poses of a network that sees whole frames, or of a file of predictions",
        ),
    ):
        yield ComponentSpec(
            "stage",
            name,
            config=f"pose_buctd.config:{config}Config",
            factory=f"pose_buctd.stages.{factory}",
            summary=summary,
        )


@hookimpl
def pose_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        "conditional_top_down",
        "several animals: initial poses are refined, each in its crop",
        view="animal",
        animals="several",
        heads="one",
        stages={"refine": {"type": "buctd/refine"}},
        inputs=("conditions",),
    )


@hookimpl
def pose_suppliers() -> Iterable[SupplierSpec]:
    yield SupplierSpec(
        "conditions",
        gives="poses",
        stage={"type": "buctd/initial_poses"},
        takes=("run", "file", "memory"),
        metavar="RUN|FILE",
        help="A trained bottom-up model, in the place of the run's own, or a file of its predictions.",
        trains="poses",
    )


@hookimpl
def pose_recipes() -> Iterable[ModelRecipe]:
    yield ModelRecipe(
        "ctd_prenet_{backbone}",
        "conditional_top_down",
        "{backbone}; an initial pose is added to the crop, heatmaps of the animal",
        {
            "model": {
                "preprocess": {"size": [256, 256]},
                "inputs": {"conditions": {"type": "buctd/conditions"}},
                "heads": _HEATMAPS,
            },
            "augmentation": _AUGMENTATION,
        },
        wrapper={"type": "buctd/prenet"},
    )


def _preset(
    name: str,
    size: tuple[int, int],
    backbone: str,
    wrapper: str,
    heads: Mapping[str, object],
    learning_rate: float,
    summary: str,
    human: bool = False,
) -> ModelPreset:
    errors = {"errors": {"sigma": _HUMAN_SIGMA}} if human else {}
    return ModelPreset(
        name,
        "conditional_top_down",
        family="buctd",
        summary=f"{summary} on {size[0]} x {size[1]} crops",
        spec={
            "model": {
                "preprocess": {"size": list(size)},
                "inputs": {"conditions": {"type": "buctd/conditions", **errors}},
                "heads": heads,
            },
            "augmentation": _HUMAN_AUGMENTATION if human else _AUGMENTATION,
            "train": {"optimizer": {"base_lr": learning_rate}},
        },
        citations=("li2019crowdpose",) if human else (),
        backbone=backbone,
        wrapper={"type": wrapper},
    )


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    for width, human in ((32, False), (48, False), (48, True)):
        # Its attention has matrices over all pairs of cells, which a higher rate drives away in the first
        # steps.
        yield _preset(
            f"ctd_coam_w{width}{'_human' * human}",
            _HUMAN if human else (256, 256),
            f"hrnet/hrnet_w{width}",
            "buctd/coam",
            _HEATMAPS,
            1e-4,
            f"HRNet-W{width} with attention to conditions (CoAM)",
            human,
        )
    for variant, size, human in (("s", 256, False), ("m", 256, False), ("x", 384, False), ("x", 384, True)):
        yield _preset(
            f"ctd_prenet_rtmpose_{variant}{'_human' * human}",
            _HUMAN if human else (size, size),
            f"cspnext/cspnext_{variant}",
            "buctd/prenet",
            _SIMCC,
            5e-4,
            f"RTMPose-{variant} with conditions added to the image",
            human,
        )
