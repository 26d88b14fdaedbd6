"""2000 spoilt YAML files: settings, projects, lists of images, run configurations, and ``--set``."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Material, copy
from .mutate import get, paths, put, spoil_bytes, spoil_yaml
from .odd import RAW_YAML, TEXTS, odd_values
from .oracle import Example, check, fuzz

FAMILY = "yaml"

SETTINGS: tuple[dict[str, Any], ...] = (
    {"model": {"name": "unet"}},
    {
        "model": {
            "name": "unet",
            "preprocess": {"scale": 0.5, "mean": [0.5, 0.5, 0.5]},
            "backbone": {"filters": 8, "max_stride": 8, "output_stride": 4},
            "heads": {
                "keypoints": {"predictor": {"type": "subpixel"}, "losses": {"heatmap": {"weight": 2.0}}}
            },
        },
        "data": {"split": {"test": 0.2, "validation": 0.2, "seed": 3}},
        "augmentation": {"rotation": 30, "scale": [0.9, 1.1], "crop": {"size": [48, 48], "shift": 0.1}},
        "train": {
            "epochs": 3,
            "max_time": "10m",
            "batch_size": 4,
            "optimizer": {"name": "sgd", "lr": 0.01},
            "schedule": {"type": "constant"},
            "early_stopping": 2,
            "loggers": ["tensorboard"],
            "weights": "none",
        },
        "inference": {"batch_size": 2, "threshold": 0.1, "follow": True},
        "evaluation": {
            "sigmas": {"nose": 0.1, "left_ear": 0.05, "right_ear": 0.05},
            "pck": [0.1],
            "bootstrap": 10,
        },
    },
    {
        "model": {"name": "top_down_unet", "preprocess": {"size": [32, 32], "margin": 0.1}},
        "stages": {"detector": {"network": {"type": "ssdlite"}, "train": {"epochs": 2}}},
        "train": {"device": "cpu", "precision": "32", "workers": 0, "ema": None},
    },
    {"model": {"name": "top_down_rtmpose_s"}, "inference": {"max_animals": 2, "crops": 4}},
    {"model": {"name": "unet", "heads": {"keypoints": {"predictor": {}}}}, "train": {"seed": 1}},
)


def make_yaml(material: Material, number: random.Random, folder: Path) -> Example:
    """One spoilt YAML file and a command that reads it."""
    return number.choices(
        (_settings, _run_config, _assignments, _project, _deeplabcut, _split), (7, 3, 3, 3, 3, 2)
    )[0](material, number, folder)


def _commands(rng: random.Random, data: Path, file: Path) -> list[str | Path]:
    train: list[str | Path] = ["train", data, "--config", file, "--out", file.parent / "out"]
    named = [*train, "--model", rng.choice(("unet", "top_down_unet", "unet_medium_rf")), "--device", "cpu"]
    return rng.choices((train, named, ["cite", file], ["licenses", file, "--json"]), (3, 5, 1, 1))[0]


def _written(content: Any, rng: random.Random, file: Path) -> None:
    if rng.random() < 0.12:
        put(file, spoil_bytes(yaml.safe_dump(content, sort_keys=False).encode(), rng))
    else:
        put(file, spoil_yaml(content, rng))


def _settings(material: Material, rng: random.Random, folder: Path) -> Example:
    content = rng.choice(SETTINGS)
    _written(content, rng, folder / "settings.yaml")
    data = rng.choice((material.own, material.own_multi))
    return Example(_commands(rng, data, folder / "settings.yaml"), "settings")


def _run_config(material: Material, rng: random.Random, folder: Path) -> Example:
    _written(yaml.safe_load((material.run / "config.yaml").read_text()), rng, folder / "config.yaml")
    return Example(_commands(rng, material.own, folder / "config.yaml"), "run configuration")


def _assignments(material: Material, rng: random.Random, folder: Path) -> Example:
    content = yaml.safe_load((material.run / "config.yaml").read_text())
    options: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 4))):
        path = rng.choice([p for p in paths(content) if p])
        value = get(content, path)
        if rng.random() < 0.5:
            value = rng.choice(odd_values())
        text = rng.choice(RAW_YAML) if rng.random() < 0.2 else yaml.safe_dump(value, default_flow_style=True)
        key = ".".join(map(str, path)) if rng.random() < 0.85 else rng.choice(TEXTS)
        text = text.removesuffix("\n").removesuffix("\n...")
        options += ["--set", f"{key}={text}".replace("\0", "")]  # the shell passes no NUL
    # Nor does it pass a lone surrogate that stands for no byte.
    options = [option.encode("utf-8", "replace").decode() for option in options]
    return Example(["train", material.own, "--model", "unet", "--out", folder / "out", *options], "--set")


def _project(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.own, material.own_multi)), folder / "project")
    _written(yaml.safe_load((project / "project.yaml").read_text()), rng, project / "project.yaml")
    return Example(["train", project, "--model", "unet", "--out", folder / "out"], "project.yaml")


def _deeplabcut(material: Material, rng: random.Random, folder: Path) -> Example:
    project = copy(rng.choice((material.dlc, material.dlc_multi)), folder / "project")
    _written(yaml.safe_load((project / "config.yaml").read_text()), rng, project / "config.yaml")
    path = rng.choice((project, project / "config.yaml"))
    return Example(["train", path, "--model", "unet", "--out", folder / "out"], "DeepLabCut config.yaml")


def _split(material: Material, rng: random.Random, folder: Path) -> Example:
    names = [f"images/clip/{i}.png" for i in range(6)]
    content = {"train": names[:3], "validation": names[3:4], "test": names[4:]}
    _written(content, rng, folder / "split.yaml")
    out = ["--out", folder / "out", "--set", f"data.split.file={folder / 'split.yaml'}"]
    return Example(["train", material.own, "--model", "unet", *out], "lists of images")


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_yaml(material: Material, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2000, 2016), lambda rng, folder: make_yaml(material, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_2000_yaml(material: Material, tmp_path: Path, part: int) -> None:
    numbers = range(500 * part, 500 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_yaml(material, rng, folder), tmp_path))
