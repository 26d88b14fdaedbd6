"""The DEKR head: outputs, configuration, keypoint axes, export."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from pose_dekr.config import DekrHeadConfig
from pose_dekr.layers import OffsetBranch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.interfaces import BuildContext, Head, Labels
from pose_core.specs import AnyHead, Feature, ModelSpec
from pose_core.structures import Skeleton

NAN = math.nan
FEATURE = Feature(30, 4)


def make_head(k: int = 3, features: tuple[Feature, ...] = (FEATURE,), **config: Any) -> Head:
    spec = TypeAdapter(AnyHead).validate_python({"type": "dekr/dekr", "heatmap_channels": 8, **config})
    assert isinstance(spec, DekrHeadConfig)
    spec.check(features, None)
    skeleton = Skeleton(tuple(f"k{i}" for i in range(k)), individuals=("a", "b"))
    head: Head = BuildContext(skeleton=skeleton, features=features).build("head", spec)
    return head


def labels(batch: int = 2, k: int = 3) -> Labels:
    points = torch.rand(batch, 2, k, 2, generator=torch.Generator().manual_seed(0)) * 40
    return Labels.from_keypoints(points)


@pytest.mark.parametrize("deform", ["torch", "torchvision"])
def test_everything_learns(deform: str) -> None:
    torch.manual_seed(0)
    head = make_head(deform=deform)
    outputs = head([torch.randn(2, 30, 10, 12)])
    assert outputs["heatmap"].shape == (2, 4, 10, 12)
    assert outputs["offset"].shape == (2, 6, 10, 12)
    losses = head.loss(outputs, labels())
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_losses_do_not_grow_with_the_batch_and_vanish_without_labels() -> None:
    torch.manual_seed(0)
    head = make_head().eval()
    one = labels(1)
    many = Labels.cat([one] * 5)
    feature = torch.randn(1, 30, 10, 12)
    few, more = head.loss(head([feature]), one), head.loss(head([feature.repeat(5, 1, 1, 1)]), many)
    for name in few:
        torch.testing.assert_close(few[name], more[name], rtol=1e-4, atol=1e-6)
    nothing = copy.copy(one)
    object.__setattr__(nothing, "keypoints", torch.full_like(one.keypoints, NAN))
    assert head.loss(head([feature]), nothing)["offset"] == 0


def test_logits_are_known_as_such() -> None:
    head = make_head(losses={"heatmap": {"type": "heatmap/bce"}})
    assert head.predictor.sigmoid is True
    value = head([torch.zeros(1, 30, 4, 4)])["heatmap"].sigmoid()
    assert value.mean().item() == pytest.approx(0.01, rel=0.1)
    assert make_head().predictor.sigmoid is False


@pytest.mark.parametrize(
    ("config", "features", "message"),
    [
        ({"feature": 2}, (FEATURE, FEATURE), "feature: there is no feature map 2"),
        ({}, (Feature(30, 4, tokens=True),), "feature: 0 holds keypoint tokens"),
        (
            {"target_generator": {"type": "dekr/dekr", "sigma": 1}},
            (FEATURE,),
            "target_generator.sigma: 1 is too small",
        ),
        (
            {"losses": {"locref": {"type": "heatmap/mse"}}},
            (FEATURE,),
            "no output locref; its outputs are heatmap, off",
        ),
        ({"deform": "tv"}, (FEATURE,), "'torch' or 'torchvision'"),
    ],
)
def test_what_cannot_be_is_refused(
    config: dict[str, Any], features: tuple[Feature, ...], message: str
) -> None:
    with pytest.raises((ValidationError, ValueError), match=message):
        make_head(features=features, **config)


def test_a_permutation_of_the_keypoints_permutes_the_outputs() -> None:
    torch.manual_seed(0)
    head, other = make_head().eval(), make_head().eval()
    randomise(head)
    order = torch.tensor([2, 0, 1])
    state = head.state_dict()
    for name, (axis,) in head.keypoint_axes().items():
        values = len(axis.entries) // 3
        rows = (order[:, None] * values + torch.arange(values)).flatten()
        assert state[name].shape[axis.axis] == len(rows) == len(axis.entries)
        state[name] = state[name].index_select(axis.axis, rows)
    other.load_state_dict(state)
    feature = torch.randn(1, 30, 6, 7)
    one, two = head([feature]), other([feature])
    torch.testing.assert_close(two["heatmap"], one["heatmap"][:, [2, 0, 1, 3]], rtol=1e-4, atol=1e-5)
    expected = one["offset"].view(1, 3, 2, 6, 7)[:, order].flatten(1, 2)
    torch.testing.assert_close(two["offset"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_exports_without_torchvision() -> None:
    branch = OffsetBranch(12, 3, 5, 2, "torch").eval()
    sample = torch.randn(1, 12, 6, 8)
    program = torch.export.export(branch, (sample,))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert any("grid_sampler" in name for name in called)
    assert not any("torchvision" in name for name in called)
    torch.testing.assert_close(program.module()(sample), branch(sample))


def test_the_head_has_the_reference_size() -> None:
    head = make_head(5, (Feature(270, 4),), heatmap_channels=18)
    assert sum(p.numel() for p in head.parameters()) == 60184


@pytest.mark.slow
@pytest.mark.parametrize(("width", "millions"), [(18, 9.62), (32, 29.40), (48, 65.48)])
def test_presets_have_the_reference_size(width: int, millions: float) -> None:
    (preset,) = get_catalog().model(f"dekr_w{width}", "bottom_up")
    model = preset.spec()["model"]
    skeleton = Skeleton(tuple("abcde"), individuals=("x", "y", "z"))
    spec = ModelSpec.model_validate({**model, "method": "bottom_up", "preprocess": {"scale": 1.0}})
    with torch.device("meta"):
        backbone = BuildContext(skeleton=skeleton).build("backbone", spec.backbone)
        context = BuildContext(skeleton=skeleton, features=spec.backbone.features())
        head = context.build("head", spec.heads["keypoints"])
    count = sum(p.numel() for part in (backbone, head) for p in part.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.0051)


def randomise(module: nn.Module) -> None:
    """Values that let a signal through every part, taps that are a little off."""
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        fan = math.prod(tensor.shape[1:]) if tensor.dim() > 1 else 1
        tensor.normal_(std=fan**-0.5 if tensor.dim() > 1 else 0.2)
        if (
            name.endswith(("running_var", "bn.weight", "1.weight", "bn1.weight", "bn2.weight"))
            and tensor.dim() == 1
        ):
            tensor.abs_().add_(0.5)
