"""Measure how many of the switches that trackers make are among the moments they list for a person.

    python benchmarks/doubts.py                    # 12 scenes of 2,000 frames: 2 to 10 animals
    python benchmarks/doubts.py --frames 60 --animals 2 --trackers boxes

The scenes are those of `trackers.py`, at 30 frames a second. For each tracker, with the number of animals given:
switches (an exchange of two animals is two), those that a listed moment is of (of one of the two tracks, at most 5
frames away), and the moments that are listed in a minute of video.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from trackers import KINDS, make_scene

from pose_core.tracking.choose import Tracking
from pose_core.tracking.doubts import Doubt
from pose_core.tracking.follow import TrackedFrames
from pose_core.tracking.switches import Switch, list_switches

FPS = 30
NEAR = 5


def is_listed(switch: Switch, doubts: Sequence[Doubt]) -> bool:
    """Test whether a moment is of this switch."""
    return any(
        doubt.first - NEAR <= switch.frame
        and switch.before <= doubt.last + NEAR
        and set(switch.tracks) & set(doubt.tracks)
        for doubt in doubts
    )


def main(arguments: list[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=["easy", "crossing", "occluded"])
    parser.add_argument("--trackers", nargs="+", default=["oks", "boxes"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    titles = [f"{name}: switches, listed, moments a minute" for name in options.trackers]
    print("| scene | animals | " + " | ".join(titles) + " |")
    print("|---|---|" + "---|" * len(options.trackers))
    for kind in options.kinds:
        for animals in options.animals:
            scenes = [make_scene(kind, animals, options.frames, seed) for seed in range(options.seeds)]
            cells = []
            for name in options.trackers:
                switched = listed = moments = 0
                for truth, found in scenes:
                    tracking = Tracking.choose(name, animals)
                    with TrackedFrames(found.__iter__, found.header, tracking) as tracked:
                        finder = tracked.make_doubt_finder()
                        frames = list(tracked.apply(found, finder.watch))
                    doubts = finder.finish()
                    switches = list_switches(truth, frames)
                    switched += len(switches)
                    listed += sum(is_listed(switch, doubts.found) for switch in switches)
                    moments += len(doubts.found) + doubts.left_out
                minutes = len(scenes) * options.frames / FPS / 60
                cells.append(f"{switched}, {listed}, {moments / minutes:.1f}")
            print(f"| {kind} | {animals} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
