"""Models of DeepLabCut's families for two body parts, of random weights under DeepLabCut's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from deeplabcut_models import backbone as resnet18
from deeplabcut_models import description, weights
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.interfaces import BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

Family = tuple[dict[str, Any], dict[str, Tensor]]
"""pytorch_config.yaml, and a state dict."""


def _random(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.zeros((), dtype=torch.int64)
        if name.endswith("num_batches_tracked")
        else torch.rand(shape, generator=generator) + 0.5
        if "running_var" in name
        else 0.05 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def _conv(name: str, inputs: int, outputs: int, kernel: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {f"{name}.weight": (outputs, inputs, kernel, kernel)}
    return found | ({f"{name}.bias": (outputs,)} if bias else {})


def _named(individuals: int) -> list[str]:
    return [f"mouse{i}" for i in range(individuals)]


def heatmaps(individuals: int) -> Family:
    """ResNet-18 with heatmaps: of a project of one animal."""
    content = description()
    content["metadata"]["individuals"] = _named(individuals)
    return content, weights(content)


def top_down(individuals: int) -> Family:
    """ResNet-18 with heatmaps, on crops."""
    content = description(top_down=True)
    content["metadata"]["individuals"] = _named(individuals)
    return content, weights(content)


def affinity_fields(individuals: int) -> Family:
    """ResNet-18 with part affinity fields."""

    def maps(outputs: int) -> dict[str, Any]:
        return {"channels": [512, outputs], "kernel_size": [3], "strides": [2]}

    content = description()
    content["metadata"]["individuals"] = _named(individuals)
    content["model"]["heads"]["bodypart"] = {
        "type": "DLCRNetHead",
        "predictor": {
            "type": "PartAffinityFieldPredictor",
            "num_animals": individuals,
            "num_multibodyparts": 2,
            "num_uniquebodyparts": 0,
            "nms_radius": 5,
            "sigma": 1.0,
            "locref_stdev": 7.2801,
            "min_affinity": 0.05,
            "graph": [[0, 1]],
            "edges_to_keep": [0],
        },
        "target_generator": {
            "type": "SequentialGenerator",
            "generators": [
                {
                    "type": "HeatmapPlateauGenerator",
                    "num_heatmaps": 2,
                    "pos_dist_thresh": 17,
                    "heatmap_mode": "KEYPOINT",
                    "generate_locref": True,
                    "locref_std": 7.2801,
                },
                {"type": "PartAffinityFieldGenerator", "graph": [[0, 1]], "width": 20},
            ],
        },
        "criterion": {
            "heatmap": {"type": "WeightedBCECriterion", "weight": 1.0},
            "locref": {"type": "WeightedHuberCriterion", "weight": 0.05},
            "paf": {"type": "WeightedHuberCriterion", "weight": 0.1},
        },
        "heatmap_config": maps(2),
        "locref_config": maps(4),
        "paf_config": maps(2),
        "num_stages": 5,
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, inputs, outputs in (("heatmap_head", 132, 2), ("locref_head", 4, 4), ("paf_head", 132, 2)):
        shapes |= {f"{name}.deconv_layers.0.weight": (inputs, outputs, 3, 3)}
        shapes |= {f"{name}.deconv_layers.0.bias": (outputs,)}
    for i, outputs in enumerate((2, 4, 2, 128), 1):
        shapes |= {f"convt{i}.weight": (512, outputs, 3, 3), f"convt{i}.bias": (outputs,)}
    for name in ("hm_ref_layers", "paf_ref_layers"):
        for i in range(5):
            shapes |= _conv(f"{name}.{i}", 132, 2, 3)
    return content, {**resnet18(), **{f"heads.bodypart.{k}": v for k, v in _random(shapes).items()}}


def dekr(individuals: int) -> Family:
    """DEKR with an HRNet-W18."""
    width, each, channels = 8, 5, 270
    content = description()
    content["net_type"] = "dekr_w18"
    content["metadata"]["individuals"] = _named(individuals)
    content["model"]["backbone"] = {
        "type": "HRNet",
        "model_name": "hrnet_w18",
        "interpolate_branches": True,
        "increased_channel_count": False,
        "freeze_bn_stats": False,
        "freeze_bn_weights": False,
    }
    content["model"]["heads"]["bodypart"] = {
        "type": "DEKRHead",
        "target_generator": {
            "type": "DEKRGenerator",
            "num_joints": 2,
            "pos_dist_thresh": 17,
            "bg_weight": 0.1,
        },
        "criterion": {
            "heatmap": {"type": "DEKRHeatmapLoss", "weight": 1},
            "offset": {"type": "DEKROffsetLoss", "weight": 0.03},
        },
        "predictor": {
            "type": "DEKRPredictor",
            "apply_sigmoid": False,
            "use_heatmap": False,
            "clip_scores": True,
            "num_animals": individuals,
            "keypoint_score_type": "combined",
            "max_absorb_distance": 75,
            "nms_threshold": 0.05,
            "apply_pose_nms": True,
        },
        "heatmap_config": {
            "channels": [channels, width, 3],
            "num_blocks": 1,
            "dilation_rate": 1,
            "final_conv_kernel": 1,
        },
        "offset_config": {
            "channels": [channels, 2 * each, 2],
            "num_offset_per_kpt": each,
            "num_blocks": 1,
            "dilation_rate": 1,
            "final_conv_kernel": 1,
        },
    }
    heat, offset = "heatmap_head.", "offset_head."
    shapes = _conv(f"{heat}transition_heatmap.0", channels, width, 1, False)
    shapes |= _norm(f"{heat}transition_heatmap.1", width)
    for number in (1, 2):
        shapes |= _conv(f"{heat}head_heatmap.0.0.conv{number}", width, width, 3, False)
        shapes |= _norm(f"{heat}head_heatmap.0.0.bn{number}", width)
    shapes |= _conv(f"{heat}head_heatmap.1", width, 3, 1)
    shapes |= _conv(f"{offset}transition_offset.0", channels, 2 * each, 1, False)
    shapes |= _norm(f"{offset}transition_offset.1", 2 * each)
    for keypoint in range(2):
        block = f"{offset}offset_feature_layers.{keypoint}.0"
        shapes |= _conv(f"{block}.transform_matrix_conv", each, 4, 3)
        shapes |= _conv(f"{block}.translation_conv", each, 2, 3)
        shapes |= _conv(f"{block}.adapt_conv", each, each, 3, False)
        shapes |= _norm(f"{block}.bn", each)
        shapes |= _conv(f"{offset}offset_final_layer.{keypoint}", each, 2, 1)
    config = {"type": "hrnet/hrnet", "width": 18, "branches": "concatenated", "pretrained": False}
    context = BuildContext(skeleton=Skeleton(("nose", "tail")))
    network = context.build("backbone", TypeAdapter(AnyBackbone).validate_python(config))
    state = {f"backbone.{name}": tensor for name, tensor in network.state_dict().items()}
    return content, {**state, **{f"heads.bodypart.{k}": v for k, v in _random(shapes).items()}}


FAMILIES: dict[str, Callable[[int], Family]] = {
    "heatmaps": heatmaps,
    "top_down": top_down,
    "affinity_fields": affinity_fields,
    "dekr": dekr,
}
"""By name; the argument is the number of individuals."""
