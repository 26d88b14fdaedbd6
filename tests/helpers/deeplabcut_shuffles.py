"""A DeepLabCut project with a shuffle, and a model of random weights in the folder of that shuffle."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml
from deeplabcut_models import Model, description

SCORER, TASK, DATE = "Ada", "reach", "Jan7"
HEIGHT, WIDTH = 48, 64


def make_project(root: Path, images: int = 8, seed: int = 0) -> Path:
    """A project of two body parts, labelled at random places of noise; its folder."""
    folder = root / "labeled-data" / "clip"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = [("labeled-data", "clip", f"img{i}.png") for i in range(images)]
    for *_, name in rows:
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    columns = pd.MultiIndex.from_product(
        [[SCORER], ["nose", "tail"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    labels = rng.uniform(5, HEIGHT - 5, (images, len(columns)))
    table = pd.DataFrame(labels, index=pd.MultiIndex.from_tuples(rows), columns=columns)
    table.to_csv(folder / f"CollectedData_{SCORER}.csv")
    config = {
        "Task": TASK,
        "scorer": SCORER,
        "date": DATE,
        "multianimalproject": False,
        "bodyparts": ["nose", "tail"],
        "skeleton": [],
    }
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    return root


def make_shuffle(root: Path, train: list[int], test: list[int], number: int = 1) -> Path:
    """Make a shuffle of the project, by rows of its labels; the folder that its snapshots go into."""
    folder = root / "training-datasets" / "iteration-0" / f"UnaugmentedDataSet_{TASK}{DATE}"
    folder.mkdir(parents=True, exist_ok=True)
    labels = root / "labeled-data" / "clip" / f"CollectedData_{SCORER}.csv"
    (folder / labels.name).write_bytes(labels.read_bytes())
    rows = [np.array(part) for part in (train, test)]
    pickled = pickle.dumps([[], *rows, 0.75])
    (folder / f"Documentation_data-{TASK}_75shuffle{number}.pickle").write_bytes(pickled)
    name = f"{TASK}{DATE}-trainset75shuffle{number}"
    return root / "dlc-models-pytorch" / "iteration-0" / name / "train"


def make_trained(root: Path, train: list[int], test: list[int]) -> Model:
    """Make the project, its shuffle and a snapshot."""
    make_project(root, len(train) + len(test))
    return Model(make_shuffle(root, train, test), description())
