"""How long it takes to make training targets and to decode heatmaps: medians, beside the budget of the project.

    python benchmarks/target_generation.py [--threads 2] [--device cpu] [--json]

The numbers mean something on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext, Grid, Labels, Predictions, TargetGenerator
from pose_core.specs import AnyPredictor, AnyTargetGenerator
from pose_core.structures import Skeleton
from pose_core.training.memory import keep_freed_memory

BUDGET_MS = 10.0


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        generator: name of the target generator.
        animals: in every image.
        batch, keypoints: B and K.
        cells: height and width of the maps.
        stride: pixels a cell.
    """

    generator: str
    animals: int
    batch: int = 8
    keypoints: int = 12
    cells: int = 112
    stride: int = 4


CASES = tuple(Case(generator, animals) for generator in ("heatmap/gaussian", "heatmap/plateau") for animals in (1, 3))


def make_labels(case: Case, missing: float = 0.1, seed: int = 0, device: str = "cpu") -> Labels:
    """Random labels, a fraction of the keypoints unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    shape = (case.batch, case.animals, case.keypoints)
    keypoints = torch.rand(*shape, 2, generator=generator) * (case.cells * case.stride)
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels(
        keypoints=keypoints,
        occluded=torch.zeros(shape, dtype=torch.bool),
        boxes=torch.full((*shape[:2], 4), torch.nan),
        areas=torch.full(shape[:2], torch.nan),
        identity=torch.full(shape[:2], -1),
        unique_keypoints=torch.zeros(case.batch, 0, 2),
    ).to(device)


WARM_UP = 200
"""Calls before the measured ones. The first ones wait for memory from the operating system; in training it is there."""


def measure(case: Case, repetitions: int = 50, device: str = "cpu") -> tuple[float, float]:
    """Median and least milliseconds of one batch of heatmap and location refinement targets."""
    skeleton = Skeleton(tuple(f"keypoint{i}" for i in range(case.keypoints)))
    config = TypeAdapter(AnyTargetGenerator).validate_python({"type": case.generator})
    generator: TargetGenerator = BuildContext(skeleton=skeleton).build(
        "target_generator", config, Grid.cells(case.stride)
    )
    outputs = {
        name: torch.zeros(case.batch, channels, case.cells, case.cells, device=device)
        for name, channels in (("heatmap", case.keypoints), ("locref", 2 * case.keypoints))
    }
    labels = make_labels(case, device=device)
    seconds = []
    for repetition in range(WARM_UP + repetitions):
        start = time.perf_counter()
        generator(labels, outputs)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if repetition >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds), 1e3 * min(seconds)


def measure_decoding(case: Case, repetitions: int, device: str) -> tuple[float, float]:
    """Median and least milliseconds of reading one animal from heatmaps with location refinement."""
    torch.manual_seed(0)
    skeleton = Skeleton(tuple(f"k{i}" for i in range(case.keypoints)))
    config = TypeAdapter(AnyPredictor).validate_python({"type": case.generator, "sigmoid": False})
    predictor = BuildContext(skeleton).build("predictor", config, Grid.cells(case.stride))
    shape = (case.batch, case.keypoints, case.cells, case.cells)
    outputs = {
        "heatmap": torch.rand(shape, device=device),
        "locref": torch.randn(case.batch, 2 * case.keypoints, *shape[2:], device=device),
    }
    nothing = Predictions.none(case.batch, skeleton, device)
    times = []
    for _ in range(repetitions + 3):
        start = time.perf_counter()
        predictor(outputs, nothing)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[3:]), min(times[3:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cases and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every training does
    results = [(case, *measure(case, options.repetitions, options.device)) for case in CASES]
    decoders = [Case("heatmap/argmax", 1), Case("heatmap/subpixel", 1)]
    results += [(case, *measure_decoding(case, options.repetitions, options.device)) for case in decoders]
    if options.json:
        rows = [{**asdict(case), "median_ms": round(ms, 3), "least_ms": round(least, 3)} for case, ms, least in results]
        print(json.dumps(rows, indent=2))
        return
    first = CASES[0]
    print(f"targets of {first.batch} images, {first.keypoints} keypoints, {first.cells} x {first.cells} cells")
    for case, ms, least in results:
        verdict = "within" if ms <= BUDGET_MS else "over"
        animals = f"{case.animals} animal" + "s" * (case.animals > 1)
        print(
            f"{case.generator:18} {animals:10} median {ms:6.2f} ms, least {least:6.2f} ms: "
            f"{verdict} the budget of {BUDGET_MS:g} ms"
        )


if __name__ == "__main__":
    main()
