"""DeepLabCut's ResNet under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_deeplabcut.networks.resnet import backbone
from pydantic import TypeAdapter

from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

ABOUT = {"num_keypoints": 5, "num_unique": 0, "num_individuals": 1, "input_size": None, "multi_animal": False}


def make(**config: Any) -> Backbone:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "resnet/resnet", **config})
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return network


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {
                "model_name": "resnet50_gn",
                "output_stride": 16,
                "freeze_bn_stats": False,
                "freeze_bn_weights": False,
            },
            {"depth": 50, "norm": "group", "output_stride": 16, "freeze_bn": False},
        ),
        (
            {"model_name": "resnet50_gn"},
            {"depth": 50, "norm": "group", "output_stride": 32, "freeze_bn": False},
        ),
        (
            {
                "model_name": "resnet101",
                "output_stride": 16,
                "freeze_bn_stats": False,
                "freeze_bn_weights": False,
            },
            {"depth": 101, "norm": "batch", "output_stride": 16, "freeze_bn": False},
        ),
        (
            {"model_name": "resnet18", "freeze_bn_weights": False, "drop_path_rate": 0.0},
            {"depth": 18, "norm": "batch", "output_stride": 32, "freeze_bn": "statistics"},
        ),
        ({}, {"depth": 50, "norm": "batch", "output_stride": 32, "freeze_bn": True}),
    ],
)
def test_deeplabcut_section_becomes_ours(part: dict[str, Any], expected: dict[str, Any]) -> None:
    config, rename = backbone({"type": "ResNet", **part}, ABOUT)
    assert config == {"type": "resnet/resnet", "pretrained": False, **expected}
    with torch.device("meta"):
        own = make(**config).state_dict()
    assert [rename(key) for key in own] == list(own)
    for key in ("model.fc.weight", "conv1.weight", "conv_block1.0.weight"):
        with pytest.raises(KeyError):
            rename(key)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model_name": "resnet50d"}, "model_name: resnet50d cannot be imported"),
        ({"output_stride": 4}, "output_stride"),
        ({"drop_path_rate": 0.1}, "drop_path_rate: 0.1 cannot be imported; set it to 0"),
        ({"freeze_bn_stats": False, "freeze_bn_weights": True}, "freeze_bn_weights"),
        ({"depth": 50}, "depth: no setting of ResNet"),
    ],
)
def test_what_cannot_be_imported_is_named(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        backbone({"type": "ResNet", **part}, ABOUT)
    assert "\n" not in str(error.value)
