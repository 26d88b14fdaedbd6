"""Writes the synthetic project of four crossing animals of docs/measurements.md:
``python benchmarks/crossing_animals.py FOLDER``.

Animals of 12 keypoints and about 60 pixels, all in the middle of 10 scenes of 256 x 256 pixels, where they cross and
hide each other; 30 labelled frames of each scene.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pose_core.structures import Instances, Skeleton
from pose_core.testing.projects import Example, scene_examples, write_project
from pose_core.testing.scenes import Scene, SceneSpec

SCENES, FRAMES, STEP, ANIMALS = 10, 240, 8, 4
RUMP, ENDS = "rump", ("back", "tail_base")
"""The twelfth keypoint, halfway between two of the scene's eleven."""


def main(folder: Path) -> None:
    """Write the project."""
    scenes = [
        Scene(SceneSpec(seed=40 + number, frames=FRAMES, animals=ANIMALS, length=60, ground=number % 5))
        for number in range(SCENES)
    ]
    skeleton = scenes[0].skeleton
    ends = tuple(skeleton.keypoints.index(name) for name in ENDS)
    examples = (scene_examples(scene, range(0, FRAMES, STEP), f"v{n}") for n, scene in enumerate(scenes))
    write_project(folder, with_rump(skeleton), labelled(itertools.chain.from_iterable(examples), ends), name="crossing")
    print(f"{folder}: written; next: pose train {folder} --model unet --out RUN")


def with_rump(skeleton: Skeleton) -> Skeleton:
    """The skeleton with the twelfth keypoint."""
    edges = tuple(edge for edge in skeleton.edges if edge != ENDS)
    return replace(skeleton, keypoints=(*skeleton.keypoints, RUMP), edges=(*edges, (ENDS[0], RUMP), (RUMP, ENDS[1])))


def labelled(examples: Iterator[Example], ends: tuple[int, ...]) -> Iterator[Example]:
    """The examples with the twelfth keypoint, which is hidden where both of its neighbours are."""
    for example in examples:
        animals = example.instances
        middle = animals.keypoints[:, ends].mean(axis=1, keepdims=True)
        points = np.concatenate([animals.keypoints, middle], axis=1)
        assert example.occluded is not None
        hidden = np.concatenate([example.occluded, example.occluded[:, ends].all(axis=1, keepdims=True)], axis=1)
        twelve = Instances.from_keypoints(points, identity=animals.identity, track=animals.track)
        yield replace(example, instances=twelve, occluded=hidden)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
