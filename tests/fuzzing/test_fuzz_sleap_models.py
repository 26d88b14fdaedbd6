"""500 spoilt model folders of SLEAP to import: configurations, checkpoints, Keras models, settings as a start."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from keras_models import EDGES, NODES, KerasModel
from sleap_models import make_config, make_weights, models, write_folder

from .hdf import Bomb, spoil_h5
from .mutate import put, spoil_bytes, spoil_json, spoil_place, spoil_yaml
from .odd import odd_values
from .oracle import Example, check, fuzz
from .run_files import spoil_checkpoint

FAMILY = "sleap_models"
NAMES = [name for name in models.MODELS if name.startswith("unet")]


def make_import(rng: random.Random, folder: Path) -> Example:
    """One spoilt model folder and the command that imports it."""
    kinds = (_description, _file, _weights, _content, _keras, _start, _both)
    return rng.choices(kinds, (8, 4, 3, 2, 4, 3, 2))[0](rng, folder)


def _command(folder: Path, model: Path, *more: str | Path) -> list[str | Path]:
    return ["import", "sleap", model, "--out", folder / "run", *more]


def _description(rng: random.Random, folder: Path) -> Example:
    name = rng.choice(NAMES)
    model = write_folder(folder / "model", name)
    file = model / "training_config.yaml"
    chance = rng.random()
    if chance < 0.1:
        about = spoil_place(file, rng)
    elif chance < 0.2:
        about = "bytes"
        put(file, spoil_bytes(file.read_bytes(), rng))
    else:
        about = "content"
        put(file, spoil_yaml(make_config(name), rng))
    return Example(_command(folder, model), f"{name}, description {about}")


def _file(rng: random.Random, folder: Path) -> Example:
    """The checkpoint as a file: its bytes, its zip bombs."""
    name = rng.choice(NAMES)
    model = write_folder(folder / "model", name)
    file = model / "best.ckpt"
    about = rng.choice(("bytes", "zip", "zip", "place", "bomb", "bomb", "other"))
    if about == "bytes":
        put(file, spoil_bytes(file.read_bytes(), rng))
    elif about == "zip":
        about = spoil_checkpoint(file, rng)
    elif about == "place":
        about = spoil_place(file, rng)
    elif about == "bomb":
        torch.save(rng.choice((Bomb(), {"state_dict": Bomb()}, {"state_dict": {}, "config": Bomb()})), file)
    else:
        put(file, (model / "training_config.yaml").read_bytes())
    return Example(_command(folder, model), f"{name}, checkpoint {about}")


def _weights(rng: random.Random, folder: Path) -> Example:
    name = rng.choice(NAMES)
    weights: dict[str, Any] = dict(make_weights(name))
    key = rng.choice(sorted(weights))
    about = rng.choice(("gone", "renamed", "shape", "values", "dtype", "kind", "odd"))
    tensor = weights.pop(key)
    if about == "renamed":
        weights[rng.choice((key[6:], key[:-1], f"model.{key}", key.replace("0", "1")))] = tensor
    elif about == "shape":
        weights[key] = rng.choice((tensor[..., None], tensor.reshape(-1), tensor[:0], tensor[:1]))
    elif about == "values":
        weights[key] = torch.full_like(tensor, rng.choice((float("nan"), float("inf"), 0.0, 1e30)))
    elif about == "dtype":
        weights[key] = tensor.to(rng.choice((torch.float64, torch.float16, torch.int8, torch.complex64)))
    elif about == "kind":
        weights[key] = rng.choice((tensor.to_sparse(), tensor.to("meta"), torch.nn.Parameter(tensor)))
    elif about == "odd":
        weights[rng.choice((key, "x"))] = rng.choice(odd_values())
    model = write_folder(folder / "model", name, weights=weights)
    return Example(_command(folder, model), f"{name}, weight {about}")


def _content(rng: random.Random, folder: Path) -> Example:
    """What stands in the checkpoint, and under which keys."""
    more: Mapping[str, Any] = rng.choice(
        ({"loops": Bomb()}, {"state_dict": rng.choice(odd_values())}, {"hyper_parameters": [1, None]})
    )
    model = write_folder(folder / "model", more=more)
    return Example(_command(folder, model), "content")


def _keras(rng: random.Random, folder: Path) -> Example:
    confmaps = {"part_names": NODES, "sigma": 2.5, "output_stride": 2, "offset_refinement": False}
    fields = {"edges": [list(edge) for edge in EDGES], "sigma": 50.0, "output_stride": 4}
    model = KerasModel({"multi_instance": {"confmaps": confmaps, "pafs": fields}}, size=(16, 16))
    model.write(folder / "model")
    if rng.random() < 0.5:
        about = "description"
        file = folder / "model" / "training_config.json"
        put(file, spoil_json(model.describe(), rng))
    else:
        about = "weights"
        spoil_h5(folder / "model" / "best_model.h5", rng)
    return Example(_command(folder, folder / "model"), f"keras {about}")


def _start(rng: random.Random, folder: Path) -> Example:
    name = rng.choice(NAMES)
    config = make_config(name)
    config["data_config"]["augmentation_config"] = {
        "geometric": {"scale_min": 0.8},
        "intensity": {"contrast_p": 1},
    }
    config["trainer_config"] = {"optimizer": {"lr": 1e-3}, "lr_scheduler": {"step_lr": {"gamma": 0.1}}}
    file = folder / "training_config.yaml"
    put(file, spoil_yaml(config, rng))
    return Example(["import", "sleap", file, "--out", folder / "start.yaml"], f"{name}, start")


def _both(rng: random.Random, folder: Path) -> Example:
    """Two folders, of which one is spoilt, or which do not belong together."""
    pose, centroid = (
        write_folder(folder / str(i), name) for i, name in enumerate((rng.choice(NAMES), "unet, centroid"))
    )
    file = rng.choice((pose, centroid)) / "training_config.yaml"
    if rng.random() < 0.6:
        put(file, spoil_yaml(yaml.safe_load(file.read_text()), rng))
    return Example(_command(folder, pose, "--detector", centroid), "both")


def _fuzz(folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: range) -> None:
    # Nothing is unplugged here, and waiting for the disk would take most of the time of those that succeed.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    check(fuzz(FAMILY, numbers, make_import, folder))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_fuzz_some_models_of_sleap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fuzz(tmp_path, monkeypatch, range(500, 516))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("part", range(2))
def test_fuzz_500_models_of_sleap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    _fuzz(tmp_path, monkeypatch, range(250 * part, 250 * (part + 1)))
