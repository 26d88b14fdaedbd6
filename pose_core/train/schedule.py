"""Learning rate as a function of how far training has come."""

from __future__ import annotations

import math

from pose_core.specs import ScheduleSpec


def learning_rate_factor(schedule: ScheduleSpec, progress: float) -> float:
    """Fraction of the highest learning rate.

    Args:
        schedule: warm-up, then constant or a half cosine (Loshchilov and Hutter, 2017) down to ``final``.
        progress: 0 at the start, 1 at the end of training.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < schedule.warmup:
        # not from zero: the first step should already move
        return 0.01 + 0.99 * progress / schedule.warmup
    if schedule.name == "constant":
        return 1.0
    done = (progress - schedule.warmup) / (1.0 - schedule.warmup)
    return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * done))
