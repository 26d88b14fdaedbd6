"""How long coordinate classification takes to encode labels and to decode outputs: medians, beside the
budget.

    python benchmarks/simcc.py [--threads 2] [--device cpu] [--json]

The numbers mean something on an idle machine only; the ratios to a plain softmax of the same outputs mean
something on any.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import TypeAdapter
from timing import Case, run
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Predictions, Predictor
from pose_core.specs import AnyPredictor, AnyTargetGenerator
from pose_core.structures import Skeleton

BUDGET_MS = 10.0
BATCH, KEYPOINTS, SIZE, SPLIT_RATIO = 8, 12, 256, 2


def make_labels(missing: float = 0.1, seed: int = 0, device: str = "cpu") -> Labels:
    """Random labels of one animal an image, a fraction of the keypoints unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    shape = (BATCH, 1, KEYPOINTS)
    keypoints = torch.rand(*shape, 2, generator=generator) * (SIZE - 1)
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels.from_keypoints(keypoints).to(device)


def make_cases(device: str) -> list[Case]:
    """What is measured; a plain softmax of the same outputs is there to compare with."""
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

    def decoder(how: str) -> Predictor:
        spec = TypeAdapter(AnyPredictor).validate_python({"type": "rtmpose/simcc", "decode": how})
        predictor: Predictor = context.build("predictor", spec, grid)
        return predictor

    return [
        Case("softmax", lambda: [output.softmax(-1) for output in outputs.values()]),
        Case("targets", partial(targets, labels, shapes), BUDGET_MS),
        Case("decoding: fit", partial(decoder("fit"), outputs, found), BUDGET_MS),
        Case("decoding: argmax", partial(decoder("argmax"), outputs, found), BUDGET_MS),
    ]


if __name__ == "__main__":
    with torch.inference_mode():
        run(__doc__, make_cases, repetitions=200, warm_up=100)
