"""Losses with explicit weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext, Loss
from pose_core.specs import AnyLoss
from pose_core.structures import Skeleton

NAMES = ["mse", "bce", "huber", "smooth_l1"]


def make_loss(name: str, **config: Any) -> Loss:
    spec = TypeAdapter(AnyLoss).validate_python({"type": f"heatmap/{name}", **config})
    loss: Loss = BuildContext(skeleton=Skeleton(("a",))).build("loss", spec)
    return loss


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10**6), whole_maps=st.booleans(), foreground=st.sampled_from([1.0, 10.0]))
@settings(max_examples=20, deadline=None)
def test_what_has_weight_0_never_contributes(
    name: str, seed: int, whole_maps: bool, foreground: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss = make_loss(name, foreground=foreground) if name in ("mse", "bce") else make_loss(name)
    output = torch.randn(2, 3, 5, 6, generator=generator, requires_grad=True)
    target = torch.rand(2, 3, 5, 6, generator=generator)
    weight = (torch.rand((2, 3, 1, 1) if whole_maps else (2, 3, 5, 6), generator=generator) < 0.5).float()
    value = loss(output, target, weight)
    (gradient,) = torch.autograd.grad(value, output)
    masked = (weight == 0).expand_as(output)
    assert torch.equal(gradient[masked], torch.zeros_like(gradient[masked]))
    for nonsense in (1e3, torch.inf, torch.nan):
        changed = output.detach().masked_fill(masked, nonsense).requires_grad_()
        again = loss(changed, target, weight)
        assert torch.equal(again, value)
        (gradient,) = torch.autograd.grad(again, changed)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_weight_at_all_is_0(name: str) -> None:
    output = torch.randn(2, 3, 5, 6, requires_grad=True)
    value = make_loss(name)(output, torch.zeros(2, 3, 5, 6), torch.zeros(2, 3, 1, 1))
    assert value.item() == 0
    value.backward()
    assert torch.equal(output.grad, torch.zeros_like(output))


@pytest.mark.parametrize("name", NAMES)
def test_loss_does_not_grow_with_the_batch(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(2, 3, 5, 6, generator=generator), torch.rand(2, 3, 5, 6, generator=generator)
    weight = torch.ones(2, 3, 1, 1)
    loss = make_loss(name)
    once = loss(output, target, weight)
    torch.testing.assert_close(
        loss(output.repeat(4, 1, 1, 1), target.repeat(4, 1, 1, 1), weight.repeat(4, 1, 1, 1)), once
    )


def test_formulas() -> None:
    output = torch.tensor([[[[0.5, -1.0], [3.0, 0.0]]]])
    target = torch.tensor([[[[1.0, 0.0], [0.0, 0.5]]]])
    weight = torch.tensor([[[[1.0, 1.0], [0.0, 1.0]]]])
    errors = torch.tensor([0.25, 1.0, 0.25])
    torch.testing.assert_close(make_loss("mse")(output, target, weight), errors.mean() * 4 / 10)
    weighted = errors * torch.tensor([3.0, 1.0, 2.0])
    torch.testing.assert_close(
        make_loss("mse", foreground=3)(output, target, weight), weighted.mean() * 4 / 10 / (1 + 2 * 2 / 3)
    )
    torch.testing.assert_close(
        make_loss("huber", delta=0.75)(output, target, weight),
        torch.tensor((0.125 + 0.75 * (1.0 - 0.375) + 0.125) / 3),
    )
    torch.testing.assert_close(
        make_loss("smooth_l1", beta=0.75)(output, target, weight),
        torch.tensor((0.125 + 0.75 * (1.0 - 0.375) + 0.125) / 3 / 0.75),
    )


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_cross_entropy_is_least_at_the_target(target: float) -> None:
    logits = torch.linspace(-6, 6, 121)[:, None, None, None]
    values = torch.stack(
        [make_loss("bce")(x[None], torch.full((1, 1, 1, 1), target), torch.ones(1)) for x in logits]
    )
    assert values.min() >= 0
    best = logits[values.argmin()].sigmoid().item()
    assert abs(best - target) < 0.02
    assert values.min() < 1e-4


def test_size_of_the_image_does_not_change_the_share_of_a_blob() -> None:
    blob = torch.rand(3, 3)
    small, large = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 20, 30)
    small[..., 2:5, 2:5] = blob
    large[..., 9:12, 9:12] = blob
    for name in ("mse", "bce"):
        values = [
            make_loss(name)(torch.full_like(t, -9.0 if name == "bce" else 0.0), t, torch.ones(1))
            for t in (small, large)
        ]
        torch.testing.assert_close(values[0], values[1], rtol=0.02, atol=0)
