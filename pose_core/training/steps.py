"""Decide the steps of a training by the number of its samples: how large, how fast, how many."""

from __future__ import annotations

import math
from typing import Any

from pose_core.specs import TrainSpec
from pose_core.specs.train import count_steps

STEPS = 6000
"""Steps that a training has at least."""

PASSES = 10
"""Passes over the training samples that it has at least; above 4800 samples they are more steps."""

STEPS_BETWEEN_VALIDATIONS = 100

BATCH_SIZES = ((3_000, 8), (10_000, 16))
"""Up to so many samples, so many a step."""

LARGEST_BATCH = 32


def decide_steps(spec: TrainSpec, samples: int, counted: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Decide batch size, learning rate, epochs and validations where they are ``auto``.

    Small sets keep small batches: more steps out of the same images reach further. From a few thousand
    samples on a larger batch pays: its gradient is less noisy, and a GPU hardly takes longer. The learning
    rate follows the images of a step, those of accumulated batches together: by their square root for Adam
    (Malladi et al. 2022), linearly for SGD (Goyal et al. 2017).

    Args:
        spec: as far as the user, the preset and the components decided it.
        samples: of one epoch.
        counted: what is said of their number.

    Returns:
        a partial ``train`` section, and the reason for each key of it that the samples decided.
    """
    decided: dict[str, Any] = {}
    if spec.batch_size == "auto":
        step = next((size for most, size in BATCH_SIZES if samples <= most), LARGEST_BATCH)
        batch = max(1, round(step / spec.accumulate))
        decided["batch_size"] = batch
    else:
        batch = spec.batch_size
    optimizer = spec.optimizer
    if optimizer.lr == "auto":
        factor = batch * spec.accumulate / optimizer.BASE_BATCH
        rate = optimizer.base_lr * (factor if optimizer.name == "sgd" else math.sqrt(factor))
        decided["optimizer"] = {"lr": float(f"{rate:.2g}")}
    steps_an_epoch = count_steps(samples, batch, spec.accumulate)
    if spec.epochs == "auto":
        decided["epochs"] = max(PASSES, math.ceil(STEPS / steps_an_epoch))
    why = {
        f"train.{key}": counted
        for key, name in (("batch_size", "batch_size"), ("optimizer.lr", "optimizer"), ("epochs", "epochs"))
        if name in decided
    }
    if spec.validate_every == "auto":
        # Not limited by the epochs: a run may be resumed with more of them, and must then be the same
        # otherwise.
        decided["validate_every"] = max(1, round(STEPS_BETWEEN_VALIDATIONS / steps_an_epoch))
    return decided, why
