"""Compares the tracker ``oks``, with linking, with those of DeepLabCut and SLEAP-NN on crowds with known truth.

``python parity/trackers.py [--frames N] [--animals N ...] [--kinds NAME ...] [--oracle NAME COMMAND]`` prints the table
of docs/use/tracking.md. Scenes are those of ``benchmarks/trackers.py``. All are given the same poses, the number of
animals, and their own defaults; what they give back is measured against the truth here, so metrics are the same.
DeepLabCut's side is its ellipse tracker and its stitching (``trackers_deeplabcut.py``), SLEAP-NN's the tracker of
``sleap-nn track`` (``trackers_sleap.py``), each in an environment of its own, which ``make parity`` installs.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.structures import Frame, Instances
from pose_core.tracking.choose import Tracking
from pose_core.tracking.follow import TrackedFrames
from pose_core.tracking.measure import TrackMetrics, measure_tracks

HERE = Path(__file__).resolve().parent
OURS = "oks"
ORACLES = {
    "deeplabcut": (str(HERE.parent / ".venv-parity/bin/python"), str(HERE / "trackers_deeplabcut.py")),
    "sleap-nn": (str(HERE.parent / ".venv-parity-sleap/bin/python"), str(HERE / "trackers_sleap.py")),
}
"""Python and script of the others, by name."""


def load_benchmark() -> ModuleType:
    """The scenes."""
    spec = importlib.util.spec_from_file_location(
        "trackers_benchmark", HERE.parent / "benchmarks" / "trackers.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_scene(path: Path, frames: Sequence[Frame], animals: int) -> None:
    """What was found in a scene: (T, N, K, 3) of x, y and score, NaN where missing, and scores (T, N) of animals."""
    most = max((len(frame.instances.scores) for frame in frames), default=1)
    shape = (len(frames), most, frames[0].instances.keypoints.shape[1])
    points, scores = np.full((*shape, 3), np.nan), np.zeros(shape[:2])
    for at, frame in enumerate(frames):
        found = frame.instances
        rows = slice(len(found.scores))
        points[at, rows, :, :2], points[at, rows, :, 2] = found.keypoints, found.keypoint_scores
        scores[at, rows] = found.scores
    np.savez(path, points=points, scores=scores, animals=animals)


def read_tracks(path: Path) -> list[Frame]:
    """The poses (T, M, K, 3) that another tracker gave back, NaN where missing, by its M tracks."""
    poses: npt.NDArray[Any] = np.load(path)["poses"].astype(np.float32)
    frames = []
    for at, animals in enumerate(poses):
        rows = np.flatnonzero(np.isfinite(animals[..., :2]).all(-1).any(-1))
        frames.append(Frame(at, Instances.from_keypoints(animals[rows][..., :2], track=rows)))
    return frames


def track_here(found: Any, animals: int) -> list[Frame]:
    """What ``pose track --animals N`` gives."""
    with TrackedFrames(found.__iter__, found.header, Tracking.choose(OURS, animals)) as tracked:
        return list(tracked.apply(found))


def ask(command: Sequence[str], folder: Path) -> None:
    """Have another tracker go through all scenes of a folder; it writes ``SCENE.NAME.npz`` beside each."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [*command, str(folder)],
        env={**environment, "DLClight": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the other tracker ended with code {done.returncode}: {done.stderr[-2000:]}")


def describe(metrics: Sequence[TrackMetrics]) -> str:
    """Switches per 1,000 frames and animal, and HOTA, both by keypoints; means over seeds."""
    switches = fmean(one.keypoints.switches_per_1000 for one in metrics)
    return f"{switches:.2f}, {fmean(one.keypoints.hota for one in metrics):.3f}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--kinds", nargs="+", default=["easy", "crossing", "occluded"])
    parser.add_argument(
        "--oracle",
        nargs=2,
        action="append",
        metavar=("NAME", "COMMAND"),
        help=f"one of {', '.join(ORACLES)} and its command; may be repeated, and by default all are run",
    )
    parser.add_argument("--seeds", type=int, default=3, help="scenes of each kind, from seed 0 on")
    options = parser.parse_args(arguments)
    oracles = options.oracle or [(name, shlex.join(command)) for name, command in ORACLES.items()]
    benchmark = load_benchmark()
    kinds = [(kind, animals) for kind in options.kinds for animals in options.animals]
    seeds = range(options.seeds)
    with tempfile.TemporaryDirectory(prefix="pose-trackers-") as work:
        folder = Path(work)
        for kind, animals in kinds:
            for seed in seeds:
                _, found = benchmark.make_scene(kind, animals, options.frames, seed)
                write_scene(folder / f"{kind}-{animals}-{seed}.npz", list(found), animals)
        for _, command in oracles:
            ask(shlex.split(command), folder)
        names = [OURS, *(name for name, _ in oracles)]
        print(f"| scene | animals | {' | '.join(f'{name}: switches, HOTA' for name in names)} |")
        print("|---|---|" + "---|" * len(names))
        for kind, animals in kinds:
            measured: dict[str, list[TrackMetrics]] = {name: [] for name in names}
            for seed in seeds:
                truth, found = benchmark.make_scene(kind, animals, options.frames, seed)
                measured[OURS].append(measure_tracks(truth, track_here(found, animals)))
                for name, _ in oracles:
                    tracked = read_tracks(folder / f"{kind}-{animals}-{seed}.{name}.npz")
                    measured[name].append(measure_tracks(truth, tracked))
            cells = " | ".join(describe(metrics) for metrics in measured.values())
            print(f"| {kind} | {animals} | {cells} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
