"""SLEAP's model types for several animals, each a small U-Net trained from scratch on two and on four crossing
animals.

    python benchmarks/sleap_models.py FOLDER [--animals 2 4] [--minutes 4] [--scenes 6] [--frames 240]

Takes up to 5 times ``--minutes`` for each number of animals on 2 CPU cores, since there are five networks. Prints
every command that it runs; what is in FOLDER already is not made again. ``--train`` adds options to each training.

Animals of 11 keypoints and about 60 pixels, which cross and hide each other in scenes of 256 x 256 pixels.
Each has a coat of its own, the same in every scene, so that it can be told from the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossing_animals import interval, number, pose

from pose_core.synthetic.projects import scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec

STEP = 6
"""Every sixth frame is labelled."""

TRAININGS = {
    "centroid + pose": (
        "centroid_pose",
        "top_down_unet --centroid centroid_unet --set model.heads.identity=null",
    ),
    "bottom-up": ("bottom_up", "unet --set model.heads.identity=null"),
    "top-down with identity": (
        "top_down_identity",
        "top_down_identity_unet --centroid centroid_pose/stages/centroid",
    ),
    "bottom-up with identity": ("bottom_up_identity", "identity_unet"),
}
"""Model type -> folder of the run, and the model with options of ``pose train``."""


def main() -> None:
    """Make what is missing, then measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--minutes", type=float, default=4, help="of training for each network")
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--frames", type=int, default=240, help="of each scene")
    parser.add_argument("--train", default="", metavar="OPTIONS", help="further options of every training")
    options = parser.parse_args()
    rows = []
    for animals in options.animals:
        folder = options.folder / f"{animals}_animals"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "data").is_dir():
            write(folder / "data", animals, options.scenes, options.frames)
        for kind, (run, chosen) in TRAININGS.items():
            if not (folder / run).is_dir():
                networks = 2 if "--centroid centroid_unet" in chosen else 1
                limit = f"--max-time {60 * options.minutes * networks:.0f}s"
                pose(folder, f"train data --model {chosen} --out {run} {limit} {options.train}")
            metrics = json.loads(pose(folder, f"evaluate {run} --json"))
            rows.append(row(animals, kind, metrics, folder / run))
    print(
        "\n| animals | model | OKS AP (95 %) | AP50 | median error, px | missed | false | right names | training |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))


def row(animals: int, kind: str, metrics: dict[str, Any], run: Path) -> str:
    """A line of the table."""
    training = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["training"]
    counts, names = metrics["counts"], metrics["identity"]
    cells = (
        str(animals),
        kind,
        f"{number(metrics['ap'], 3)}{interval(metrics['intervals']['ap'])}",
        number(metrics["ap50"], 3),
        number(metrics["median_error"], 2),
        f"{counts['missed']} of {counts['animals']}",
        str(counts["false_positives"]),
        "-" if names is None else f"{names['right']} of {names['compared']}, {number(names['accuracy'], 3)}",
        f"{training['steps']} steps, {training['seconds']:.0f} s",
    )
    return f"| {' | '.join(cells)} |"


def write(folder: Path, animals: int, count: int, frames: int) -> None:
    """Write the project."""
    scenes = [
        Scene(SceneSpec(seed=60 + n, frames=frames, animals=animals, length=60, ground=n % 5, coat=0))
        for n in range(count)
    ]
    examples = (scene_examples(scene, range(0, frames, STEP), f"v{n}") for n, scene in enumerate(scenes))
    skeleton = replace(scenes[0].skeleton, identified=True)
    write_project(folder, skeleton, itertools.chain.from_iterable(examples), name=f"{animals}_animals")


if __name__ == "__main__":
    main()
