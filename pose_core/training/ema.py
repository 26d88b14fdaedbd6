"""Exponential moving average of weights."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move ``average`` towards ``model``: parameters and floating-point buffers (batch-norm statistics).

    Args:
        average: a copy of the model.
        model: the trained model.
        decay: of the average; smaller during the first steps, so that the start is forgotten quickly.
        step: steps taken so far, from 1.
    """
    # The warm-up of TensorFlow's ExponentialMovingAverage.
    decay = min(decay, (1 + step) / (10 + step))
    ours = [*average.parameters(), *average.buffers()]
    theirs = [*model.parameters(), *model.buffers()]
    floats = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b.detach() for _, b in floats], 1.0 - decay)
    # Counters (batches that batch normalisation saw) are integers, of which no average can be kept.
    for a, b in zip(ours, theirs, strict=True):
        if not a.is_floating_point():
            a.copy_(b)
