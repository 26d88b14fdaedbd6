"""Compares the tracker ``oks``, with linking, with those of DeepLabCut and SLEAP on crowds with known truth.

``python parity/trackers.py [--frames N] [--animals N ...] [--kinds NAME ...] [--only NAME ...]`` prints the table
of docs/use/tracking.md. Scenes are those of ``benchmarks/trackers.py``. Every tracker is given the same poses, the
number of animals, and its own defaults; what it gives back is measured against the truth here, so metrics are the same
for all. The others run in their own environments (``make parity`` installs them).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
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
OTHERS = {
    "deeplabcut": (HERE.parent / ".venv-parity" / "bin" / "python", HERE / "trackers_deeplabcut.py"),
    "sleap": (HERE.parent / ".venv-parity-sleap" / "bin" / "python", HERE / "trackers_sleap.py"),
}
"""Python and script of each of the others."""


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


def ask(name: str, folder: Path) -> None:
    """Have another tracker go through all scenes of a folder; it writes ``SCENE.NAME.npz`` beside each."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, OTHERS[name]), str(folder)],
        env={**environment, "DLClight": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with code {done.returncode}: {done.stderr[-2000:]}")


def describe(metrics: TrackMetrics) -> str:
    """Switches per 1,000 frames and animal, and HOTA, both by keypoints."""
    return f"{metrics.keypoints.switches_per_1000:.2f}, {metrics.keypoints.hota:.3f}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--kinds", nargs="+", default=["easy", "crossing", "occluded"])
    parser.add_argument("--only", nargs="+", choices=list(OTHERS), default=list(OTHERS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    benchmark = load_benchmark()
    scenes = {
        f"{kind}-{animals}": (
            kind,
            animals,
            *benchmark.make_scene(kind, animals, options.frames, options.seed),
        )
        for kind in options.kinds
        for animals in options.animals
    }
    with tempfile.TemporaryDirectory(prefix="pose-trackers-") as work:
        folder = Path(work)
        for name, (_, animals, _, found) in scenes.items():
            write_scene(folder / f"{name}.npz", list(found), animals)
        for other in options.only:
            ask(other, folder)
        print(
            "| scene | animals | "
            + " | ".join(f"{name}: switches, HOTA" for name in (OURS, *options.only))
            + " |"
        )
        print("|---|---|" + "---|" * (1 + len(options.only)))
        for name, (kind, animals, truth, found) in scenes.items():
            cells = [describe(measure_tracks(truth, track_here(found, animals)))]
            for other in options.only:
                cells.append(describe(measure_tracks(truth, read_tracks(folder / f"{name}.{other}.npz"))))
            print(f"| {kind} | {animals} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
