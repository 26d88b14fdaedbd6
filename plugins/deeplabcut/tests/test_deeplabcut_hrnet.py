"""DeepLabCut's HRNet under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_deeplabcut.networks.hrnet import backbone
from pydantic import TypeAdapter

from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

ABOUT = {"num_keypoints": 5, "num_unique": 0, "num_individuals": 1, "input_size": None, "multi_animal": False}


def make(**config: Any) -> Backbone:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "hrnet/hrnet", **config})
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return network


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"model_name": "hrnet_w18"}, {"width": 18, "branches": "first"}),
        ({}, {"width": 32, "branches": "first"}),
        ({"interpolate_branches": True}, {"width": 32, "branches": "concatenated"}),
        (
            {"model_name": "hrnet_w48", "increased_channel_count": True},
            {"width": 48, "branches": "incremental"},
        ),
    ],
)
def test_deeplabcut_section_becomes_ours(part: dict[str, Any], expected: dict[str, Any]) -> None:
    flags = {"freeze_bn_stats": True, "freeze_bn_weights": False, "pretrained": True}
    config, rename = backbone({"type": "HRNet", **flags, **part}, ABOUT)
    assert config == {"type": "hrnet/hrnet", "pretrained": False, "freeze_bn": "statistics", **expected}
    with torch.device("meta"):
        own = make(**config).state_dict()
    assert [rename(key) for key in own] == list(own)
    for key in ("model.fc.weight", "conv1.weight", "model.stage4.3.fuse_layers.0.1.0.weight"):
        with pytest.raises(KeyError):
            rename(key)


@pytest.mark.parametrize(
    ("statistics", "weights", "ours"),
    [
        (True, True, True),
        (True, False, "statistics"),
        (False, False, False),
        (None, None, True),
        (None, False, "statistics"),
    ],
)
def test_frozen_batch_norms_are_imported(
    statistics: bool | None, weights: bool | None, ours: bool | str
) -> None:
    flags = {"freeze_bn_stats": statistics, "freeze_bn_weights": weights}
    part = {"model_name": "hrnet_w18", **{key: value for key, value in flags.items() if value is not None}}
    assert backbone(part, ABOUT)[0]["freeze_bn"] == ours


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model_name": "hrnet_w64"}, "model_name: hrnet_w64 cannot be imported"),
        ({"stride": 8}, "stride"),
        ({"interpolate_branches": True, "increased_channel_count": True}, "interpolate_branches"),
        ({"freeze_bn_stats": False, "freeze_bn_weights": True}, "freeze_bn_weights"),
        ({"branch": 2}, "branch: no setting of HRNet"),
    ],
)
def test_what_cannot_be_imported_is_named(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        backbone({"type": "HRNet", **part}, ABOUT)
    assert "\n" not in str(error.value)
