"""The multi-scale ResNet learns everywhere, and the presets have their size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_paf.dlcrnet import DLCRNet
from pose_paf.dlcrnet_config import DLCRNetConfig
from pydantic import ValidationError

from pose_core.interfaces import BuildContext
from pose_core.model.build import build_model
from pose_core.specs.resolve import Layer, choose_model, resolve
from pose_core.structures import Skeleton

CONTEXT = BuildContext(skeleton=Skeleton(("any",)))


def spec_of(stride: int = 16, depth: int = 50, **config: object) -> DLCRNetConfig:
    resnet = {"type": "resnet/resnet", "depth": depth, "output_stride": stride, "pretrained": False}
    return DLCRNetConfig.model_validate({"type": "paf/dlcrnet", "backbone": resnet, **config})


def make(**config: Any) -> DLCRNet:
    torch.manual_seed(0)
    return DLCRNet(spec_of(**config), CONTEXT)


@pytest.mark.parametrize("stride", [16, 32])
@pytest.mark.parametrize("alignment", ["exact", "resized"])
def test_features_are_as_declared(stride: int, alignment: str) -> None:
    network = make(stride=stride, alignment=alignment).eval()
    with torch.inference_mode():
        (feature,) = network(torch.zeros(1, 3, 64, 96))
    (declared,) = spec_of(stride).features()
    assert feature.shape == (1, declared.channels, 64 // stride, 96 // stride)
    assert declared.stride == stride


def test_gradients_reach_the_early_stages_through_the_banks() -> None:
    network = make()
    (feature,) = network(torch.randn(2, 3, 64, 64))
    # The first 128 channels are the bank of the first stage, the next ones that of the second one.
    for bank, stage in (
        (feature[:, :128], network.backbone.model.layer1),
        (feature[:, 128:256], network.backbone.model.layer2),
    ):
        weight = stage[0].downsample[0].weight
        (gradient,) = torch.autograd.grad(bank.square().sum(), weight, retain_graph=True)
        assert gradient.abs().sum() > 0


def test_batch_norms_learn_unless_they_are_frozen() -> None:
    network = make().train()
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) > 50
    assert all(m.training and m.weight.requires_grad for m in norms)
    for freeze, learns in (("statistics", True), (True, False)):
        frozen = [m for m in make(freeze_bn=freeze).train().modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert not any(m.training for m in frozen)
        assert all(m.weight.requires_grad == learns for m in frozen)


@pytest.mark.parametrize(
    ("name", "millions"), [("dlcrnet_stride16_ms5", 30.74), ("dlcrnet_stride32_ms5", 34.34)]
)
def test_presets_have_the_size_of_the_reference(name: str, millions: float) -> None:
    data = Layer({"skeleton": {"keypoints": list("abcde")}, "data": {"source": "nowhere"}})
    with torch.device("meta"):
        network = build_model(resolve(choose_model(name, multi_animal=True), data, []))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.0051)
    assert sum(p.numel() for p in network.backbone.parameters()) / 1e6 == pytest.approx(27.15, abs=0.0051)


def test_the_early_maps_are_those_of_the_resnet_within() -> None:
    network = make(depth=34).eval()
    resnet: Any = network.backbone
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        x = resnet.model.maxpool(resnet.model.act1(resnet.model.bn1(resnet.model.conv1(images))))
        first = resnet.model.layer1(x)
        second = resnet.model.layer2[:3](first)
        bank = network.conv_block2(network.conv_block1(second))
        (found,) = network(images)
    assert torch.equal(found[:, 128:256], bank)
    assert torch.equal(found[:, 256:], resnet(images)[0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"backbone": {"type": "unet/unet"}}, "must put out one feature map, of stride 16 or 32"),
        ({"backbone": {"type": "resnet/resnet", "output_stride": 8}}, "must put out one feature map"),
        (
            {"backbone": {"type": "resnet/resnet", "depth": 18}},
            "no insert point stage2_block3 with one map of stride 8",
        ),
        (
            {"early": ("stage2", "stage1")},
            "no insert point stage2 with one map of stride 4; such are stage1_block1",
        ),
    ],
)
def test_what_does_not_fit_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec_of(**config)
