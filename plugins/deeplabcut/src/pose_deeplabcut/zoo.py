"""DeepLabCut's model zoo, SuperAnimal (Ye et al. 2024): a row for each published file. No torch.

A file there has no ``pytorch_config.yaml`` beside it. What that would say follows from the names of project and
network, and stands here in DeepLabCut's own words, for the importer. Crops are 256 x 256 pixels unless said.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pose_core.hooks import ZooNetwork

_HUB = "https://huggingface.co/{repository}/resolve/main/{file}"
_CARD = "https://huggingface.co/{repository}"
_NON_COMMERCIAL = "modified MIT: academic, non-commercial use only"
_ANIMALS = 10
"""Animals a frame that are looked for at most, as in DeepLabCut."""


@dataclass(frozen=True)
class _Project:
    """Networks for the same keypoints.

    Attributes:
        repository: on Hugging Face's hub.
        source: what they were trained on.
        keypoints: separated by blanks, in output order.
        poses, detectors: names of its networks.
        license: of the weights; empty: what the card of the repository says.
        edges: pairs of keypoints that a skeleton joins.
        files: names of files that are not called ``PROJECT_NETWORK.pt``.
        margin: pixels by which boxes were larger than the animals when it was trained, on each side.
        citations: works that describe it.
    """

    repository: str
    source: str
    keypoints: str
    poses: tuple[str, ...]
    detectors: tuple[str, ...] = ()
    license: str = ""
    edges: str = ""
    files: Mapping[str, str] | None = None
    margin: int = 20
    citations: tuple[str, ...] = ("ye2024superanimal",)


PROJECTS: Mapping[str, _Project] = {
    "superanimal_topviewmouse": _Project(
        "mwmathis/DeepLabCutModelZoo-SuperAnimal-TopViewMouse",
        "TopViewMouse-5K, mice from above, by the M. W. Mathis Lab",
        "nose left_ear right_ear left_ear_tip right_ear_tip left_eye right_eye neck mid_back mouse_center mid_backend "
        "mid_backend2 mid_backend3 tail_base tail1 tail2 tail3 tail4 tail5 left_shoulder left_midside left_hip "
        "right_shoulder right_midside right_hip tail_end head_midpoint",
        ("hrnet_w32", "resnet_50"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2"),
        _NON_COMMERCIAL,
    ),
    "superanimal_quadruped": _Project(
        "mwmathis/DeepLabCutModelZoo-SuperAnimal-Quadruped",
        "Quadruped-80K, four-legged animals from the side, by the M. W. Mathis Lab",
        "nose upper_jaw lower_jaw mouth_end_right mouth_end_left right_eye right_earbase right_earend "
        "right_antler_base right_antler_end left_eye left_earbase left_earend left_antler_base left_antler_end "
        "neck_base neck_end throat_base throat_end back_base back_end back_middle tail_base tail_end front_left_thai "
        "front_left_knee front_left_paw front_right_thai front_right_knee front_right_paw back_left_paw "
        "back_left_thai back_right_thai back_left_knee back_right_knee back_right_paw belly_bottom "
        "body_middle_right body_middle_left",
        ("hrnet_w32", "resnet_50", "rtmpose_s"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2", "ssdlite"),
        _NON_COMMERCIAL,
    ),
    "superanimal_bird": _Project(
        "DeepLabCut/DeepLabCutModelZoo-SuperAnimal-Bird",
        "SuperAnimal-Bird, by the M. W. Mathis Lab",
        "back bill belly breast crown forehead left_eye left_leg left_wing_tip left_wrist nape right_eye right_leg "
        "right_wing_tip right_wrist tail_tip throat neck tail_left tail_right upper_spine upper_half_spine "
        "lower_half_spine right_foot left_foot left_half_chest right_half_chest chin left_tibia right_tibia "
        "lower_spine upper_half_neck lower_half_neck left_chest right_chest upper_neck left_wing_shoulder "
        "left_wing_elbow right_wing_shoulder right_wing_elbow upper_cere lower_cere",
        ("resnet_50",),
        ("fasterrcnn_mobilenet_v3_large_fpn", "ssdlite"),
    ),
    "superanimal_humanbody": _Project(
        "DeepLabCut/HumanBody",
        "seven sets of people (Body7), RTMPose of OpenMMLab",
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
        "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
        ("rtmpose_x",),
        edges="left_ankle-left_knee left_knee-left_hip right_ankle-right_knee right_knee-right_hip left_hip-right_hip "
        "left_shoulder-left_hip right_shoulder-right_hip left_shoulder-right_shoulder left_shoulder-left_elbow "
        "right_shoulder-right_elbow left_elbow-left_wrist right_elbow-right_wrist left_eye-right_eye nose-left_eye "
        "nose-right_eye left_eye-left_ear right_eye-right_ear left_ear-left_shoulder right_ear-right_shoulder",
        files={"rtmpose_x": "rtmpose-x_simcc-body7.pt"},
        # Its boxes are those of COCO, close around people.
        margin=0,
        citations=("jiang2023rtmpose",),
    ),
}

_PERSON_DETECTORS = {
    "fasterrcnn_mobilenet_v3_large_fpn": ("fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth", "fb6a3cc7"),
    "fasterrcnn_resnet50_fpn_v2": ("fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", "dd69338a"),
}
"""Files of torchvision's detectors of COCO's classes, and the beginnings of their checksums."""

_SIMCC = {
    "rtmpose_s": (0.33, 0.5, 512, (256, 256), (5.66, 5.66)),
    "rtmpose_x": (1.33, 1.25, 1280, (288, 384), (6.0, 6.93)),
}
"""Depth, width, channels, (width, height) of the crop, and sigmas along x and y, of RTMPose's sizes."""


