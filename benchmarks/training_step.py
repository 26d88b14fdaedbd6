"""Where the time of a training step goes: convolutions, normalisation, the optimiser, waiting for images, the rest.

    python benchmarks/training_step.py DATA [--models unet resnet_50 ...] [--epochs 3] [--set KEY=VALUE ...]

Trains each model for a few epochs by ``pose_core.train`` with its defaults under PyTorch's profiler, and sums what each
operation took itself, in the thread that trains, within the steps after the first epoch: that one reads the images,
claims memory and chooses kernels. What workers compute (images, augmentation, targets) counts only where the step waits
for it; what lies between epochs (validation) does not count.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import yaml
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

import pose_core

MODELS = ("unet", "resnet_50", "hrnet_w18", "rtmpose_s")
GROUPS = {
    "convolutions": ("conv", "mm", "linear"),
    "normalisation": ("batch_norm", "layer_norm", "group_norm"),
    "images": ("DataLoader",),
    "optimiser": ("Optimizer", "_foreach", "_fused", "lerp"),
}
"""Parts of names of operations, in the order in which they are looked for; the rest is called by itself."""

REST = "other"


def find_group(name: str) -> str:
    """Find the group of an operation by its name."""
    return next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), REST)


def sum_steps(
    events: Iterable[FunctionEvent], epochs: int
) -> tuple[dict[str, float], float, int, Counter[str]]:
    """Sum what operations took themselves.

    Args:
        events: of the profiler.
        epochs: that were trained.

    Returns:
        microseconds by group; those of all steps by the clock; the number of steps; microseconds of each operation of
        the rest.
    """
    events = list(events)
    ends = sorted(
        (e for e in events if e.name.startswith("Optimizer.step")), key=lambda event: event.time_range.end
    )
    each, thread = len(ends) // epochs, ends[0].thread
    # From the end of one step to that of the next, within an epoch.
    spans = [
        (before.time_range.end, after.time_range.end)
        for place, (before, after) in enumerate(itertools.pairwise(ends), 1)
        if place > each and place % each
    ]
    if not spans:
        raise SystemExit(
            f"{each} steps an epoch, {epochs} epochs: too few to measure; more --epochs, or more images"
        )
    groups: dict[str, float] = dict.fromkeys((*GROUPS, REST), 0.0)
    rest: Counter[str] = Counter()
    begins = [begin for begin, _ in spans]
    for event in events:
        place = bisect.bisect_right(begins, event.time_range.start) - 1
        if event.thread != thread or place < 0 or event.time_range.end > spans[place][1]:
            continue
        group = find_group(event.name)
        groups[group] += event.self_cpu_time_total
        if group == REST:
            rest[event.name] += int(event.self_cpu_time_total)
    return groups, sum(end - begin for begin, end in spans), len(spans), rest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    settings = {
        key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in options.settings)
    }
    print(f"\n| model | ms a step | {' | '.join(GROUPS)} | {REST} | between operations |")
    print("|---|--:|" + "--:|" * (len(GROUPS) + 2))
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder, profile(activities=[ProfilerActivity.CPU]) as profiled:
            pose_core.train(
                options.data,
                model,
                out=Path(folder) / "run",
                epochs=options.epochs,
                device="cpu",
                settings=settings,
            )
        groups, total, steps, rest = sum_steps(profiled.events(), options.epochs)
        shares = [*groups.values(), total - sum(groups.values())]
        row = " | ".join(f"{100 * share / total:.0f} %" for share in shares)
        print(f"| `{model}` | {total / steps / 1000:.0f} | {row} |", flush=True)
        most = ", ".join(f"{name} {100 * spent / total:.1f} %" for name, spent in rest.most_common(6))
        print(f"    of {REST}: {most}", flush=True)


if __name__ == "__main__":
    main()
