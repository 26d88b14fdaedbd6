"""Measure the installed trackers on crowds of look-alike animals with known truth.

    python benchmarks/trackers.py                    # 12 scenes of 1,000 frames: 2 to 10 animals
    python benchmarks/trackers.py --frames 60 --animals 2 --trackers boxes

Each scene is what an imperfect model finds: animals that cross and lie on each other, some not found, some found twice,
noise on keypoints. For each tracker, with the number of animals given: switches per 1,000 frames and animal, HOTA by
keypoints, and frames a second of the tracker with linking on one core (time of the process, reading left out).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from pose_core.interfaces.writer import PredictionsHeader, PredictionsStream
from pose_core.structures import Frame
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec
from pose_core.tracking.choose import Tracking
from pose_core.tracking.follow import TrackedFrames
from pose_core.tracking.measure import measure_tracks

KINDS = {
    "easy": {},
    "crossing": {"pull": 0.5},
    "occluded": {"pull": 0.5, "lost": 0.15, "hidden": 0.1, "noise": 0.05},
    "door": {"pull": 0.3, "door": True},
}


class Stored(PredictionsStream):
    """Frames in memory, so that reading takes no time."""

    def __init__(self, frames: list[Frame], side: int) -> None:
        self.header = PredictionsHeader(CROWD_SKELETON, "crowd", len(frames), side, side, 30.0, "", "")
        self.frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)


def make_scene(kind: str, animals: int, frames: int, seed: int) -> tuple[Stored, Stored]:
    """Make the truth and what is found; the arena grows with the number of animals."""
    side = int(360 * animals**0.5)
    crowd = Crowd(CrowdSpec(seed=seed, frames=frames, animals=animals, size=(side, side), **KINDS[kind]))
    return Stored(list(crowd.truth()), side), Stored(list(crowd.found()), side)


def main(arguments: list[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=["easy", "crossing", "occluded"])
    parser.add_argument("--trackers", nargs="+", default=["oks", "boxes"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    titles = [f"{name}: switches, HOTA, frames/s" for name in options.trackers]
    print("| scene | animals | " + " | ".join(titles) + " |")
    print("|---|---|" + "---|" * len(options.trackers))
    for kind in options.kinds:
        for animals in options.animals:
            scenes = [make_scene(kind, animals, options.frames, seed) for seed in range(options.seeds)]
            cells = []
            for name in options.trackers:
                tracking = Tracking.choose(name, animals)
                switches = hota = spent = 0.0
                for truth, found in scenes:
                    began = time.process_time()
                    with TrackedFrames(found.__iter__, found.header, tracking) as tracked:
                        frames = list(tracked.apply(found))
                        spent += time.process_time() - began
                    scores = measure_tracks(truth, frames).keypoints
                    switches += scores.switches_per_1000 / len(scenes)
                    hota += scores.hota / len(scenes)
                rate = len(scenes) * options.frames / max(spent, 1e-9)
                cells.append(f"{switches:.2f}, {hota:.3f}, {rate:.0f}")
            print(f"| {kind} | {animals} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
