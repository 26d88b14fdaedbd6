"""Frames a second of prediction: decoding alone, the network alone, and 'pose predict' from end to end.

    python benchmarks/predict_throughput.py RUN VIDEO [--frames 300] [--repeats 3] [--batch-size N] [--device D]

End to end (decoding, network and writing the file, overlapping) should be near the slower of the other two. Prints
medians; what else runs on the machine counts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pose_core.data.geometry import warp
from pose_core.interfaces.prediction_files import make_writer
from pose_core.pipeline.results import HostResult
from pose_core.pipeline.sources import FrameSource, SourceFrame, SourceInfo
from pose_core.pipeline.stages import FrameGroup, make_view, run_stages
from pose_core.prediction.estimator import PoseEstimator, load
from pose_core.prediction.job import Job, identify
from pose_core.structures import ByteArray


class FirstFrames(FrameSource):
    """The first frames of another source."""

    def __init__(self, source: FrameSource, frames: int) -> None:
        super().__init__()
        self._source = source
        self._frames = min(frames, source.info.frames)

    @property
    def info(self) -> SourceInfo:
        return replace(self._source.info, frames=self._frames)

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        return islice(self._source.read(start), max(self._frames - start, 0))

    def identity(self) -> dict[str, Any]:
        return {**self._source.identity(), "frames": self._frames}


def decode(source: FrameSource) -> int:
    """Decode and convert all frames, in one thread."""
    return sum(frame.load is not None and frame.load() is not None for frame in source.read())


def network(estimator: PoseEstimator, images: list[ByteArray], batches: int) -> int:
    """Put one batch through the stages over and over: copy to the device, network, results back."""
    pipeline = estimator.pipeline
    height, width = images[0].shape[:2]
    geometries = [stage.view(width, height) for stage in pipeline.stages]
    pixels = [None if g is None else torch.from_numpy(np.stack([warp(i, g) for i in images])) for g in geometries]
    for _ in range(batches):
        views = [
            None if p is None or g is None else make_view(p, g, estimator.device)
            for p, g in zip(pixels, geometries, strict=True)
        ]
        group = FrameGroup(list(range(len(images))), width, height, views, images, estimator.device)
        HostResult.fetch(run_stages(pipeline.stages, group), estimator.device).wait()
    return batches * len(images)


def end_to_end(estimator: PoseEstimator, source: FrameSource) -> int:
    """What 'pose predict' does once the model is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        writer = make_writer("parquet")
        job = Job(estimator.run, source, source.info.name, Path(folder), writer, identify(estimator.run))
        return job.predict(estimator).frames


def rate(work: Callable[[], int]) -> float:
    """Frames a second. The work is done in a thread of its own, where the pipeline does its work too.

    On a CPU it matters: OpenMP's threads wait for each other by spinning, more so for the main thread, and where other
    programs run as well that can cost a factor of four.
    """
    with ThreadPoolExecutor(1) as thread:
        began = time.perf_counter()
        frames = thread.submit(work).result()
        return frames / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=300, help="of the video to use")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()

    estimator = load(options.run, options.device, options.batch_size)
    source = FirstFrames(estimator.open_video(options.video), options.frames)
    images = [f.load() for f in islice(source.read(), estimator.batch_size) if f.load is not None]
    rate(lambda: network(estimator, images, 2))  # warm up
    batches = max(1, source.info.frames // len(images))
    measured: dict[str, list[float]] = {"decode alone": [], "network alone": [], "end to end": []}
    # In turns, so that a change of the machine's load meets all three.
    for _ in range(options.repeats):
        measured["decode alone"].append(rate(lambda: decode(source)))
        measured["network alone"].append(rate(lambda: network(estimator, images, batches)))
        measured["end to end"].append(rate(lambda: end_to_end(estimator, source)))
    medians = {name: statistics.median(rates) for name, rates in measured.items()}
    info = source.info
    print(
        f"{estimator.run.name}, {info.width} x {info.height}, {info.frames} frames, batches of {estimator.batch_size}, "
        f"{estimator.device}, {torch.get_num_threads()} threads; medians of {options.repeats}"
    )
    for name, value in medians.items():
        print(f"{name:14} {value:8.1f} frames/s")
    slower = min(medians["decode alone"], medians["network alone"])
    print(f"end to end is {100 * medians['end to end'] / slower:.0f} % of the slower of the two")


if __name__ == "__main__":
    main()
