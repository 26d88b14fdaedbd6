"""DeepLabCut's CSPNeXt under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_deeplabcut.networks.cspnext import backbone
from pydantic import TypeAdapter

from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

ABOUT = {"num_keypoints": 5, "num_unique": 0, "num_individuals": 1, "input_size": None, "multi_animal": False}


def make(**config: Any) -> Backbone:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "cspnext/cspnext", **config})
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return network


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({}, {"deepen": 0.67, "widen": 0.75, "out_features": (4,)}),
        (
            {"deepen_factor": 0.33, "widen_factor": 0.5, "arch": "P5"},
            {"deepen": 0.33, "widen": 0.5, "out_features": (4,)},
        ),
        ({"out_indices": 4}, {"deepen": 0.67, "widen": 0.75, "out_features": (4,)}),
        ({"out_indices": [2, 3]}, {"deepen": 0.67, "widen": 0.75, "out_features": (2, 3)}),
    ],
)
def test_deeplabcut_section_becomes_ours(part: dict[str, Any], expected: dict[str, Any]) -> None:
    flags = {"model_name": "cspnext_m", "pretrained": True, "freeze_bn_stats": True}
    config, rename = backbone({"type": "CSPNeXt", **flags, **part}, ABOUT)
    assert config == {"type": "cspnext/cspnext", "freeze_bn": False, **expected}
    with torch.device("meta"):
        own = make(**config).state_dict()
        everything = make(**{**config, "out_features": (4,)}).state_dict()
    renamed = {key: rename(key) for key in everything}
    assert [new for new in renamed.values() if new is not None] == list(own)
    assert all(new in (key, None) for key, new in renamed.items())
    for key in (
        "stem.0.bn.weight",
        "stage1.1.blocks.9.conv1.conv.weight",
        "stage5.0.conv.weight",
        "fc.weight",
    ):
        with pytest.raises(KeyError):
            rename(key)


@pytest.mark.parametrize(
    ("norm", "flags", "ours"),
    [
        ("SyncBN", {}, False),  # The reference does not reach synchronised norms.
        ("BN", {}, True),
        ("BN", {"freeze_bn_stats": True, "freeze_bn_weights": False}, "statistics"),
        ("BN", {"freeze_bn_stats": False, "freeze_bn_weights": False}, False),
    ],
)
def test_frozen_batch_norms_are_imported(norm: str, flags: dict[str, bool], ours: bool | str) -> None:
    assert backbone({"norm_layer": norm, **flags}, ABOUT)[0]["freeze_bn"] == ours


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"arch": "P6"}, "arch: P6 cannot be imported; P5 can"),
        ({"expand_ratio": 0.25}, "expand_ratio"),
        ({"channel_attention": False}, "channel_attention"),
        ({"activation_fn": "ReLU"}, "activation_fn"),
        ({"norm_layer": "GN"}, "norm_layer"),
        ({"norm_layer": "BN", "freeze_bn_stats": False, "freeze_bn_weights": True}, "freeze_bn_weights"),
        ({"out_indices": 0}, "out_indices"),
        ({"out_indices": [3, 2]}, "out_indices"),
        ({"widen": 0.5}, "widen: no setting of CSPNeXt"),
    ],
)
def test_what_cannot_be_imported_is_named(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        backbone({"type": "CSPNeXt", **part}, ABOUT)
    assert "\n" not in str(error.value)
