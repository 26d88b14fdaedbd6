"""The original's side of ``training_speed.py``; in an environment of its own that has deeplabcut, with DLClight=True.

``python training_speed_oracle.py make NET_TYPE FOLDER IMAGES BATCH`` fills a folder with a project of drawn images, a
training dataset and a snapshot of random weights, and prints one line ``@@ {...}`` with the project, the description of
the training and the snapshot. ``... train CONFIG SNAPSHOT EPOCHS BATCH`` trains it as DeepLabCut does, and prints
milliseconds of its steps.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import deeplabcut
import numpy as np
import torch
from deeplabcut.pose_estimation_pytorch.apis.training import train
from deeplabcut.pose_estimation_pytorch.config import PoseConfig
from deeplabcut.pose_estimation_pytorch.data import DLCLoader
from deeplabcut.pose_estimation_pytorch.models import PoseModel
from deeplabcut.pose_estimation_pytorch.task import Task
from evaluation_oracle import draw_project
from oracle import save
from step_clock import StepClock

SIZE = (480, 640)
SHARE = 24
"""Training images for each of the test part: DeepLabCut needs some, and counts the training part in hundredths."""


def make(net_type: str, folder: Path, images: int) -> None:
    """A project with as many training images, and what is needed to train on it."""
    held_out, rest = divmod(images, SHARE)
    if rest:
        raise SystemExit(f"--images: must be a multiple of {SHARE}, not {images}")
    config = draw_project(folder, images + held_out, SIZE, held_out)
    np.random.seed(0)
    deeplabcut.create_training_dataset(
        str(config), Shuffles=[1], net_type=net_type, engine=deeplabcut.Engine.PYTORCH
    )
    (training,) = (folder / "dlc-models-pytorch" / "iteration-0").glob("*/train")
    description = training / "pytorch_config.yaml"
    torch.manual_seed(0)
    # Published weights would be loaded from elsewhere.
    model = PoseModel.build(PoseConfig.from_yaml(description).model, pretrained_backbone=False)
    snapshot = save(training, "snapshot", model)
    answer = {"project": str(config), "description": str(description), "snapshot": str(snapshot)}
    print("@@ " + json.dumps(answer))


def time_steps(config: str, snapshot: str, epochs: int, batch: int) -> None:
    """Train the pose network, and no detector."""
    loader = DLCLoader(config=config, shuffle=1, trainset_index=0)
    settings = loader.model_cfg
    training = settings.train_settings
    training.epochs, training.batch_size, training.display_iters = epochs, batch, 1000
    settings.runner.snapshots.save_epochs = epochs + 1
    clock = StepClock()
    task = Task(settings.get("method", "bu"))
    train(loader, settings, task, device="cpu", snapshot_path=snapshot)
    print(clock.answer(epochs))


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("PARITY_THREADS", "2")))
    asked, *rest = sys.argv[1:]
    if asked == "make":
        make(rest[0], Path(rest[1]), int(rest[2]))
    else:
        time_steps(rest[0], rest[1], int(rest[2]), int(rest[3]))
