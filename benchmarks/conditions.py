"""How long conditions of BUCTD take: medians, beside the budget of the project.

    python benchmarks/conditions.py [--threads 1] [--repetitions 30] [--warm-up 30] [--json]

A batch of 8 crops of 256 x 256 pixels and 12 keypoints: drawing poses, by keypoint and in colours, exactly
and as imported networks need it; drawing erroneous poses from labels of 3 animals; and both together, as a
training step does. The numbers mean something on an idle machine only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import TypeAdapter
from timing import Case, run

from pose_core.interfaces import BuildContext, Labels
from pose_core.specs import AnyInput
from pose_core.structures import Skeleton

BUDGET_MS = 15.0
BATCH, ANIMALS, KEYPOINTS, SIZE = 8, 3, 12, (256, 256)


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
    return Labels.from_keypoints(keypoints, areas=torch.full(shape[:2], 128.0**2))


def make_cases(device: str) -> list[Case]:
    """What is measured; on the CPU, whatever the device."""
    labels = make_labels()
    poses = labels.keypoints[:, 0]
    found = []
    for what, config in (
        ("drawn, a map a keypoint", {}),
        ("drawn, in colours", {"encoding": "coloured"}),
        ("drawn, a map a keypoint, as imported", {"rendering": "deeplabcut", "peak": 255.0}),
        (
            "drawn, in colours, as imported",
            {"rendering": "deeplabcut", "peak": 255.0, "encoding": "coloured"},
        ),
    ):
        found.append(Case(what, partial(make_input(**config).render, poses, SIZE), BUDGET_MS))
    part = make_input()
    found.append(Case("errors", partial(part.sample, labels, SIZE)))
    found.append(Case("errors and drawn", partial(part.for_training, labels, SIZE), BUDGET_MS))
    return found


if __name__ == "__main__":
    with torch.inference_mode():
        run(__doc__, make_cases, threads=1)
