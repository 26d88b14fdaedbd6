"""DeepLabCut's DLCRNet and DLCRNetHead under our names."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pose_deeplabcut.networks import paf
from pydantic import TypeAdapter

from pose_core.catalog import get_catalog
from pose_core.interfaces import BuildContext, Grid, Predictions
from pose_core.specs import AnyBackbone, AnyHead, Feature
from pose_core.structures import Skeleton

SKELETON = Skeleton(tuple("abcde"), individuals=("x", "y", "z"))
ABOUT: dict[str, Any] = {
    "num_keypoints": 5,
    "num_unique": 0,
    "num_individuals": 3,
    "input_size": None,
    "multi_animal": True,
    "as_trained": False,
    "slot": "bodypart",
}
GRAPH = [[a, b] for a in range(5) for b in range(a + 1, 5)]


def maps(channels: list[int]) -> dict[str, Any]:
    layers = len(channels) - 1
    return {"channels": channels, "kernel_size": [3] * layers, "strides": [2] * layers}


def section(channels: int, hidden: list[int]) -> dict[str, Any]:
    """As version 3.0.2 writes it for five keypoints and three animals."""
    return {
        "type": "DLCRNetHead",
        "predictor": {
            "type": "PartAffinityFieldPredictor",
            "num_animals": 3,
            "num_multibodyparts": 5,
            "num_uniquebodyparts": 0,
            "nms_radius": 5,
            "sigma": 1.0,
            "locref_stdev": 7.2801,
            "min_affinity": 0.05,
            "graph": GRAPH,
            "edges_to_keep": list(range(10)),
        },
        "target_generator": {
            "type": "SequentialGenerator",
            "generators": [
                {
                    "type": "HeatmapPlateauGenerator",
                    "num_heatmaps": 5,
                    "pos_dist_thresh": 17,
                    "heatmap_mode": "KEYPOINT",
                    "generate_locref": True,
                    "locref_std": 7.2801,
                },
                {"type": "PartAffinityFieldGenerator", "graph": GRAPH, "width": 20},
            ],
        },
        "criterion": {
            "heatmap": {"type": "WeightedBCECriterion", "weight": 1.0},
            "locref": {"type": "WeightedHuberCriterion", "weight": 0.05},
            "paf": {"type": "WeightedHuberCriterion", "weight": 0.1},
        },
        "heatmap_config": maps([channels, *hidden, 5]),
        "locref_config": maps([channels, *hidden, 10]),
        "paf_config": maps([channels, *hidden, 20]),
        "num_stages": 5,
    }


def reference_head(channels: int, hidden: list[int]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a snapshot."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, inputs, outputs in (("heatmap_head", 153, 5), ("locref_head", 10, 10), ("paf_head", 153, 20)):
        widths = [inputs, *hidden, outputs]
        for i in range(len(widths) - 1):
            shapes[f"{name}.deconv_layers.{2 * i}.weight"] = (widths[i], widths[i + 1], 3, 3)
            shapes[f"{name}.deconv_layers.{2 * i}.bias"] = (widths[i + 1],)
    for i, outputs in enumerate((5, 10, 20, 128), 1):
        shapes[f"convt{i}.weight"], shapes[f"convt{i}.bias"] = (channels, outputs, 3, 3), (outputs,)
    for name, outputs in (("hm_ref_layers", 5), ("paf_ref_layers", 20)):
        for i in range(5):
            shapes[f"{name}.{i}.weight"], shapes[f"{name}.{i}.bias"] = (outputs, 153, 3, 3), (outputs,)
    return shapes


@pytest.mark.parametrize(
    ("stride", "channels", "hidden"), [(16, 2048, []), (16, 2304, []), (32, 2304, [1152])]
)
def test_every_tensor_of_the_head_has_its_place(stride: int, channels: int, hidden: list[int]) -> None:
    features = (Feature(channels, stride),)
    part = section(channels, hidden)
    convert = get_catalog().component("deeplabcut/head", "DLCRNetHead").factory()
    config, rename = convert(part, {**ABOUT, "features": features})
    spec: Any = TypeAdapter(AnyHead).validate_python(config)
    spec.check(features, None)
    with torch.device("meta"):
        head = BuildContext(skeleton=SKELETON, features=features).build("head", spec)
    ours = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    assert {rename(name): shape for name, shape in reference_head(channels, hidden).items()} == ours
    assert head.grid == Grid(4, 2)
    assert head.limbs == tuple(map(tuple, GRAPH))
    assert spec.target_generator.width == 20
    assert spec.predictor.max_animals == 3
    for wrong in (
        "convt5.weight",
        "hm_ref_layers.5.weight",
        "paf_head.deconv_layers.1.weight",
        "other.weight",
    ):
        with pytest.raises(KeyError):
            rename(wrong)


def test_what_the_head_cannot_be_is_said_in_one_line() -> None:
    changes: list[tuple[tuple[str, ...], Any, str]] = [
        (("predictor", "type"), "HeatmapPredictor", "HeatmapPredictor cannot be imported"),
        (("predictor", "other"), 1, r"predictor\.other"),
        (("other",), 1, "other: no setting"),
        (("num_stages",), 0, "num_stages: 0"),
        (("predictor", "graph"), [[0, 7]], "does not exist"),
        (("target_generator", "type"), "HeatmapPlateauGenerator", "SequentialGenerator"),
        (("heatmap_config", "final_conv"), {"kernel_size": 1}, "heatmap_config"),
        (("paf_config",), maps([2048, 64, 20]), "same kind"),
    ]
    for path, value, message in changes:
        part = copy.deepcopy(section(2048, []))
        place = part
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(ValueError, match=message) as caught:
            paf.head(part, {**ABOUT, "features": (Feature(2048, 16),)})
        assert "\n" not in str(caught.value)


def test_pruned_limbs_are_kept_out_of_assembly() -> None:
    part = section(8, [])
    part["predictor"]["edges_to_keep"] = [9, 0, 4, 2, 1]
    config, _ = paf.head(part, {**ABOUT, "features": (Feature(8, 16),)})
    head = BuildContext(skeleton=SKELETON, features=(Feature(8, 16),)).build(
        "head", TypeAdapter(AnyHead).validate_python(config)
    )
    assert head.predictor.limbs == tuple(tuple(GRAPH[i]) for i in (0, 1, 2, 4, 9))
    with torch.inference_mode():
        found = head.decode(head([torch.randn(1, 8, 6, 6)]), Predictions.none(1, SKELETON))
    assert found.keypoints.shape[1] <= 3


@pytest.mark.parametrize("stride", [16, 32])
def test_the_backbone_has_its_size_and_names(stride: int) -> None:
    part = {"type": "DLCRNet", "model_name": "resnet50", "pretrained": True, "output_stride": stride}
    config, rename = paf.backbone(part, ABOUT)
    with torch.device("meta"):
        network = BuildContext(skeleton=SKELETON).build(
            "backbone", TypeAdapter(AnyBackbone).validate_python(config)
        )
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(27.15, abs=0.005)
    assert rename("conv_block3.1.running_var") == "conv_block3.1.running_var"
    assert rename("model.layer2.3.bn3.weight") == "backbone.model.layer2.3.bn3.weight"
    theirs = {name.removeprefix("backbone.") for name in network.state_dict()}
    assert {rename(key) for key in theirs} == set(network.state_dict())
    for key in ("model.fc.weight", "backbone.model.conv1.weight", "conv_block6.0.bias"):
        with pytest.raises(KeyError):
            rename(key)
    for wrong in ({"model_name": "resnet101"}, {"output_stride": 8}, {"other": 1}, {"drop_path_rate": 0.1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            paf.backbone({**part, **wrong}, ABOUT)


@pytest.mark.parametrize(
    ("backbone", "channels", "stride", "hidden", "millions"),
    [
        ({"type": "ResNet", "model_name": "resnet50_gn", "output_stride": 16}, 2048, 16, [], 26.72),
        ({"type": "DLCRNet", "model_name": "resnet50", "output_stride": 16}, 2304, 16, [], 30.74),
        ({"type": "DLCRNet", "model_name": "resnet50", "output_stride": 32}, 2304, 32, [1152], 34.34),
    ],
)
def test_imported_models_have_the_size_of_the_original(
    backbone: dict[str, Any], channels: int, stride: int, hidden: list[int], millions: float
) -> None:
    convert = get_catalog().component("deeplabcut/backbone", backbone["type"]).factory()
    features = (Feature(channels, stride),)
    parts = (
        TypeAdapter(AnyBackbone).validate_python(convert(backbone, ABOUT)[0]),
        TypeAdapter(AnyHead).validate_python(
            paf.head(section(channels, hidden), {**ABOUT, "features": features})[0]
        ),
    )
    context = BuildContext(skeleton=SKELETON, features=features)
    with torch.device("meta"):
        modules = [context.build(kind, part) for kind, part in zip(("backbone", "head"), parts, strict=True)]
    assert sum(p.numel() for m in modules for p in m.parameters()) / 1e6 == pytest.approx(
        millions, abs=0.0051
    )
