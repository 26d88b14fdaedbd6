"""When the steps of a training end, and how much memory it takes; of any program that trains with PyTorch."""

from __future__ import annotations

import itertools
import json
import resource
import time
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


class StepClock:
    """Notes the end of each step of any optimiser from now on."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        register_optimizer_step_post_hook(self._note)

    def _note(self, optimizer: Optimizer, *_: Any) -> None:
        self._ends.append(time.perf_counter())

    def answer(self, epochs: int) -> str:
        """A line: milliseconds from the end of a step to that of the next, without the first epoch; MB of memory."""
        each, rest = divmod(len(self._ends), epochs)
        assert not rest, f"{len(self._ends)} steps in {epochs} epochs"
        milliseconds = [
            1000 * (after - before)
            for place, (before, after) in enumerate(itertools.pairwise(self._ends), 1)
            if place > each and place % each
        ]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        return "@@ " + json.dumps({"milliseconds": milliseconds, "peak_mb": peak})
