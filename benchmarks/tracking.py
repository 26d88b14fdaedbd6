"""Four crossing animals in synthetic videos: how many a conditional model finds, and how well ``--follow``
tracks them.

    python benchmarks/tracking.py RUN [--frames 240]

RUN is the run ``ctd`` that benchmarks/crossing_animals.py makes, which has seen every eighth frame of scenes
40 and 43, and of 77 the ground only. An animal is found where the median of its keypoints' distances is below
15 pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

import pose_core
from pose_core.model.assemble import PoseModel
from pose_core.synthetic.scenes import Scene, SceneSpec

SCENES, ANIMALS, NEAR = ((40, 0), (43, 3), (77, 2)), 4, 15.0
"""Seeds of scene and ground."""


def main() -> None:
    """Print a row for each scene and way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--frames", type=int, default=240, help="of each scene")
    options = parser.parse_args()
    print("| scene | --follow | found | changes of number | frames searched |\n|---|---|---|---|---|")
    for seed, ground in SCENES:
        scene = Scene(SceneSpec(seed=seed, frames=options.frames, animals=ANIMALS, length=60, ground=ground))
        for follow in (False, True):
            print(
                f"| {seed} | {'yes' if follow else 'no'} | {measure(options.run, scene, follow)} |",
                flush=True,
            )


def measure(run: Path, scene: Scene, follow: bool) -> str:
    """Predict a scene and compare it with the truth; the cells of the table."""
    estimator = pose_core.load(run, follow=follow, device="cpu")
    with count_searched() as searched:
        frames = list(estimator.predict((scene.frame(t).image for t in range(len(scene))), batch_size=8))
    last: dict[int, int] = {}
    found = changes = 0
    for t, frame in enumerate(frames):
        truth = scene.frame(t).instances
        points = frame.instances.keypoints[:, : truth.keypoints.shape[1]]
        off = np.linalg.norm(truth.keypoints[:, None] - points[None], axis=-1)
        # An animal that shows no keypoint has no distance at all.
        off = np.where(np.isnan(off).all(-1, keepdims=True), 1e6, off) if off.size else off
        off = np.nanmedian(off, axis=-1) if off.size else np.zeros((len(truth), len(points)))
        for animal, row in zip(*linear_sum_assignment(off), strict=True):
            if off[animal, row] < NEAR:
                who, number = int(truth.identity[animal]), int(frame.instances.track[row])
                found += 1
                changes += last.get(who, number) != number
                last[who] = number
    return f"{found} of {len(scene) * ANIMALS} | {changes if follow else ''} | {sum(searched)}"


@contextmanager
def count_searched() -> Iterator[list[int]]:
    """Count the frames that the model of the initial poses sees, batch by batch."""
    seen: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, PoseModel) and not module.inputs:
            seen.append(len(inputs[0]))

    hook = register_module_forward_pre_hook(note)
    try:
        yield seen
    finally:
        hook.remove()


if __name__ == "__main__":
    main()
