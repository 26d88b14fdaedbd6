"""Writes the synthetic three-animal project of docs/measurements.md.

    python benchmarks/three_animals.py FOLDER [--scenes 6] [--frames 200]

Animals 44 pixels long that cross and hide each other, in 6 scenes of 256 x 192 pixels; 34 labelled frames of
each.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from pose_core.synthetic.projects import scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec

STEP = 6
"""Every sixth frame is labelled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--frames", type=int, default=200, help="of each scene")
    options = parser.parse_args()
    scenes = [
        Scene(
            SceneSpec(
                seed=number, frames=options.frames, size=(192, 256), animals=3, length=44, ground=number % 3
            )
        )
        for number in range(options.scenes)
    ]
    examples = (
        scene_examples(scene, range(0, options.frames, STEP), f"v{n}") for n, scene in enumerate(scenes)
    )
    write_project(options.folder, scenes[0].skeleton, itertools.chain.from_iterable(examples), name="three")
    print(
        f"{options.folder}: written; "
        f"next: pose train {options.folder} --model top_down_cspnext_s --detector ssdlite --out RUN"
    )


if __name__ == "__main__":
    main()
