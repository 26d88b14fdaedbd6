"""The original's side of the comparison of test errors: a shuffle, a snapshot, and DeepLabCut's own evaluation.

``python parity/evaluation_oracle.py FOLDER [PROJECT]``, in an environment of its own that has deeplabcut, with
DLClight=True. Fills FOLDER with a copy of the project (or a small one that is drawn), and prints one line
``@@ {...}`` with the snapshot and the numbers of the evaluation's table.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import deeplabcut
import numpy as np
import pandas as pd
import torch
import yaml
from cases import CASES, KEYPOINTS
from deeplabcut.pose_estimation_pytorch.config import PoseConfig
from deeplabcut.pose_estimation_pytorch.models import PoseModel
from images import draw
from oracle import make_project, normalised, save
from random_weights import calibrate, randomise, scale_heads

NET, SHUFFLE, IMAGES, SIZE = "resnet_50", 1, 20, (192, 256)


def draw_project(
    folder: Path, images: int = IMAGES, size: tuple[int, int] = SIZE, held_out: int = IMAGES // 5
) -> Path:
    """Draw a project of noise and shapes with labels anywhere, a fifth of them missing.

    Args:
        folder: of the project.
        images: how many.
        size: (height, width) of them.
        held_out: how many of them are for testing.
    """
    config = make_project(CASES[NET], folder)
    clip = folder / "labeled-data" / "clip"
    clip.mkdir(parents=True)
    names = [("labeled-data", "clip", f"img{i:02d}.png") for i in range(images)]
    rng = np.random.default_rng(0)
    for number, (*_, name) in enumerate(names):
        cv2.imwrite(str(clip / name), draw(*size, number, number % 2 == 0))
    labels = rng.uniform(5, size[0] - 5, (images, len(KEYPOINTS), 2))
    labels[rng.random(labels.shape[:2]) < 0.2] = np.nan
    columns = pd.MultiIndex.from_product(
        [["Ada"], KEYPOINTS, ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    table = pd.DataFrame(labels.reshape(images, -1), columns=columns, index=pd.MultiIndex.from_tuples(names))
    table.to_hdf(clip / "CollectedData_Ada.h5", key="df_with_missing", mode="w")
    table.to_csv(clip / "CollectedData_Ada.csv")
    content = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(content | {"TrainingFraction": [1 - held_out / images]}))
    return config


def copy_project(project: Path, folder: Path) -> Path:
    """Copy a project, and have its config.yaml say where it is now."""
    for name in ("labeled-data", "config.yaml"):
        source = project / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    config = folder / "config.yaml"
    content = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(content | {"project_path": str(folder)}))
    return config


def main(folder: Path, project: Path | None) -> None:
    torch.set_num_threads(int(os.environ.get("PARITY_THREADS", "2")))
    if project is None:
        config = draw_project(folder)
    else:
        folder.mkdir(parents=True)
        config = copy_project(project, folder)
    np.random.seed(0)
    deeplabcut.create_training_dataset(
        str(config), Shuffles=[SHUFFLE], net_type=NET, engine=deeplabcut.Engine.PYTORCH
    )
    (train,) = (folder / "dlc-models-pytorch" / "iteration-0").glob("*/train")
    description = PoseConfig.from_yaml(train / "pytorch_config.yaml")
    torch.manual_seed(0)
    with torch.no_grad():
        pose = PoseModel.build(description.model, pretrained_backbone=False).eval()
        randomise(pose)
        sample = torch.cat([normalised(draw(*SIZE, 10**6 + i, i % 2 == 0)) for i in range(4)])
        calibrate(pose, sample)
        scale_heads(pose, pose(sample))
    snapshot = save(train, "snapshot", pose)
    deeplabcut.evaluate_network(
        str(config), Shuffles=[SHUFFLE], plotting=False, show_errors=False, device="cpu"
    )
    (table,) = (folder / "evaluation-results-pytorch").rglob("CombinedEvaluation-results.csv")
    row = pd.read_csv(table).iloc[-1].to_dict()
    answer = {
        "versions": f"DeepLabCut {deeplabcut.__version__}",
        "snapshot": str(snapshot),
        "table": {name: float(row[name]) for name in ("train rmse", "test rmse")},
    }
    print("@@ " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
