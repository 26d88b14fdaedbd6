"""How long coordinate classification takes to encode labels and to decode outputs: medians, beside the budget.

    python benchmarks/simcc.py [--threads 2] [--device cpu] [--json]

The numbers mean something on an idle machine only; the ratios to a plain softmax of the same outputs mean something on
any.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Predictions
from pose_core.specs import AnyPredictor, AnyTargetGenerator
from pose_core.structures import Skeleton

BUDGET_MS = 10.0
BATCH, KEYPOINTS, SIZE, SPLIT_RATIO = 8, 12, 256, 2
WARM_UP = 100
"""Calls before the measured ones. The first ones wait for memory from the operating system; in training it is there."""


def make_labels(missing: float = 0.1, seed: int = 0, device: str = "cpu") -> Labels:
    """Random labels of one animal an image, a fraction of the keypoints unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    shape = (BATCH, 1, KEYPOINTS)
    keypoints = torch.rand(*shape, 2, generator=generator) * (SIZE - 1)
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels(
        keypoints=keypoints,
        occluded=torch.zeros(shape, dtype=torch.bool),
        boxes=torch.full((*shape[:2], 4), torch.nan),
        areas=torch.full(shape[:2], torch.nan),
        identity=torch.full(shape[:2], -1),
        unique_keypoints=torch.zeros(BATCH, 0, 2),
    ).to(device)


def make_cases(device: str) -> dict[str, Callable[[], object]]:
    """What is measured, by name; ``softmax`` is what the others are compared with."""
    skeleton = Skeleton(tuple(f"keypoint{i}" for i in range(KEYPOINTS)))
    context, grid = BuildContext(skeleton=skeleton), Grid.cells(1 / SPLIT_RATIO)
    config = TypeAdapter(AnyTargetGenerator).validate_python({"type": "rtmpose/simcc"})
    targets = context.build("target_generator", config, grid)
    labels = make_labels(device=device)
    bins = SIZE * SPLIT_RATIO
    shapes = {axis: torch.zeros(BATCH, KEYPOINTS, bins, device=device) for axis in ("x", "y")}
    generator = torch.Generator().manual_seed(0)
    # What a network puts out: nearly its targets.
    outputs: dict[str, Tensor] = {
        axis: target.value + 0.02 * torch.randn(target.value.shape, generator=generator).to(device)
        for axis, target in targets(labels, shapes).items()
    }
    found = Predictions.none(BATCH, skeleton, device)

    def decode(how: str) -> Callable[[], object]:
        predictor = context.build(
            "predictor", TypeAdapter(AnyPredictor).validate_python({"type": "rtmpose/simcc", "decode": how}), grid
        )
        return lambda: predictor(outputs, found)

    return {
        "softmax": lambda: [output.softmax(-1) for output in outputs.values()],
        "targets": lambda: targets(labels, shapes),
        "decode: fit": decode("fit"),
        "decode: argmax": decode("argmax"),
    }


def measure(call: Callable[[], object], repetitions: int, device: str) -> tuple[float, float]:
    """Median and least milliseconds of one call."""
    seconds = []
    for repetition in range(WARM_UP + repetitions):
        start = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if repetition >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds), 1e3 * min(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cases and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        results = {
            name: measure(call, options.repetitions, options.device)
            for name, call in make_cases(options.device).items()
        }
    if options.json:
        rows = [
            {"case": name, "median_ms": round(ms, 3), "least_ms": round(least, 3)}
            for name, (ms, least) in results.items()
        ]
        print(json.dumps(rows, indent=2))
        return
    print(f"{BATCH} images of {SIZE} x {SIZE} pixels, {KEYPOINTS} keypoints, {SPLIT_RATIO} bins a pixel")
    for name, (ms, least) in results.items():
        verdict = "within" if ms <= BUDGET_MS else "over"
        print(
            f"{name:16} median {ms:6.2f} ms, least {least:6.2f} ms, {ms / results['softmax'][0]:5.1f} x softmax: "
            f"{verdict} the budget of {BUDGET_MS:g} ms"
        )


if __name__ == "__main__":
    main()
