"""How long conditions of BUCTD take: medians, beside the budget of the project.

    python benchmarks/conditions.py [--threads 1] [--repetitions 30] [--json]

A batch of 8 crops of 256 x 256 pixels and 12 keypoints: drawing poses, by keypoint and in colours, exactly and as
imported networks need it; drawing erroneous poses from labels of 3 animals; and both together, as a training step does.
The numbers mean something on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext, Labels
from pose_core.specs import AnyInput
from pose_core.structures import Skeleton
from pose_core.training.memory import keep_freed_memory

BUDGET_MS = 15.0
BATCH, ANIMALS, KEYPOINTS, SIZE = 8, 3, 12, (256, 256)
WARM_UP = 30
"""Calls before the measured ones. The first ones wait for memory from the operating system; in training it is there."""


def make_input(**config: Any) -> Any:
    """The input of a network for 12 keypoints, 5 of them in pairs."""
    names = tuple(f"keypoint{i}" for i in range(KEYPOINTS))
    skeleton = Skeleton(names, symmetry=tuple((names[i], names[i + 1]) for i in range(0, 10, 2)))
    spec = TypeAdapter(AnyInput).validate_python({"type": "buctd/conditions", **config})
    return BuildContext(skeleton=skeleton).build("input", spec)


def make_labels() -> Labels:
    """Random labels, a tenth of them missing."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, ANIMALS, KEYPOINTS)
    keypoints = torch.rand(*shape, 2, generator=generator) * 255
    keypoints[torch.rand(shape, generator=generator) < 0.1] = torch.nan
    return Labels(
        keypoints=keypoints,
        occluded=torch.zeros(shape, dtype=torch.bool),
        boxes=torch.full((*shape[:2], 4), torch.nan),
        areas=torch.full(shape[:2], 128.0**2),
        identity=torch.full(shape[:2], -1),
        unique_keypoints=torch.zeros(BATCH, 0, 2),
    )


def measure(work: Callable[[], object], repetitions: int) -> tuple[float, float]:
    """Median and least milliseconds."""
    seconds = []
    for repetition in range(WARM_UP + repetitions):
        start = time.perf_counter()
        work()
        if repetition >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds), 1e3 * min(seconds)


def row(what: str, work: Callable[[], object], repetitions: int, budget: float | None = None) -> dict[str, Any]:
    """One measurement."""
    median, least = measure(work, repetitions)
    return {"what": what, "median_ms": round(median, 3), "least_ms": round(least, 3), "budget_ms": budget}


def rows(repetitions: int) -> list[dict[str, Any]]:
    """All measurements."""
    labels = make_labels()
    poses = labels.keypoints[:, 0]
    found = []
    for what, config in (
        ("drawn, a map a keypoint", {}),
        ("drawn, in colours", {"encoding": "coloured"}),
        ("drawn, a map a keypoint, as imported", {"rendering": "deeplabcut", "peak": 255.0}),
        ("drawn, in colours, as imported", {"rendering": "deeplabcut", "peak": 255.0, "encoding": "coloured"}),
    ):
        part = make_input(**config)
        found.append(row(what, lambda part=part: part.render(poses, SIZE), repetitions, BUDGET_MS))  # type: ignore[misc]
    part = make_input()
    found.append(row("errors", lambda: part.sample(labels, SIZE), repetitions))
    found.append(row("errors and drawn", lambda: part.for_training(labels, SIZE), repetitions, BUDGET_MS))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every training does
    with torch.inference_mode():
        found = rows(options.repetitions)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for each in found:
        budget = each["budget_ms"]
        verdict = "" if budget is None else f", {'within' if each['median_ms'] <= budget else 'over'} {budget:g} ms"
        print(f"{each['what']:40} median {each['median_ms']:7.2f} ms, least {each['least_ms']:7.2f} ms{verdict}")


if __name__ == "__main__":
    main()
