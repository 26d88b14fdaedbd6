"""Measure a training step, and tell from it what a training takes on this machine."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import torch

from pose_core.data.batches import collate
from pose_core.model.build import build_model
from pose_core.model.device import choose_device
from pose_core.specs import AnyRunSpec
from pose_core.training.prepared import Prepared
from pose_core.training.task import TASKS

USABLE_STEPS = 600
"""Steps after which small networks found the keypoints of real projects to a few pixels; see
docs/measurements.md."""

# One step tells enough where a second one would keep the user waiting.
_PATIENCE = 1.0


@dataclass(frozen=True)
class TrainingEstimate:
    """What the training of a network takes on this machine.

    Attributes:
        device: kind of device, ``cpu``, ``cuda`` or ``mps``.
        step_seconds: of one step, with reading and augmenting its images.
        steps: of the whole schedule.
        memory: bytes at the peak of a step: of the device, or of this process on the CPU; None where the
            system does not say.
    """

    device: str
    step_seconds: float
    steps: int
    memory: int | None

    @property
    def usable_seconds(self) -> float:
        """Time to a first usable model."""
        return self.step_seconds * min(self.steps, USABLE_STEPS)

    @property
    def seconds(self) -> float:
        """Time of the whole schedule."""
        return self.step_seconds * self.steps


def estimate_training(prepared: Prepared[AnyRunSpec]) -> TrainingEstimate:
    """Take a training step or two with random weights, and measure them.

    Args:
        prepared: the training.

    Raises:
        ConfigError: the device is not available.
        DataError: an image cannot be read.
    """
    spec = prepared.spec
    train = spec.train.decided()
    device = choose_device(spec.train.device)
    task = TASKS[spec.trains](prepared)
    network = build_model(spec, pretrained=False).to(device).train()
    samples = task.samples(prepared.split.train, augment=True)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        rows = [i % len(samples) for i in range(train.batch_size)]
        batch = collate([samples[row] for row in rows]).to(device)
        torch.autograd.backward(torch.stack(list(task.losses(network, batch).values())).sum())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        # The second one, if there is one: the first also pays for what is set up once.
        seconds = time.perf_counter() - start
        if seconds > _PATIENCE:
            break
    steps = train.count_steps(len(samples)) * train.epochs
    # A step is as many batches as are accumulated.
    return TrainingEstimate(device.type, seconds * train.accumulate, steps, _peak_memory(device))


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else peak * 1024
