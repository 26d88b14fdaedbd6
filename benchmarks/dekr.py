"""How long targets, decoding and adaptive convolutions of DEKR take: medians, beside the budgets of the project.

    python benchmarks/dekr.py [--threads 2] [--repetitions 30] [--json]

Targets: a batch of 8 images, 3 animals, 12 keypoints, maps of 112 x 112 cells of 4 pixels, a tenth of the keypoints
unlabelled. Decoding: one frame of ideal outputs, 10 animals of 12 keypoints, without and with refinement. Adaptive
convolutions: the offset branch of 12 keypoints on one map of 64 x 64 cells, by plain torch and by torchvision, forward,
and forward and backward; and by a branch at a time instead of all at once.
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
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton
from pose_core.training.memory import keep_freed_memory

TARGETS_MS, DECODING_MS = 10.0, 3.0
CELLS, STRIDE, KEYPOINTS = 112, 4, 12
WARM_UP = 30
"""Calls before the measured ones. The first ones wait for memory from the operating system; in training it is there."""


def make_head(animals: int, keypoints: int = KEYPOINTS, **config: Any) -> Head:
    """A head on the features of HRNet-W18."""
    skeleton = Skeleton(
        tuple(f"keypoint{i}" for i in range(keypoints)), individuals=tuple(f"animal{i}" for i in range(animals))
    )
    spec = TypeAdapter(AnyHead).validate_python({"type": "dekr/dekr", **config})
    head: Head = BuildContext(skeleton=skeleton, features=(Feature(270, STRIDE),)).build("head", spec)
    return head


def make_labels(batch: int, animals: int, missing: float, spread: float = 90.0, seed: int = 0) -> Labels:
    """Random labels; the keypoints of an animal lie within ``spread`` pixels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, animals, KEYPOINTS)
    origins = torch.rand(batch, animals, 1, 2, generator=generator) * (CELLS * STRIDE - spread)
    keypoints = origins + torch.rand(*shape, 2, generator=generator) * spread
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels(
        keypoints=keypoints,
        occluded=torch.zeros(shape, dtype=torch.bool),
        boxes=torch.full((*shape[:2], 4), torch.nan),
        areas=torch.full(shape[:2], torch.nan),
        identity=torch.full(shape[:2], -1),
        unique_keypoints=torch.zeros(batch, 0, 2),
    )


def empty_outputs(batch: int) -> dict[str, Tensor]:
    """Outputs whose shapes count."""
    return {
        "heatmap": torch.zeros(batch, KEYPOINTS + 1, CELLS, CELLS),
        "offset": torch.zeros(batch, 2 * KEYPOINTS, CELLS, CELLS),
    }


def measure(work: Callable[[], object], repetitions: int, warm_up: int = WARM_UP) -> tuple[float, float]:
    """Median and least milliseconds."""
    seconds = []
    for repetition in range(warm_up + repetitions):
        start = time.perf_counter()
        work()
        if repetition >= warm_up:
            seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds), 1e3 * min(seconds)


def targets_and_decoding(repetitions: int) -> list[dict[str, Any]]:
    """Rows of the part that has budgets."""
    labels, outputs = make_labels(8, 3, 0.1), empty_outputs(8)
    generator = make_head(3).target_generator
    rows = [row("targets, 8 images of 3 animals", measure(lambda: generator(labels, outputs), repetitions), TARGETS_MS)]
    one = make_labels(1, 10, 0.0)
    ideal = {name: target.value for name, target in generator(one, empty_outputs(1)).items()}
    for refine in (None, 12.0):
        head = make_head(10, predictor={"refine": refine})
        nothing = Predictions.none(1, Skeleton(tuple(f"keypoint{i}" for i in range(KEYPOINTS))))
        with torch.inference_mode():
            taken = measure(lambda head=head, none=nothing: head.decode(ideal, none), repetitions)  # type: ignore[misc]
        rows.append(row(f"decoding 10 animals{', refined' * (refine is not None)}", taken, DECODING_MS))
    return rows


def convolutions(repetitions: int) -> list[dict[str, Any]]:
    """Rows of the offset branch."""
    rows = []
    feature = torch.randn(1, 270, 64, 64)
    for deform in ("torch", "torchvision"):
        together = make_head(3, deform=deform).eval().offset_head
        apart = [make_head(3, 1, deform=deform).eval().get_submodule("offset_head") for _ in range(KEYPOINTS)]

        def one_by_one(apart: list[nn.Module] = apart) -> Tensor:
            return torch.cat([branch(feature) for branch in apart], dim=1)

        def both_ways(together: Any = together) -> None:
            together(feature).square().mean().backward()

        with torch.no_grad():
            taken = measure(lambda branch=together: branch(feature), repetitions, 2)  # type: ignore[misc]
            rows.append(row(f"offset branch by {deform}", taken))
            rows.append(row(f"offset branch by {deform}, a keypoint at a time", measure(one_by_one, repetitions, 2)))
        rows.append(row(f"offset branch by {deform}, forward and backward", measure(both_ways, repetitions, 2)))
    return rows


def row(what: str, taken: tuple[float, float], budget: float | None = None) -> dict[str, Any]:
    """One measurement."""
    return {"what": what, "median_ms": round(taken[0], 3), "least_ms": round(taken[1], 3), "budget_ms": budget}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every training does
    torch.manual_seed(0)
    rows = targets_and_decoding(options.repetitions) + convolutions(max(3, options.repetitions // 6))
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for each in rows:
        budget = each["budget_ms"]
        verdict = "" if budget is None else f", {'within' if each['median_ms'] <= budget else 'over'} {budget:g} ms"
        print(f"{each['what']:52} median {each['median_ms']:7.2f} ms, least {each['least_ms']:7.2f} ms{verdict}")


if __name__ == "__main__":
    main()
