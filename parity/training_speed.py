"""How long a training step takes in DeepLabCut and in pose_core, by the same recipe, in turns.

    python parity/training_speed.py [--only NAME ...] [--rounds 2] [--epochs 3] [--images 24] [--batch-size 8]
                                    [--threads 2] [--json]

DeepLabCut makes a project of drawn images of 640 x 480 and the description of a training with its defaults; pose_core
trains by that (``pose import deeplabcut pytorch_config.yaml``, ``pose train --config``): the same network, crops,
augmentation and images a step, from random weights. Each training is a process of its own; a step lasts from the end of
one to the end of the next, waiting for images included, without the first epoch. Prints medians, and the most memory
that a process took.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from evaluation import ask
from step_clock import StepClock

import pose_core
from pose_core.runs.importing import import_training

HERE = Path(__file__).resolve().parent
ORACLE = (str(HERE.parent / ".venv-parity" / "bin" / "python"), str(HERE / "training_speed_oracle.py"))
NAMES = ("resnet_50", "hrnet_w18", "rtmpose_s")


@dataclass
class Steps:
    """Steps of one side.

    Attributes:
        milliseconds: of each.
        peaks: MB that each process took at most.
    """

    milliseconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        """Add a training."""
        self.milliseconds += answer["milliseconds"]
        self.peaks.append(answer["peak_mb"])


def train_here(project: str, config: str, epochs: int, batch: int) -> None:
    """Train by a configuration, and print the milliseconds of the steps."""
    clock = StepClock()
    with tempfile.TemporaryDirectory(prefix="pose-steps-") as folder:
        pose_core.train(
            project,
            config=config,
            out=Path(folder) / "run",
            epochs=epochs,
            batch_size=batch,
            device="cpu",
            weights="none",
            # All images of the training part, as there: fewer would make the last step of an epoch a short one.
            settings={"data.split.validation": 0.0, "train.select": "error"},
        )
    print(clock.answer(epochs))


def measure(
    name: str, oracle: Sequence[str], folder: Path, options: argparse.Namespace
) -> tuple[Steps, Steps]:
    """Steps of the original and ours, in turns, so that a change of the machine's load meets both."""
    made = ask([*oracle, "make", name, str(folder / name), str(options.images)])
    config = folder / f"{name}.yaml"
    import_training("deeplabcut", made["description"], config)
    theirs, ours = Steps(), Steps()
    here = (sys.executable, str(HERE / "training_speed.py"), "--here", made["project"], str(config))
    numbers = (str(options.epochs), str(options.batch_size))
    for _ in range(options.rounds):
        theirs.add(ask([*oracle, "train", made["project"], made["snapshot"], *numbers]))
        more = ("--epochs", numbers[0], "--batch-size", numbers[1], "--threads", str(options.threads))
        ours.add(ask([*here, *more]))
    return theirs, ours


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=NAMES, help="these types of network of DeepLabCut")
    parser.add_argument("--rounds", type=int, default=2, help="trainings of each side")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=24, help="a multiple of 24 and of the batch size")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="of both sides")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--oracle", default=shlex.join(ORACLE), help="the command of the original's side")
    parser.add_argument("--here", nargs=2, metavar=("PROJECT", "CONFIG"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.images % options.batch_size or options.epochs < 2:
        parser.error("--images: must be a multiple of --batch-size, and --epochs at least 2")
    torch.set_num_threads(options.threads)
    os.environ["PARITY_THREADS"] = str(options.threads)
    if options.here:
        train_here(*options.here, options.epochs, options.batch_size)
        return
    rows = []
    if not options.json:
        print("| network | DeepLabCut, ms a step | pose_core, ms | times as fast | memory, MB |")
        print("|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="pose-training-") as folder:
        for name in options.only:
            theirs, ours = measure(name, shlex.split(options.oracle), Path(folder), options)
            one, other = statistics.median(theirs.milliseconds), statistics.median(ours.milliseconds)
            peaks = max(theirs.peaks), max(ours.peaks)
            rows.append({"network": name, "theirs_ms": one, "ours_ms": other, "peak_mb": peaks})
            if not options.json:
                print(
                    f"| `{name}` | {one:.0f} | {other:.0f} | {one / other:.2f} | {peaks[0]:.0f} and {peaks[1]:.0f} |",
                    flush=True,
                )
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
