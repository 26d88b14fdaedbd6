"""How long targets, decoding and adaptive convolutions of DEKR take: medians, beside the budgets of the
project.

    python benchmarks/dekr.py [--threads 2] [--repetitions 30] [--warm-up 30] [--json]

Targets: a batch of 8 images, 3 animals, 12 keypoints, maps of 112 x 112 cells of 4 pixels, a tenth of the
keypoints unlabelled. Decoding: one frame of ideal outputs, 10 animals of 12 keypoints, without and with
refinement. Adaptive
convolutions: the offset branch of 12 keypoints on one map of 64 x 64 cells, by plain torch and by
torchvision, forward, and forward and backward; and by a branch at a time instead of all at once.
The numbers mean something on an idle machine only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import TypeAdapter
from timing import Case, run
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

TARGETS_MS, DECODING_MS = 10.0, 3.0
CELLS, STRIDE, KEYPOINTS = 112, 4, 12


def make_head(animals: int, keypoints: int = KEYPOINTS, **config: Any) -> Head:
    """A head on the features of HRNet-W18."""
    skeleton = Skeleton(
        tuple(f"keypoint{i}" for i in range(keypoints)),
        individuals=tuple(f"animal{i}" for i in range(animals)),
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
    return Labels.from_keypoints(keypoints)


def empty_outputs(batch: int) -> dict[str, Tensor]:
    """Outputs whose shapes count."""
    return {
        "heatmap": torch.zeros(batch, KEYPOINTS + 1, CELLS, CELLS),
        "offset": torch.zeros(batch, 2 * KEYPOINTS, CELLS, CELLS),
    }


def targets_and_decoding() -> list[Case]:
    """The cases that have budgets."""
    labels, outputs = make_labels(8, 3, 0.1), empty_outputs(8)
    generator = make_head(3).target_generator
    found = [Case("targets, 8 images of 3 animals", partial(generator, labels, outputs), TARGETS_MS)]
    one = make_labels(1, 10, 0.0)
    ideal = {name: target.value for name, target in generator(one, empty_outputs(1)).items()}
    nothing = Predictions.none(1, Skeleton(tuple(f"keypoint{i}" for i in range(KEYPOINTS))))
    for refine in (None, 12.0):
        head = make_head(10, predictor={"refine": refine})
        decode = torch.inference_mode()(partial(head.decode, ideal, nothing))
        found.append(Case(f"decoding 10 animals{', refined' * (refine is not None)}", decode, DECODING_MS))
    return found


def convolutions() -> list[Case]:
    """The cases of the offset branch."""
    found = []
    feature = torch.randn(1, 270, 64, 64)
    for deform in ("torch", "torchvision"):
        together = make_head(3, deform=deform).eval().offset_head
        apart = [make_head(3, 1, deform=deform).eval().get_submodule("offset_head") for _ in range(KEYPOINTS)]

        def one_by_one(apart: list[nn.Module] = apart) -> Tensor:
            return torch.cat([branch(feature) for branch in apart], dim=1)

        def both_ways(together: Any = together) -> None:
            together(feature).square().mean().backward()

        name, forward = f"offset branch by {deform}", torch.no_grad()(partial(together, feature))
        found.append(Case(name, forward, share=0.2))
        found.append(Case(f"{name}, a keypoint at a time", torch.no_grad()(one_by_one), share=0.2))
        found.append(Case(f"{name}, forward and backward", both_ways, share=0.2))
    return found


if __name__ == "__main__":
    run(__doc__, lambda device: targets_and_decoding() + convolutions())
