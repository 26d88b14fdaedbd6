"""Frames a second of prediction: decoding alone, the network alone, and 'pose predict' from end to end.

    python benchmarks/predict_throughput.py RUN VIDEO [--repeats 3] [--batch-size N] [--device D]

End to end (decoding, network and writing the file, overlapping) should be near the slower of the other two.
Prints medians; what else runs on the machine counts. A minute of video is enough.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import torch

import pose_core


def in_thread(measure: Callable[[], float]) -> float:
    """Measure in a thread of its own, where the pipeline does its work too.

    On a CPU it matters: OpenMP's threads wait for each other by spinning, more so for the main thread, and
    where other programs run as well that can cost a factor of four.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(measure).result()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()

    estimator = pose_core.load(options.run, options.device, options.batch_size)
    info = estimator.open_video(options.video).info
    # One batch from memory, over and over: copying to the device, the network, and fetching what it found.
    batch = list(islice(estimator.open_video(options.video).read(), estimator.batch_size))
    images = [frame.load() for frame in batch if frame.load is not None]
    batches = max(1, info.frames // len(images))

    def decode() -> float:
        """Decode and convert all frames, in one thread."""
        began = time.perf_counter()
        for frame in estimator.open_video(options.video).read():
            if frame.load is not None:
                frame.load()
        return info.frames / (time.perf_counter() - began)

    def network() -> float:
        began = time.perf_counter()
        frames = sum(len(estimator.predict(images)) for _ in range(batches))
        return frames / (time.perf_counter() - began)

    def end_to_end() -> float:
        """As 'pose predict' measures it once the model is loaded."""
        with tempfile.TemporaryDirectory() as folder:
            (outcome,) = pose_core.predict(
                options.run,
                [options.video],
                Path(folder),
                device=options.device,
                batch_size=options.batch_size,
            )
        if outcome is None or outcome.timing is None:
            raise SystemExit(f"{options.video} could not be predicted")
        return outcome.timing.rate

    ways = {"decode alone": decode, "network alone": network, "end to end": end_to_end}
    in_thread(network)  # warm up
    measured: dict[str, list[float]] = {name: [] for name in ways}
    # In turns, so that a change of the machine's load meets all three.
    for _ in range(options.repeats):
        for name, way in ways.items():
            measured[name].append(in_thread(way))
    medians = {name: statistics.median(rates) for name, rates in measured.items()}
    print(
        f"{estimator.run.name}, {info.width} x {info.height}, {info.frames} frames, batches of "
        f"{estimator.batch_size}, "
        f"{estimator.device}, {torch.get_num_threads()} threads; medians of {options.repeats}"
    )
    for name, value in medians.items():
        print(f"{name:14} {value:8.1f} frames/s")
    slower = min(medians["decode alone"], medians["network alone"])
    print(f"end to end is {100 * medians['end to end'] / slower:.0f} % of the slower of the two")


if __name__ == "__main__":
    main()
