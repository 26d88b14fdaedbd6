"""How long targets and decoding of part affinity fields take: medians, beside the budgets of the project.

    python benchmarks/paf.py [--threads 2] [--repetitions 30] [--warm-up 30] [--json]

Targets: a batch of 8 images, 12 keypoints, 66 limbs, maps of 112 x 112 cells of 4 pixels, a tenth of the
keypoints unlabelled; once with animals as compact as they are (90 pixels) and once with keypoints all over
the image. Decoding: one frame of ideal outputs, 10 animals of 12 keypoints, with all 66 limbs and with a tree
of 11. The numbers mean something on an idle machine only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import TypeAdapter
from timing import Case, run
from torch import Tensor

from pose_core.interfaces import BuildContext, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

TARGETS_MS, DECODING_MS = 30.0, 5.0
CELLS, STRIDE, KEYPOINTS = 112, 4, 12


def make_head(graph: Any, animals: int) -> Head:
    """A head of stride 4."""
    skeleton = Skeleton(
        tuple(f"keypoint{i}" for i in range(KEYPOINTS)),
        edges=tuple((f"keypoint{i}", f"keypoint{i + 1}") for i in range(KEYPOINTS - 1)),
        individuals=tuple(f"animal{i}" for i in range(animals)),
    )
    config = TypeAdapter(AnyHead).validate_python({"type": "paf/paf", "graph": graph})
    context = BuildContext(skeleton=skeleton, features=(Feature(8, STRIDE),))
    head: Head = context.build("head", config)
    return head


def make_labels(batch: int, animals: int, spread: float, missing: float, seed: int = 0) -> Labels:
    """Random labels; the keypoints of an animal lie within ``spread`` pixels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, animals, KEYPOINTS)
    size = CELLS * STRIDE
    origins = torch.rand(batch, animals, 1, 2, generator=generator) * (size - spread)
    keypoints = origins + torch.rand(*shape, 2, generator=generator) * spread
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels.from_keypoints(keypoints)


def empty_outputs(head: Head, batch: int) -> dict[str, Tensor]:
    """Outputs of the right shapes."""
    limbs = len(head.limbs)  # type: ignore[arg-type]
    channels = {"heatmap": KEYPOINTS, "locref": 2 * KEYPOINTS, "paf": 2 * limbs}
    return {name: torch.zeros(batch, n, CELLS, CELLS) for name, n in channels.items()}


def make_cases(device: str) -> list[Case]:
    """What is measured; on the CPU, whatever the device."""
    found = []
    for name, spread in (("compact animals", 90.0), ("all over the image", float(CELLS * STRIDE))):
        head = make_head("full", 3)
        work = partial(head.target_generator, make_labels(8, 3, spread, 0.1), empty_outputs(head, 8))
        found.append(Case(f"targets, 66 limbs, {name}", work, TARGETS_MS))
    for graph, limbs in (("full", 66), ("skeleton", 11)):
        head = make_head(graph, 10)
        labels = make_labels(1, 10, 90.0, 0.1)
        ideal = {k: v.value for k, v in head.target_generator(labels, empty_outputs(head, 1)).items()}
        nothing = Predictions.none(1, Skeleton(tuple(f"keypoint{i}" for i in range(KEYPOINTS))))
        work = partial(head.predictor, ideal, nothing)
        found.append(Case(f"decoding 10 animals, {limbs} limbs", work, DECODING_MS))
    return found


if __name__ == "__main__":
    with torch.inference_mode():
        run(__doc__, make_cases)
