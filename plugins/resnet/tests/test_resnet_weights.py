"""Named ImageNet weights of the ResNets, and frozen batch norms."""

from __future__ import annotations

import re
from typing import Any

import pytest
import timm
import torch
from pose_resnet.weights import from_imagenet
from pydantic import TypeAdapter
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

(RECORD,) = (record for record in get_catalog().plugins if record.name == "resnet")


def make(**config: Any) -> Backbone:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "resnet/resnet", **config})
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return network


@pytest.mark.parametrize(
    ("depth", "name"),
    [(18, "resnet18"), (34, "resnet34"), (50, "resnet50_gn"), (101, "resnet101"), (152, "resnet152")],
)
def test_named_weights_fit_their_preset(depth: int, name: str) -> None:
    (spec,) = (w for w in RECORD.definitions["pose_weights"] if w.name == f"resnet_{depth}_imagenet")
    (preset,) = (p for p in RECORD.definitions["pose_backbones"] if f"resnet/{p.name}" == spec.model)
    assert get_catalog().named_weights(spec.name).converter() is from_imagenet
    assert re.fullmatch(r"[0-9a-f]{8}", spec.sha256)
    # The same release as timm names.
    assert spec.url == timm.models.get_pretrained_cfg(name).url
    assert spec.url.endswith(f"-{spec.sha256}.pth")
    with torch.device("meta"):
        published = timm.create_model(name, pretrained=False).state_dict()
        own = make(**preset.backbone).state_dict()
    converted = from_imagenet(published)
    assert {key: value.shape for key, value in converted.items()} == {
        key: value.shape for key, value in own.items()
    }


def test_statistics_alone_can_be_frozen() -> None:
    network = make(depth=18, freeze_bn="statistics").train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    network(torch.randn(2, 3, 32, 32))[0].square().sum().backward()
    for norm in norms:
        assert not norm.training
        assert not norm.running_mean.any()
        assert norm.weight.grad is not None
    assert network.model.bn1.weight.grad.any()


def test_batch_norms_stay_frozen_when_they_are_synchronised() -> None:
    network = nn.SyncBatchNorm.convert_sync_batchnorm(make(depth=18, freeze_bn=True)).train()
    norms = [m for m in network.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
