"""The divergence between distributions over bins."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pose_core.interfaces import BuildContext, Loss
from pose_core.specs import AnyLoss
from pose_core.structures import Skeleton


def make_loss(**config: Any) -> Loss:
    spec = TypeAdapter(AnyLoss).validate_python({"type": "rtmpose/kl", **config})
    loss: Loss = BuildContext(skeleton=Skeleton(("a",))).build("loss", spec)
    return loss


def random(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator), torch.rand(*shape, generator=generator)


def test_it_is_the_divergence_in_nats() -> None:
    output, target = random(2, 3, 50)
    weight = torch.tensor([[1.0, 1, 0], [1, 0, 0]])[..., None]
    p, q = (10 * target).softmax(-1), (10 * output).softmax(-1)
    wanted = ((p * (p / q).log()).sum(-1) * weight[..., 0]).sum() / 3
    torch.testing.assert_close(make_loss()(output, target, weight), wanted)
    assert make_loss(beta=1.0)(output, target, weight) < wanted


@given(seed=st.integers(0, 10**6), constant=st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
def test_it_is_0_for_the_target_only(seed: int, constant: float) -> None:
    output, target = random(2, 3, 40, seed=seed)
    weight = torch.ones(2, 3, 1)
    assert make_loss()(target + constant, target, weight).abs() < 1e-4
    assert make_loss()(output, target, weight) > 0.1


@given(seed=st.integers(0, 10**6), whole=st.booleans())
@settings(max_examples=20, deadline=None)
def test_what_has_weight_0_never_contributes(seed: int, whole: bool) -> None:
    output, target = random(2, 3, 30, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    weight = (torch.rand((2, 3, 1) if whole else (2, 3, 30), generator=generator) < 0.5).float()
    output.requires_grad_()
    value = make_loss()(output, target, weight)
    (gradient,) = torch.autograd.grad(value, output)
    masked = (weight == 0).expand_as(output)
    assert torch.equal(gradient[masked], torch.zeros_like(gradient[masked]))
    for nonsense in (1e3, torch.inf, torch.nan):
        changed = output.detach().masked_fill(masked, nonsense).requires_grad_()
        again = make_loss()(changed, target.masked_fill(masked, nonsense), weight)
        assert torch.equal(again, value)
        (gradient,) = torch.autograd.grad(again, changed)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("shape", [(2, 3, 40), (0, 3, 40), (2, 0, 40)])
def test_no_weight_at_all_is_0(shape: tuple[int, ...]) -> None:
    output, target = random(*shape)
    output.requires_grad_()
    value = make_loss()(output, target, torch.zeros(*shape[:2], 1))
    assert value.item() == 0
    value.backward()
    assert output.grad is not None
    assert torch.equal(output.grad, torch.zeros_like(output))


@pytest.mark.parametrize("axis", [0, 1])
def test_it_does_not_grow_with_batch_or_keypoints(axis: int) -> None:
    output, target = random(2, 3, 40)
    weight = torch.ones(2, 3, 1)
    once = make_loss()(output, target, weight)
    twice = make_loss()(*(torch.cat([t, t], dim=axis) for t in (output, target, weight)))
    torch.testing.assert_close(once, twice)


def test_beta_must_be_positive() -> None:
    with pytest.raises(ValidationError, match="beta"):
        make_loss(beta=0)
