"""How long it takes to make training targets and to decode heatmaps: medians, beside the budget of the
project.

    python benchmarks/target_generation.py [--threads 2] [--device cpu] [--json]

The numbers mean something on an idle machine only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from pydantic import TypeAdapter
from timing import Case, run

from pose_core.interfaces import BuildContext, Grid, Labels, Predictions
from pose_core.specs import AnyPredictor, AnyTargetGenerator
from pose_core.structures import Skeleton

BUDGET_MS = 10.0


@dataclass(frozen=True)
class Maps:
    """What is measured.

    Attributes:
        component: name of the target generator or predictor.
        animals: in every image.
        batch, keypoints: B and K.
        cells: height and width of the maps.
        stride: pixels a cell.
    """

    component: str
    animals: int
    batch: int = 8
    keypoints: int = 12
    cells: int = 112
    stride: int = 4


TARGETS = tuple(Maps(name, animals) for name in ("heatmap/gaussian", "heatmap/plateau") for animals in (1, 3))
DECODERS = (Maps("heatmap/argmax", 1), Maps("heatmap/subpixel", 1))


def make_labels(case: Maps, missing: float = 0.1, seed: int = 0, device: str = "cpu") -> Labels:
    """Random labels, a fraction of the keypoints unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    shape = (case.batch, case.animals, case.keypoints)
    keypoints = torch.rand(*shape, 2, generator=generator) * (case.cells * case.stride)
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels.from_keypoints(keypoints).to(device)


def make_targets(maps: Maps, device: str) -> Case:
    """A batch of heatmap and location refinement targets."""
    skeleton = Skeleton(tuple(f"keypoint{i}" for i in range(maps.keypoints)))
    config = TypeAdapter(AnyTargetGenerator).validate_python({"type": maps.component})
    generator = BuildContext(skeleton=skeleton).build("target_generator", config, Grid.cells(maps.stride))
    shape = (maps.cells, maps.cells)
    outputs = {
        name: torch.zeros(maps.batch, channels, *shape, device=device)
        for name, channels in (("heatmap", maps.keypoints), ("locref", 2 * maps.keypoints))
    }
    animals = f"{maps.animals} animal" + "s" * (maps.animals > 1)
    return Case(
        f"targets: {maps.component}, {animals}",
        partial(generator, make_labels(maps, device=device), outputs),
        BUDGET_MS,
    )


def make_decoding(maps: Maps, device: str) -> Case:
    """Reading one animal from each of a batch of heatmaps with location refinement."""
    skeleton = Skeleton(tuple(f"k{i}" for i in range(maps.keypoints)))
    config = TypeAdapter(AnyPredictor).validate_python({"type": maps.component, "sigmoid": False})
    predictor = BuildContext(skeleton).build("predictor", config, Grid.cells(maps.stride))
    shape = (maps.batch, maps.keypoints, maps.cells, maps.cells)
    outputs = {
        "heatmap": torch.rand(shape, device=device),
        "locref": torch.randn(maps.batch, 2 * maps.keypoints, *shape[2:], device=device),
    }
    nothing = Predictions.none(maps.batch, skeleton, device)
    return Case(f"decoding: {maps.component}, 1 animal", partial(predictor, outputs, nothing), BUDGET_MS)


def make_cases(device: str) -> list[Case]:
    """What is measured: 8 images, 12 keypoints, 112 x 112 cells."""
    targets = [make_targets(maps, device) for maps in TARGETS]
    return targets + [make_decoding(maps, device) for maps in DECODERS]


if __name__ == "__main__":
    run(__doc__, make_cases, repetitions=50, warm_up=200)
