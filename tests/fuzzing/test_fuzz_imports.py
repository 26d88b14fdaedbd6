"""1000 spoilt models of DeepLabCut to import: their descriptions, weights and projects, exported ones,
``--set``."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from .conftest import Models, copy
from .hdf import Bomb
from .mutate import get, paths, put, spoil_bytes, spoil_place, spoil_tree, spoil_yaml
from .odd import RAW_YAML, TEXTS, odd_values
from .oracle import Example, check, fuzz
from .run_files import spoil_checkpoint

FAMILY = "imports"

pytestmark = pytest.mark.filterwarnings(
    "ignore:torch.quantize_per_tensor"
)  # deprecated to make, still to be met

CONFIG, SNAPSHOT, DETECTOR = "pytorch_config.yaml", "snapshot-best-100.pt", "snapshot-detector-050.pt"


def make_import(models: Models, rng: random.Random, folder: Path) -> Example:
    """One spoilt model and the command that imports it."""
    kinds = (_description, _file, _weights, _content, _exported, _project, _settings)
    return rng.choices(kinds, (8, 4, 3, 2, 3, 3, 1))[0](models, rng, folder)


def _train(models: Models, rng: random.Random, folder: Path, whole: float) -> tuple[Path, str]:
    """Links to the files of a model, whole with this chance, and its kind."""
    kind = rng.choice(models.KINDS)
    return copy(models.root / ("whole" if rng.random() < whole else "hollow") / kind, folder / "train"), kind


def _command(train: Path, kind: str, rng: random.Random, snapshot: Path | None = None) -> list[str | Path]:
    command: list[str | Path] = [
        "import",
        "deeplabcut",
        snapshot or train / SNAPSHOT,
        "--out",
        train.parent / "run",
    ]
    if kind == "detected" and rng.random() < 0.9:
        command += ["--detector", train / DETECTOR]
    if rng.random() < 0.2:
        command += ["--config", rng.choice((train, train / CONFIG))]
    return command


def _save(path: Path, content: Any, zipped: bool = True) -> None:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    put(path, stream.getvalue())


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _described(train: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((train / CONFIG).read_text())
    return content


def _description(models: Models, rng: random.Random, folder: Path) -> Example:
    train, kind = _train(models, rng, folder, whole=0.35)
    file = train / CONFIG
    chance = rng.random()
    if chance < 0.08:
        about = spoil_place(file, rng)
    elif chance < 0.16:
        about = "bytes"
        put(file, spoil_bytes(file.read_bytes(), rng))
    else:
        about = "content"
        put(file, spoil_yaml(_described(train), rng))
    return Example(_command(train, kind, rng), f"{kind}, description {about}")


def _file(models: Models, rng: random.Random, folder: Path) -> Example:
    """A file of weights as a file: its bytes, its zip bombs."""
    train, kind = _train(models, rng, folder, whole=0.15)
    file = train / (DETECTOR if kind == "detected" and rng.random() < 0.5 else SNAPSHOT)
    about = rng.choice(("bytes", "bytes", "zip", "zip", "place", "bomb", "old", "old", "other"))
    if about == "bytes":
        put(file, _few_bytes(file.read_bytes(), rng))
    elif about == "zip":
        about = spoil_checkpoint(file, rng)
    elif about == "place":
        about = spoil_place(file, rng)
    elif about == "bomb":
        bomb = rng.choice((Bomb(), {"model": Bomb()}, {"model": {"a": torch.zeros(1)}, "metadata": Bomb()}))
        if rng.random() < 0.3:
            put(file, pickle.dumps(bomb, protocol=rng.choice((0, 2, 4))))
        else:
            _save(file, bomb, zipped=rng.random() < 0.5)
    elif about == "old":  # as torch wrote files before it zipped them
        _save(file, _load(models.root / "hollow" / kind / SNAPSHOT), zipped=False)
        if rng.random() < 0.8:
            put(file, spoil_bytes(file.read_bytes(), rng))
    else:
        put(file, rng.choice([p for p in sorted(train.iterdir()) if p != file]).read_bytes())
    return Example(_command(train, kind, rng), f"{kind}, {file.name} {about}")


def _few_bytes(data: bytes, rng: random.Random) -> bytes:
    """As :func:`spoil_bytes`; of a large file only its beginning and its end, where it says what it holds."""
    if len(data) < 1 << 20:
        return spoil_bytes(data, rng)
    size = 20_000
    return (
        spoil_bytes(data[:size], rng) + data[size:]
        if rng.random() < 0.4
        else data[:-size] + spoil_bytes(data[-size:], rng)
    )


def _weights(models: Models, rng: random.Random, folder: Path) -> Example:
    """A whole model, of which one weight or more is another."""
    train, kind = _train(models, rng, folder, whole=1.0)
    file = train / (DETECTOR if kind == "detected" and rng.random() < 0.7 else SNAPSHOT)
    content = _load(file)
    about = [_other_weight(content["model"], rng) for _ in range(rng.choice((1, 1, 2)))]
    _save(file, content)
    return Example(_command(train, kind, rng), f"{kind}, {file.name} {', '.join(about)}")


def _other_weight(state: dict[str, Any], rng: random.Random) -> str:
    names = sorted(map(str, state))
    # The few weights of a head are as interesting as the many of a backbone.
    name = rng.choice(rng.choice((names, [n for n in names if "head" in n] or names)))
    tensor = state.get(name)
    if not isinstance(tensor, Tensor):
        return "same"
    about = rng.choice(("gone", "renamed", "more", *("shape", "values", "dtype", "kind") * 2, "no tensor"))
    if about == "gone":
        del state[name]
    elif about == "renamed":
        state[rng.choice((name[:-1], f"{name}.weight", rng.choice(names), *TEXTS))] = state.pop(name)
    elif about == "more":
        state[rng.choice(("x", f"model.{name}", name.replace("0", "1"), rng.choice(TEXTS)))] = tensor
    elif about == "shape":
        flat = tensor.reshape(-1)
        state[name] = rng.choice((flat, tensor[..., None], flat[:0], flat[:1], torch.cat([flat, flat])))
    elif about == "values":
        state[name] = _filled(tensor, rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e30)))
    elif about == "dtype":
        state[name] = tensor.to(rng.choice(_DTYPES))
    elif about == "kind":
        state[name] = _other_kind(tensor, rng)
    else:
        state[rng.choice((name, "x"))] = rng.choice(odd_values())
    return about


_DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int64, torch.bool, torch.complex64)


def _filled(tensor: Tensor, value: float) -> Tensor:
    """All one value; counters of batches are integers and have no NaN."""
    return torch.full_like(tensor, value if tensor.is_floating_point() else 3)


def _other_kind(tensor: Tensor, rng: random.Random) -> Any:
    """The same shape, and not plain numbers in memory."""
    kinds = ["transposed", "one number", "meta", "sparse", "quantized", "parameter", "float8"]
    kind = rng.choice(kinds)
    if kind == "transposed":
        return tensor.T if tensor.ndim == 2 else tensor.permute(tuple(reversed(range(tensor.ndim))))
    if kind == "one number":
        return torch.zeros(()).expand(rng.choice((tuple(tensor.shape), (10**6, 10**6))))
    if kind == "meta":
        return tensor.to("meta")
    if kind == "sparse":
        return tensor.to_sparse()
    if kind == "quantized":
        return torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8)
    if kind == "float8":
        return tensor.to(torch.float8_e4m3fn)
    return torch.nn.Parameter(tensor.float())


def _content(models: Models, rng: random.Random, folder: Path) -> Example:
    """What stands beside the weights in a snapshot, and under which keys."""
    train, kind = _train(models, rng, folder, whole=0.3)
    file = train / (DETECTOR if kind == "detected" and rng.random() < 0.3 else SNAPSHOT)
    content = _load(file)
    about = rng.choice(("metadata", "metadata", "metadata", "model", "key", "top"))
    if about == "metadata":
        metadata = {"epoch": 100, "metrics": {"metrics/test.rmse": 2.5, "metrics/test.mAP": 1}}
        content["metadata"] = rng.choice((spoil_tree(metadata, rng), rng.choice(_objects())))
    elif about == "model":
        content["model"] = rng.choice(_objects())
    elif about == "key":
        content[rng.choice(("pose", "config", "detector", "weights", "state_dict", 3, *TEXTS))] = content.pop(
            "model"
        )
    else:
        content = rng.choice((content["model"], rng.choice(_objects())))
    _save(file, content, zipped=rng.random() < 0.8)
    return Example(_command(train, kind, rng), f"{kind}, {file.name}: {about}")


def _objects() -> list[Any]:
    """What a file of weights can hold besides what YAML can."""
    more = [
        torch.zeros(2),
        torch.ones(()),
        (1, 2),
        {1: 2},
        {(1, 2): [3]},
        {1, 2},
        b"x",
        1 + 2j,
        torch.float32,
    ]
    return [*odd_values(), *more, torch.Size([1, 2]), OrderedDict(a=torch.zeros(1)), {"": torch.zeros(1)}]


def _exported(models: Models, rng: random.Random, folder: Path) -> Example:
    """One file with the description inside."""
    train, kind = _train(models, rng, folder, whole=0.4)
    weights = _load(train / SNAPSHOT)["model"]
    config = _described(train)
    content: dict[str, Any] = {"config": config, "pose": weights}
    if kind == "detected":
        content["detector"] = _load(train / DETECTOR)["model"]
    chance = rng.random()
    if chance < 0.5:
        content["config"] = spoil_tree(config, rng)
        about = "config"
    elif chance < 0.75:
        path = rng.choice([p for p in paths(config) if p])
        get(config, path[:-1])[path[-1]] = rng.choice(_objects())
        about = "config, objects"
    else:
        content[rng.choice(("config", "pose", "detector"))] = rng.choice((weights, *_objects()))
        about = "parts"
    file = folder / "exported.pt"
    _save(file, content)
    return Example(_command(train, "exported", rng, file), f"{kind}, exported {about}")


def _project(models: Models, rng: random.Random, folder: Path) -> Example:
    """The project of the model: named, found above the snapshot, or where the description says."""
    project = copy(rng.choice((models.material.dlc, models.material.dlc_multi)), folder / "project")
    content = yaml.safe_load((project / "config.yaml").read_text())
    if rng.random() < 0.5:
        content |= {
            "bodyparts": ["nose", "tail"],
            "skeleton": [["nose", "tail"]],
            "multianimalproject": False,
        }
    file = project / "config.yaml"
    how = rng.choice(("--data", "--data", "above", "named"))
    kind = rng.choice(models.KINDS)
    place = (
        project / "dlc-models-pytorch/iteration-0/reachJan7-trainset95shuffle1" if how == "above" else folder
    )
    place.mkdir(parents=True, exist_ok=True)
    train = copy(models.root / ("whole" if rng.random() < 0.35 else "hollow") / kind, place / "train")
    if how == "named":
        described = _described(train)
        described["metadata"]["project_path"] = str(project)
        put(train / CONFIG, yaml.safe_dump(described).encode())
    about = "content"
    if rng.random() < 0.1:
        put(file, yaml.safe_dump(content).encode())
        about = spoil_place(file, rng)
    elif rng.random() < 0.15:
        put(file, spoil_bytes(yaml.safe_dump(content, sort_keys=False).encode(), rng))
        about = "bytes"
    else:
        put(file, spoil_yaml(content, rng))
    command = _command(train, kind, rng)
    if how == "--data":
        command += ["--data", rng.choice((project, file, project / "labeled-data", folder / "nowhere"))]
    command[command.index("--out") + 1] = folder / "run"
    return Example(command, f"{kind}, project {how} {about}")


def _settings(models: Models, rng: random.Random, folder: Path) -> Example:
    """``--set`` of the importer, and files given for one another."""
    train, kind = _train(models, rng, folder, whole=0.3)
    command = _command(train, kind, rng)
    for _ in range(rng.choice((0, 1, 1, 2))):
        key = rng.choice(("as_trained", "as_trained", "as_traned", "type", "as_trained.type", *TEXTS))
        value = rng.choice((*RAW_YAML, *TEXTS, "true", "false", "1", "yes", "{a: 1}", "[true]"))
        text = (
            f"{key}={value}".replace("\0", "").encode("utf-8", "replace").decode()
        )  # as the shell passes it
        command += ["--set", text]
    if rng.random() < 0.3:
        option = rng.choice(("--detector", "--config", "--data"))
        command += [
            option,
            rng.choice((*sorted(train.iterdir()), train, folder / "nowhere", Path("/dev/null"))),
        ]
    return Example(command, f"{kind}, settings")


def _fuzz(models: Models, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: range) -> None:
    # Nothing is unplugged here, and waiting for the disk would take most of the time of those that succeed.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    check(fuzz(FAMILY, numbers, lambda rng, place: make_import(models, rng, place), folder))


def test_fuzz_some_imports(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fuzz(models, tmp_path, monkeypatch, range(1000, 1016))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_fuzz_1000_imports(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    _fuzz(models, tmp_path, monkeypatch, range(250 * part, 250 * (part + 1)))
