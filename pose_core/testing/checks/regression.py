"""Level 2: compare outputs with those that were stored earlier.

The weights are a formula of their names and places, and so is the input: neither the initialisation of layers
nor random numbers have a part in the outputs.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor, nn

from pose_core.errors import argument, command
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.harness import harness_of
from pose_core.testing.checks.targets import ComponentSubject, Summary, skip

_SAMPLES = 8
TOLERANCE = 2e-3
"""Of the stored outputs, as a fraction of the output's spread; other CPUs and versions of torch round
otherwise."""


def summarize_outputs(subject: ComponentSubject) -> dict[str, Summary]:
    """Summarize each output by shape, mean, standard deviation and some values."""
    harness = harness_of(subject)
    module = harness.build().eval()
    fill(module)
    inputs = {n: _compute_wave(t.shape, n) for n, t in harness.inputs(1).items()}
    with torch.no_grad():
        outputs = harness.run(module, inputs)
    return {name: _summarize(output.double()) for name, output in outputs.items()}


def fill(module: nn.Module) -> None:
    """Set the weights by a formula: about as large as fresh ones, norms near 1."""
    state = module.state_dict()
    learned = {n for n, _ in module.named_parameters()}
    with torch.no_grad():
        for name, tensor in state.items():
            wave = _compute_wave(tensor.shape, name).to(tensor.dtype)
            # A variance must be positive, and near 1 it keeps the signal at the size that the weights give
            # it.
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.1 * wave)
            elif name.endswith("running_mean") or (
                name in learned and tensor.dim() <= 1 and name.endswith("bias")
            ):
                tensor.copy_(0.1 * wave)
            elif name in learned and tensor.dim() <= 1:
                tensor.copy_(1 + 0.1 * wave)
            elif name in learned:
                # Scaled by the number of incoming values, as initialisations do it, so that a deep
                # network's signal neither dies nor explodes.
                tensor.copy_(wave * math.sqrt(2 * 2 / max(1, tensor[0].numel())))


def _compute_wave(shape: torch.Size, name: str) -> Tensor:
    """Values in [-1, 1] that look random: the fractional part of a large sine."""
    # In float64: the fractional part of such large numbers has too few digits left in float32.
    places = torch.arange(shape.numel(), dtype=torch.float64)
    # Not hash(): that of a string differs from process to process.
    phase = zlib.crc32(name.encode()) % 1000
    values = (torch.sin((places + 1) * 12.9898 + phase) * 43758.5453) % 1.0
    return (2 * values - 1).float().reshape(shape)


def _summarize(output: Tensor) -> Summary:
    # NaN stands for a missing box, and no mean could be compared with it.
    flat = output.nan_to_num().flatten()
    at = torch.linspace(0, max(0, len(flat) - 1), _SAMPLES).round().long()
    return {
        "shape": list(output.shape),
        "mean": _round(flat.mean()),
        "std": _round(flat.std(correction=0)),
        "values": [_round(v) for v in flat[at]],
    }


def _round(value: Tensor) -> float:
    # Six digits: more than the tolerance needs, and a file that a person can compare.
    return float(f"{float(value):.6g}")


@check(2, "backbone", "neck", "head")
def check_outputs_are_as_stored(subject: ComponentSubject) -> None:
    """With weights by formula it computes what it computed when 'pose check NAME --store FILE' was run."""
    if subject.reference is None:
        raise skip(
            "no stored outputs are given; make some with "
            f"{command('check', 'NAME', argument('store', 'FILE'))}"
        )
    stored = subject.reference.get(subject.label)
    demand(stored is not None, f"the stored outputs have none of {subject.label}; store them again")
    assert stored is not None
    found = summarize_outputs(subject)
    demand(
        set(found) == set(stored),
        f"outputs were {', '.join(sorted(stored))}, and are {', '.join(sorted(found))}",
    )
    for name, was in stored.items():
        now = found[name]
        demand(now["shape"] == was["shape"], f"{name} has shape {now['shape']}, and had {was['shape']}")
        # The mean as well: an output that is nearly constant has no spread to measure by.
        allowed = TOLERANCE * max(abs(was["std"]), abs(was["mean"]), 1e-6)
        pairs = [(now["mean"], was["mean"], "mean"), (now["std"], was["std"], "std")]
        pairs += [(a, b, "a value") for a, b in zip(now["values"], was["values"], strict=True)]
        for value, wanted, what in pairs:
            demand(abs(value - wanted) <= allowed, f"{what} of {name} is {value:.6g}, and was {wanted:.6g}")


CHECKS = (check_outputs_are_as_stored,)
