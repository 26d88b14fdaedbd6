"""Four crossing animals in synthetic videos: how many a conditional model finds, and how well ``--follow`` tracks them.

``python benchmarks/tracking.py RUN`` with the run ``ctd`` that benchmarks/crossing_animals.py makes, which has
seen every eighth frame of scenes 40 and 43, and of 77 the ground only. An animal is found where the median of
its keypoints' distances is below 15 pixels.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

import pose_core
from pose_core.pipeline.stages import FrameGroup, Stage, StageResult, View
from pose_core.pipeline.track import TrackStage
from pose_core.synthetic.scenes import Scene, SceneSpec

SCENES, FRAMES, ANIMALS, NEAR = ((40, 0), (43, 3), (77, 2)), 240, 4, 15.0
"""Seeds of scene and ground."""


def main(run: str) -> None:
    """Print a row for each scene and way."""
    print("| scene | --follow | found | changes of number | frames searched |\n|---|---|---|---|---|")
    for seed, ground in SCENES:
        scene = Scene(SceneSpec(seed=seed, frames=FRAMES, animals=ANIMALS, length=60, ground=ground))
        for follow in (False, True):
            print(f"| {seed} | {'yes' if follow else 'no'} | {measure(run, scene, follow)} |", flush=True)


def measure(run: str, scene: Scene, follow: bool) -> str:
    """Cells of the table."""
    estimator = pose_core.load(run, follow=follow, device="cpu")
    stage: Any = estimator.pipeline.stages[0]
    counted = Counted(stage._search) if isinstance(stage, TrackStage) else None
    if counted is not None:
        stage._search = counted
    frames = list(estimator.predict((scene.frame(t).image for t in range(FRAMES)), batch_size=8))
    last: dict[int, int] = {}
    found = changes = 0
    for t, frame in enumerate(frames):
        truth = scene.frame(t).instances
        points = frame.instances.keypoints[:, : truth.keypoints.shape[1]]
        off = np.linalg.norm(truth.keypoints[:, None] - points[None], axis=-1)
        off = np.nan_to_num(np.nanmedian(off, axis=-1), nan=1e6) if len(points) else np.zeros((len(truth), 0))
        for animal, row in zip(*linear_sum_assignment(off), strict=True):
            if off[animal, row] < NEAR:
                who, number = int(truth.identity[animal]), int(frame.instances.track[row])
                found += 1
                changes += last.get(who, number) != number
                last[who] = number
    searched = FRAMES if counted is None else counted.frames
    return f"{found} of {FRAMES * ANIMALS} | {changes if follow else ''} | {searched}"


class Counted(Stage):
    """Another stage, and how many frames it was shown."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.frames = stage, 0

    def view(self, width: int, height: int) -> Any:
        """That of the stage."""
        return self.stage.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """That of the stage."""
        self.frames += len(group.frames)
        return self.stage.run(group, view, found)


if __name__ == "__main__":
    main(sys.argv[1])
