"""Writes the synthetic three-animal project of docs/measurements.md: ``python benchmarks/three_animals.py FOLDER``.

Animals 44 pixels long that cross and hide each other, in 6 scenes of 256 x 192 pixels; 34 labelled frames of each.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from pose_core.synthetic.projects import scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec

SCENES, FRAMES, STEP = 6, 200, 6


def main(folder: Path) -> None:
    """Write the project."""
    scenes = [
        Scene(SceneSpec(seed=number, frames=FRAMES, size=(192, 256), animals=3, length=44, ground=number % 3))
        for number in range(SCENES)
    ]
    examples = (scene_examples(scene, range(0, FRAMES, STEP), f"v{n}") for n, scene in enumerate(scenes))
    write_project(folder, scenes[0].skeleton, itertools.chain.from_iterable(examples), name="three")
    print(f"{folder}: written; next: pose train {folder} --model top_down_cspnext_s --detector ssdlite --out RUN")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