def list_networks() -> Iterator[ZooNetwork]:
    """List everything that the zoo publishes."""
    for name, project in PROJECTS.items():
        keypoints = tuple(project.keypoints.split())
        for trains, networks in (("poses", project.poses), ("boxes", project.detectors)):
            for network in networks:
                file = (project.files or {}).get(network, f"{name}_{network}.pt")
                detector = network if trains == "boxes" else None
                yield ZooNetwork(
                    name,
                    network,
                    url=_HUB.format(repository=project.repository, file=file),
                    license=project.license or f"see {_CARD.format(repository=project.repository)}",
                    source=project.source,
                    description=describe(name, project.poses[0] if detector else network, detector),
                    keypoints=() if detector else keypoints,
                    importer={"type": "deeplabcut/deeplabcut"},
                    trains=trains,
                    citations=project.citations,
                )
    people = PROJECTS["superanimal_humanbody"]
    for network, (file, digest) in _PERSON_DETECTORS.items():
        yield ZooNetwork(
            "superanimal_humanbody",
            network,
            url=f"https://download.pytorch.org/models/{file}",
            sha256=digest,
            license="BSD-3-Clause",
            source="COCO 2017 (train), by torchvision; boxes of the class person",
            description={
                "skeleton": {
                    "keypoints": people.keypoints.split(),
                    "individuals": _name_animals(),
                },
                "data": {"source": "(unknown)"},
                "network": {
                    "type": f"torchvision/{network}",
                    "classes": ["person"],
                    "pretrained": True,
                    "size": None,
                    "resize": "torchvision",
                    # Corners of boxes are taken for coordinates of pixels, as DeepLabCut does.
                    "half_pixel": False,
                    "threshold": 0.6,
                    "nms": 0.5,
                    "max_boxes": 100,
                },
                "min_box": 0.0,
            },
            trains="boxes",
            converter="pose_torchvision.transfer:convert_coco_classes",
        )


def describe(project: str, network: str, detector: str | None = None) -> dict[str, Any]:
    """Describe a network of the zoo as ``pytorch_config.yaml`` describes those that DeepLabCut trained.

    Args:
        project: a key of :data:`PROJECTS`.
        network: of its pose networks.
        detector: of its detectors; None where the file holds the pose network.
    """
    about = PROJECTS[project]
    keypoints = about.keypoints.split()
    width, height = _SIMCC[network][3] if network in _SIMCC else (256, 256)
    return {
        "net_type": network,
        "method": "td",
        # The importer then looks for no project around the file, of which it knows nothing.
        "zoo": {"project": project, "skeleton": [pair.split("-") for pair in about.edges.split()]},
        "metadata": {
            "project_path": None,
            "bodyparts": keypoints,
            "unique_bodyparts": [],
            "individuals": _name_animals(),
            "with_identity": False,
        },
        "data": {
            "bbox_margin": about.margin,
            "colormode": "RGB",
            "inference": {
                "normalize_images": True,
                "top_down_crop": {"width": width, "height": height, "margin": 0, "crop_with_context": True},
            },
        },
        "model": copy.deepcopy(_describe_network(network, len(keypoints))),
        "detector": None if detector is None else copy.deepcopy(_describe_detector(detector)),
    }


