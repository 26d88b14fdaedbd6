"""How fast videos are predicted with the same weights by DeepLabCut and by pose_core, in turns.

    python parity/speed.py [--only NAME ...] [--frames 24] [--repeats 5] [--threads 2] [--runtime NAME[:BITS] ...]
                           [--device cpu]

A synthetic video of 640 x 480 pixels at full resolution, from the file to keypoints in memory, models being loaded;
networks that see crops are given one box a frame on both sides. DeepLabCut predicts with its batch of 1 and with one of
8, and the faster is compared with. Prints medians; and, of each network by itself, how much of what the cores multiply
at most (a product of matrices in float32, in the same run) it reaches. "1.5 of 1.8" times: as fast as the original, and
as fast as it would be if it did nothing but multiply at that limit. ``openvino:8`` and ``openvino:16`` are OpenVINO
with fewer bits; 8 are calibrated with drawn images, whose ranges say nothing of real ones: how far keypoints of trained
networks move, each prediction with 8 bits says itself. With ``--device cuda`` both predict there, with float32 as
PyTorch computes it by default.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from compare import take_over
from images import draw
from limit import measure_limit
from run import HERE, Oracle
from torch.utils.flop_counter import FlopCounterMode

import pose_core
from pose_core.prediction.estimator import PoseEstimator
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray

NAMES = ("hrnet_w18", "hrnet_w32", "cspnext_s", "resnet_50", "rtmpose_s")
CROPPED = ("rtmpose_s",)
WIDTH, HEIGHT = 640, 480
BOX = (120, 80, 520, 400)
"""An animal: x1, y1, x2, y2 in pixels."""
BATCHES = (1, 8)
"""Of the original: its default, and one that may be faster."""
COMPUTED_BY = ("torch", "onnxruntime", "openvino", "openvino:16", "openvino:8")
CALIBRATED_WITH = 8
"""Drawn images."""
ORACLE = (str(HERE.parent / ".venv-parity" / "bin" / "python"), str(HERE / "speed_oracle.py"))


@dataclass
class Speeds:
    """Frames a second of one network.

    Attributes:
        theirs: by the size of the original's batch, one for each repetition.
        ours: by the name of the runtime and its bits.
        gflops: a frame.
        limits: what the cores multiplied at most, GFLOP/s, one for each repetition.
        share: of the limit, by the name of the runtime and its bits.
    """

    theirs: dict[int, list[float]] = field(default_factory=dict)
    ours: dict[str, list[float]] = field(default_factory=dict)
    gflops: float = 0.0
    limits: list[float] = field(default_factory=list)
    share: dict[str, float] = field(default_factory=dict)

    def summarise(self, name: str) -> list[dict[str, Any]]:
        """A row for each runtime: medians, frames a second."""
        theirs = {batch: statistics.median(rates) for batch, rates in self.theirs.items()}
        rows = []
        for runtime, rates in self.ours.items():
            rate = statistics.median(rates)
            row = {f"deeplabcut_batch_{batch}": value for batch, value in theirs.items()}
            row |= {"runtime": runtime, "pose_core": rate, "times": rate / max(theirs.values())}
            at_limit = statistics.median(self.limits) / self.gflops
            # Fewer bits are multiplied faster than the limit, which is that of float32.
            row["times_at_limit"] = None if ":" in runtime else at_limit / max(theirs.values())
            rows.append({"network": name, **row, "share": self.share[runtime]})
        return rows

    def format(self, name: str) -> str:
        """Make the rows of the table."""
        lines = []
        for row in self.summarise(name):
            theirs = ", ".join(
                f"{row[f'deeplabcut_batch_{batch}']:.2f} (batch {batch})" for batch in self.theirs
            )
            most = "" if row["times_at_limit"] is None else f" of {row['times_at_limit']:.2f}"
            ours = (
                f"{row['runtime']} | {row['pose_core']:.2f} | {row['times']:.2f}{most} | "
                f"{100 * row['share']:.0f} %"
            )
            lines.append(f"| {name} | {theirs} | {ours} |")
        return "\n".join(lines)


def write_video(file: Path, frames: int) -> None:
    """Soft shapes that change every few frames."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 25, (WIDTH, HEIGHT))
    for image in islice(cycle(draw_images(4)), frames):
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()


def write_boxes(file: Path, frames: int) -> None:
    """The box of each frame."""
    rows = [f"{frame},{','.join(map(str, BOX))},1" for frame in range(frames)]
    file.write_text("\n".join(["frame,x1,y1,x2,y2,score", *rows]) + "\n", encoding="utf-8")


def give_images(run: Run[RunSpec], folder: Path) -> None:
    """Tell a run that it was trained on drawn images, which 8 bits are calibrated with."""
    rng = np.random.default_rng(0)
    names = run.spec.skeleton.keypoints
    images, annotations = [], []
    folder.mkdir()
    for number in range(CALIBRATED_WITH):
        picture = draw(HEIGHT, WIDTH, number, structured=True)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        x1, y1, x2, y2 = BOX
        points = np.column_stack((rng.uniform(x1, x2, len(names)), rng.uniform(y1, y2, len(names))))
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
                "num_keypoints": len(names),
                "keypoints": [round(float(v), 1) for x, y in points for v in (x, y, 2)],
            }
        )
    category = {"id": 1, "name": "animal", "keypoints": list(names), "skeleton": []}
    labels = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    config = run.path / "config.yaml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["data"]["source"] = str(folder / "labels.json")
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    provenance = run.path / "provenance.json"
    known = json.loads(provenance.read_text(encoding="utf-8"))
    files = [f"{number}.png" for number in range(CALIBRATED_WITH)]
    known["split"] = {"train": files[:-2], "validation": files[-2:], "test": []}
    provenance.write_text(json.dumps(known), encoding="utf-8")


