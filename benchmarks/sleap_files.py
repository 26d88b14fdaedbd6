"""How long it takes to read and write SLEAP's files: medians, beside the budget of the project.

    python benchmarks/sleap_files.py [--frames 20000] [--repetitions 5] [--json]

Two tracked animals of 13 keypoints on every frame of a video. "read labels" reads the file as a project, with a
reference to the frame of each label; "read predictions" goes through it frame by frame. The numbers mean
something on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from pose_sleap.config import SlpReaderConfig
from pose_sleap.slp_reader import SlpReader
from timing import Case, measure

from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import make_writer, open_predictions
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.videos import write_numbered_video

KEYPOINTS = 13


def make_frames(count: int) -> list[Frame]:
    """Two tracked animals a frame, a keypoint in ten missing."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 48, (count, 2, KEYPOINTS, 2)).astype(np.float32)
    points[rng.random(points.shape[:3]) < 0.1] = np.nan
    scores = rng.uniform(0.1, 1, points.shape[:3]).astype(np.float32)
    return [
        Frame(i, Instances.from_keypoints(points[i], keypoint_scores=scores[i], track=[0, 1]))
        for i in range(count)
    ]


def make_cases(folder: Path, count: int) -> list[Case]:
    """What is measured."""
    video, path = folder / "clip.mp4", folder / "out.slp"
    write_numbered_video(video, count)
    frames = make_frames(count)
    skeleton = Skeleton(tuple(f"keypoint{i}" for i in range(KEYPOINTS)), individuals=("one", "two"))
    header = PredictionsHeader(skeleton, str(video), count, 64, 48, 25.0, "unet/unet", "runs/first")

    def write(format: str, to: Path) -> None:
        make_writer(format).write(to, header, iter(frames))

    def read_predictions() -> None:
        assert sum(1 for _ in open_predictions(path)) == count

    write("slp", path)
    # Predictions as labels: as many as there are frames.
    reader = SlpReader(SlpReaderConfig(type="sleap/sleap", labels="all"))
    return [
        Case("read labels", partial(reader.read, path), 200.0),
        Case("read predictions", read_predictions),
        Case("write slp", partial(write, "slp", folder / "again.slp"), 1000.0),
        Case("write sleap-analysis", partial(write, "sleap-analysis", folder / "again.h5")),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure, and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--repetitions", type=int, default=5, help="measured calls of each case")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(Path(folder), options.frames)
        rows = [measure(case, options.repetitions, 1, "cpu") for case in cases]
    print(
        json.dumps([asdict(row) for row in rows]) if options.json else "\n".join(row.format() for row in rows)
    )


if __name__ == "__main__":
    main()