def _name_animals() -> list[str]:
    return [f"animal{number}" for number in range(_ANIMALS)]


def _describe_network(network: str, keypoints: int) -> dict[str, Any]:
    if network in _SIMCC:
        return _describe_simcc(*_SIMCC[network], keypoints)
    refined = network == "resnet_50"
    backbone: dict[str, Any] = {"type": "HRNet", "model_name": "hrnet_w32", "pretrained": False}
    backbone |= {"interpolate_branches": False, "increased_channel_count": False}
    backbone |= {"freeze_bn_stats": True, "freeze_bn_weights": False}
    if refined:
        backbone = {"type": "ResNet", "model_name": "resnet50_gn", "output_stride": 16}
        backbone |= {"freeze_bn_stats": False, "freeze_bn_weights": False}
    # One layer: it doubles the resolution of the ResNet, and keeps that of the HRNet.
    channels, kernel, stride = (2048, 3, 2) if refined else (32, 1, 1)

    def layer(outputs: int) -> dict[str, Any]:
        return {"channels": [channels, outputs], "kernel_size": [kernel], "strides": [stride]}

    head: dict[str, Any] = {
        "type": "HeatmapHead",
        "weight_init": "normal",
        "predictor": {
            "type": "HeatmapPredictor",
            "apply_sigmoid": False,
            "clip_scores": True,
            "location_refinement": refined,
            "locref_std": 7.2801,
        },
        "target_generator": {
            "type": "HeatmapGaussianGenerator",
            "num_heatmaps": keypoints,
            "pos_dist_thresh": 17,
            "heatmap_mode": "KEYPOINT",
            "generate_locref": refined,
            "locref_std": 7.2801,
        },
        "criterion": {"heatmap": {"type": "WeightedMSECriterion", "weight": 1.0}},
        "heatmap_config": layer(keypoints),
    }
    if refined:
        head["criterion"]["locref"] = {"type": "WeightedHuberCriterion", "weight": 0.05}
        head["locref_config"] = layer(2 * keypoints)
    return {"backbone": backbone, "backbone_output_channels": channels, "heads": {"bodypart": head}}


def _describe_simcc(
    deepen: float,
    widen: float,
    channels: int,
    size: tuple[int, int],
    sigma: tuple[float, float],
    keypoints: int,
) -> dict[str, Any]:
    loss = {"type": "KLDiscreteLoss", "use_target_weight": True, "beta": 10.0, "label_softmax": True}
    head = {
        "type": "RTMCCHead",
        "weight_init": "RTMPose",
        "target_generator": {
            "type": "SimCCGenerator",
            "input_size": list(size),
            "smoothing_type": "gaussian",
            "sigma": list(sigma),
            "simcc_split_ratio": 2.0,
            "label_smooth_weight": 0.0,
            "normalize": False,
        },
        "criterion": {"x": loss, "y": loss},
        "predictor": {
            "type": "SimCCPredictor",
            "simcc_split_ratio": 2.0,
            "sigma": list(sigma),
            "decode_beta": 150.0,
        },
        "input_size": list(size),
        "in_channels": channels,
        "out_channels": keypoints,
        "in_featuremap_size": [length // 32 for length in size],
        "simcc_split_ratio": 2.0,
        "final_layer_kernel_size": 7,
        "gau_cfg": {
            "hidden_dims": 256,
            "s": 128,
            "expansion_factor": 2,
            "dropout_rate": 0,
            "drop_path": 0.0,
            "act_fn": "SiLU",
            "use_rel_bias": False,
            "pos_enc": False,
        },
    }
    backbone = {"type": "CSPNeXt", "deepen_factor": deepen, "widen_factor": widen}
    backbone |= {"freeze_bn_stats": False, "freeze_bn_weights": False}
    return {"backbone": backbone, "backbone_output_channels": channels, "heads": {"bodypart": head}}


def _describe_detector(detector: str) -> dict[str, Any]:
    network: dict[str, Any] = {"type": "SSDLite"}
    if detector != "ssdlite":
        network = {"type": "FasterRCNN", "variant": detector}
    return {
        "model": {
            **network,
            "box_score_thresh": 0.6,
            "freeze_bn_stats": True,
            "freeze_bn_weights": False,
        },
        "data": {"colormode": "RGB", "inference": {"normalize_images": True}},
    }