def ask_for(runtime: str) -> dict[str, Any]:
    """Arguments of a prediction: runtime, and bits where they are given."""
    name, _, bits = runtime.partition(":")
    return {"runtime": name, "precision": int(bits or 32), "accept_drift": True}


def time_ours(estimator: PoseEstimator, video: Path) -> float:
    """Frames a second of a model that is loaded."""
    began = time.perf_counter()
    frames = sum(1 for _ in estimator.predict_video(video))
    return frames / (time.perf_counter() - began)


def count_gflops(run: Path, more: Mapping[str, Any]) -> float:
    """GFLOP that the network takes for a frame."""
    with FlopCounterMode(display=False) as counter:
        pose_core.load(run, "cpu", 1, runtime="torch", **more).predict(draw_images(1))
    return counter.get_total_flops() / 1e9


def draw_images(count: int) -> list[ByteArray]:
    """Soft shapes."""
    return [draw(HEIGHT, WIDTH, seed, structured=True) for seed in range(count)]


def measure_share(estimator: PoseEstimator, gflops: float, limit: float) -> float:
    """The share of the limit that is reached with frames from memory."""
    images = draw_images(estimator.batch_size)
    # On a GPU the first calls choose algorithms and record graphs.
    for _ in range(1 if estimator.device.type == "cpu" else 4):
        estimator.predict(images)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        estimator.predict(images)
        seconds.append(time.perf_counter() - began)
    return gflops * len(images) / statistics.median(seconds) / limit


def measure(
    oracle: Oracle, name: str, work: Path, runtimes: Sequence[str], device: str, repeats: int, frames: int
) -> Speeds:
    """Time both sides in turns, so that a change of the machine's load meets both."""
    made = oracle.ask(json.dumps({"make": name, "folder": str(work / name)}))
    if "error" in made:
        raise SystemExit(f"{name}: the original: {made['error']}")
    taken = take_over(made, work / f"{name}-run")
    give_images(taken, work / f"{name}-images")
    run = taken.path
    video, boxes = work / "video.avi", work / "boxes.csv"
    cropped = name in CROPPED
    more = {"boxes": boxes} if cropped else {}
    speeds = Speeds(gflops=count_gflops(run, more))
    estimators = {runtime: pose_core.load(run, device, **ask_for(runtime), **more) for runtime in runtimes}
    for repeat in range(repeats + 1):
        for batch in BATCHES:
            asked = {"time": name, "video": str(video), "boxes": BOX if cropped else None, "batch": batch}
            asked["device"] = device
            answer = oracle.ask(json.dumps(asked))
            if "error" in answer:
                raise SystemExit(f"{name}: the original: {answer['error']}")
            assert answer["frames"] == frames
            # The first one loads the model.
            if repeat:
                speeds.theirs.setdefault(batch, []).append(frames / answer["seconds"])
        rates = {runtime: time_ours(estimator, video) for runtime, estimator in estimators.items()}
        # In the first one a runtime prepares itself for batches of this size.
        if repeat:
            speeds.limits.append(measure_limit(device))
            for runtime, rate in rates.items():
                speeds.ours.setdefault(runtime, []).append(rate)
    limit = measure_limit(device)
    speeds.share = {
        runtime: measure_share(estimator, speeds.gflops, limit) for runtime, estimator in estimators.items()
    }
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these networks only")
    parser.add_argument("--frames", type=int, default=24, help="of the video")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of both sides")
    parser.add_argument("--runtime", nargs="+", default=COMPUTED_BY, metavar="NAME[:BITS]")
    parser.add_argument("--device", default="cpu", help="of both sides: cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the rows, written after each network")
    parser.add_argument(
        "--oracle", default=shlex.join(ORACLE), help="the command that runs the original's side"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["PARITY_THREADS"] = str(options.threads)
    with tempfile.TemporaryDirectory(prefix="pose-speed-") as folder:
        work = Path(folder)
        write_video(work / "video.avi", options.frames)
        write_boxes(work / "boxes.csv", options.frames)
        oracle = Oracle(work / "original.log", shlex.split(options.oracle))
        print(
            f"Frames a second, {WIDTH} x {HEIGHT}, {options.threads} threads, medians of {options.repeats}; "
            f"{options.device} multiplies {measure_limit(options.device):.0f} GFLOP/s"
        )
        print("\n| network | DeepLabCut | runtime | pose_core | times | of the limit |")
        print("|---|---|---|---|---|---|")
        rows: list[dict[str, Any]] = []
        for name in options.only:
            speeds = measure(
                oracle, name, work, options.runtime, options.device, options.repeats, options.frames
            )
            print(speeds.format(name), flush=True)
            rows += speeds.summarise(name)
            if options.json is not None:
                options.json.write_text(json.dumps(rows, indent=1))
        oracle.close()


if __name__ == "__main__":
    main()
