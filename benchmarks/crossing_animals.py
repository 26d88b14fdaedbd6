"""Four crossing animals: the project of docs/measurements.md, four small models trained on it, and their
metrics.

    python benchmarks/crossing_animals.py FOLDER [--scenes 10] [--frames 240] [--train "--epochs 1"]

Takes 12 minutes for the first model and 14 for each of the others on 2 CPU cores, and prints every command
that it runs. What is in FOLDER already is not made again. ``--train`` adds options to each training.

Animals of 12 keypoints and about 60 pixels, all in the middle of 10 scenes of 256 x 256 pixels, where they
cross and hide each other; 30 labelled frames of each scene.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_core.structures import Instances, Skeleton
from pose_core.synthetic.projects import Example, scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec

STEP, ANIMALS = 8, 4
RUMP, ENDS = "rump", ("back", "tail_base")
"""The twelfth keypoint, halfway between two of the scene's eleven."""

DEKR = """\
# DEKR on a backbone that learns from scratch in minutes
model:
  method: bottom_up
  backbone: {type: unet/unet, filters: 16, stem_stride: 2, output_stride: 4}
  heads:
    keypoints: {type: dekr/dekr}
train: {optimizer: {lr: 0.003}}
"""

TRAININGS = {
    "paf": "--model unet --max-time 12m",
    "dekr": "--config dekr.yaml --max-time 14m",
    "centroid": "--model top_down_unet --centroid centroid_unet --max-time 14m",
    "ctd": "--model ctd_prenet_unet --conditions paf --set model.preprocess.size=[128,128] --max-time 14m",
}
"""Name of the run -> options of ``pose train``."""


def main() -> None:
    """Make what is missing, then measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--frames", type=int, default=240, help="of each scene")
    parser.add_argument("--train", default="", metavar="OPTIONS", help="further options of every training")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data").is_dir():
        write(folder / "data", options.scenes, options.frames)
    (folder / "dekr.yaml").write_text(DEKR, encoding="utf-8")
    for name, chosen in TRAININGS.items():
        if not (folder / name).is_dir():
            pose(folder, f"train data {chosen} --out {name} {options.train}")
    print("\n| | OKS AP (95 %) | AP50 | mean error, px | median | missed | false positives | training |")
    print("|---|---|---|---|---|---|---|---|")
    for name in TRAININGS:
        print(row(name, json.loads(pose(folder, f"evaluate {name} --json")), folder / name))


def pose(folder: Path, arguments: str) -> str:
    """Run a command in the folder; what it prints."""
    print(f"pose {arguments}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pose_core", *shlex.split(arguments)]
    return subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE).stdout


def row(name: str, metrics: dict[str, Any], run: Path) -> str:
    """A line of the table."""
    training = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["training"]
    counts = metrics["counts"]
    cells = (
        name,
        f"{number(metrics['ap'], 3)}{interval(metrics['intervals']['ap'])}",
        number(metrics["ap50"], 3),
        number(metrics["mean_error"], 2),
        number(metrics["median_error"], 2),
        f"{counts['missed']} of {counts['animals']}",
        str(counts["false_positives"]),
        f"{training['steps']} steps, {training['seconds']:.0f} s",
    )
    return f"| {' | '.join(cells)} |"


def number(value: float | None, digits: int) -> str:
    """Format a metric; one that is undefined is a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(bounds: list[float] | None) -> str:
    """Format a 95 % interval; nothing where there is none."""
    return "" if bounds is None else f" ({bounds[0]:.3f} to {bounds[1]:.3f})"


def write(folder: Path, count: int, frames: int) -> None:
    """Write the project."""
    scenes = [
        Scene(SceneSpec(seed=40 + n, frames=frames, animals=ANIMALS, length=60, ground=n % 5))
        for n in range(count)
    ]
    skeleton = scenes[0].skeleton
    ends = tuple(skeleton.keypoints.index(name) for name in ENDS)
    examples = (scene_examples(scene, range(0, frames, STEP), f"v{n}") for n, scene in enumerate(scenes))
    write_project(
        folder, with_rump(skeleton), labelled(itertools.chain.from_iterable(examples), ends), name="crossing"
    )


def with_rump(skeleton: Skeleton) -> Skeleton:
    """The skeleton with the twelfth keypoint."""
    edges = tuple(edge for edge in skeleton.edges if edge != ENDS)
    return replace(
        skeleton, keypoints=(*skeleton.keypoints, RUMP), edges=(*edges, (ENDS[0], RUMP), (RUMP, ENDS[1]))
    )


def labelled(examples: Iterator[Example], ends: tuple[int, ...]) -> Iterator[Example]:
    """The examples with the twelfth keypoint, which is hidden where both of its neighbours are."""
    for example in examples:
        animals = example.instances
        middle = animals.keypoints[:, ends].mean(axis=1, keepdims=True)
        points = np.concatenate([animals.keypoints, middle], axis=1)
        assert example.occluded is not None
        hidden = np.concatenate(
            [example.occluded, example.occluded[:, ends].all(axis=1, keepdims=True)], axis=1
        )
        twelve = Instances.from_keypoints(points, identity=animals.identity, track=animals.track)
        yield replace(example, instances=twelve, occluded=hidden)


if __name__ == "__main__":
    main()
