"""Level 1: losses by themselves, with an output, a target and weights that they take."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Loss
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.examples import SKELETON
from pose_core.testing.checks.targets import ComponentSubject

_SHAPES = ((4, 3, 8, 8), (4, 3, 32))
"""Of outputs that losses are tried with: maps, and distributions over bins."""


@dataclass(frozen=True)
class _LossHarness:
    """A loss with an output and a target that it takes: in [0, 1], adding up to 1 where a distribution
    would."""

    module: Loss
    output: Tensor
    target: Tensor
    weight: Tensor

    def __call__(self, output: Tensor, weight: Tensor) -> Tensor:
        value: Tensor = self.module(output, self.target, weight)
        return value


def _build_loss(subject: ComponentSubject) -> _LossHarness:
    torch.manual_seed(0)
    module: Loss = BuildContext(SKELETON).build("loss", subject.config)
    refusal = ""
    for shape in _SHAPES:
        generator = torch.Generator().manual_seed(3)
        output = torch.rand(shape, generator=generator)
        # Adds up to 1 along the axis of bins, or of a map's channels: valid as a distribution and as a
        # heatmap.
        target = torch.rand(shape, generator=generator).softmax(1 if len(shape) == 4 else -1)
        one = (shape[0], 1, *shape[2:]) if len(shape) == 4 else (*shape[:2], 1)
        # Losses of maps weigh every cell, those of distributions each keypoint: what fits is found by
        # trying.
        for weight in (torch.ones(shape), torch.ones(one)):
            try:
                value = module(output, target, weight)
            except (RuntimeError, ValueError, IndexError) as error:
                refusal = str(error)
                continue
            demand(isinstance(value, Tensor) and value.dim() == 0, "forward must return a scalar tensor")
            return _LossHarness(module, output, target, weight)
    raise AssertionError(f"forward takes neither maps {_SHAPES[0]} nor bins {_SHAPES[1]}: {refusal}")


@check(1, "loss")
def check_loss_leaves_out_weight_zero(subject: ComponentSubject) -> None:
    """What has weight 0 does not change the loss, and has no gradient; multiply by the weight last."""
    loss = _build_loss(subject)
    weight = loss.weight.clone()
    weight[0] = 0.0
    other = loss.output.clone()
    # Inside (0, 1), as losses of probabilities need.
    other[0] = torch.linspace(0.9, 0.1, other[0].numel()).reshape(other[0].shape)
    other.requires_grad_()
    value = loss(other, weight)
    demand(torch.allclose(value, loss(loss.output, weight)), "an output of weight 0 changes the loss")
    torch.autograd.backward(value)
    assert other.grad is not None
    demand(torch.isfinite(other.grad).all(), "the gradient is not finite")
    demand(not other.grad[0].any(), "an output of weight 0 has a gradient")
    demand(other.grad[1].any(), "an output of weight 1 has no gradient")


@check(1, "loss")
def check_loss_of_nothing_is_zero(subject: ComponentSubject) -> None:
    """Where all weights are 0 the loss is 0, not NaN; divide by at least 1."""
    loss = _build_loss(subject)
    value = loss(loss.output, torch.zeros_like(loss.weight))
    demand(float(value) == 0.0, f"the loss is {float(value)}, not 0, where all weights are 0")


@check(1, "loss")
def check_loss_does_not_grow_with_the_batch(subject: ComponentSubject) -> None:
    """A batch of the same images twice has the same loss; normalise by the batch."""
    loss = _build_loss(subject)
    once = loss(loss.output, loss.weight)
    # Each image beside its copy, so that a loss over the whole batch and one by image both see it twice.
    doubled = (t.repeat_interleave(2, 0) for t in (loss.output, loss.target, loss.weight))
    twice = loss.module(*doubled)
    demand(
        torch.allclose(once, twice, rtol=1e-3),
        f"the loss is {float(once):.4g}, and {float(twice):.4g} of twice the batch",
    )


CHECKS = (
    check_loss_leaves_out_weight_zero,
    check_loss_of_nothing_is_zero,
    check_loss_does_not_grow_with_the_batch,
)
