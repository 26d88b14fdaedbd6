"""Model folders as SLEAP-NN's training writes them, made without SLEAP-NN.

Names and shapes of weights are those of sleap-nn 0.3.5 (``parity/sleap/models.json``), their values the formula with
which the outputs in that file were made. Beside the weights the checkpoint holds its configuration as objects of
classes that are not installed here.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[2] / "parity" / "sleap"
MADE: dict[str, Any] = json.loads((FOLDER / "models.json").read_text(encoding="utf-8"))


def load_module(name: str) -> Any:
    """A module that both sides of the comparison read."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _known(module: Any, name: str) -> Iterator[None]:
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before


with _known(load_module("cases"), "cases"):
    models = load_module("models")
cases = sys.modules["cases"]
for _name in ("cases", "models"):
    # Under these names other folders have modules, too (parity/cases.py).
    sys.modules.pop(_name, None)


class DictConfig:
    """Stands for omegaconf's: the configuration as an object, with plain values and classes in it."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = dict(content)
        self.flags = {"kinds": [int, dict, str]}
        self.parent = self


def make_weights(name: str) -> dict[str, Tensor]:
    """Weights of a model under SLEAP-NN's names, with ``model.`` before them."""
    ((kind, backbone),) = models.MODELS[name]["model_config"]["backbone_config"].items()
    case = cases.Case(kind, backbone, ())
    weights = {}
    for key, shape in MADE[name]["shapes"].items():
        if key.endswith("relative_position_index"):
            weights[f"model.{key}"] = _positions(int(shape[0]))
        else:
            weights[f"model.{key}"] = models.make_weight(key, cases.our_name(key, case), torch.Size(shape))
    return weights


def _positions(count: int) -> Tensor:
    """For each pair of cells of a window the row of its bias (Liu et al. 2021, section 3.2)."""
    side = round(count**0.25)
    cells = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    between = (cells[:, None] - cells[None]) + side - 1
    return (between[..., 0] * (2 * side - 1) + between[..., 1]).flatten()


def make_config(name: str, version: str = "0.3.5") -> dict[str, Any]:
    """The configuration of a model as plain values that may be changed."""
    content: dict[str, Any] = json.loads(json.dumps(models.MODELS[name]))
    return {**content, "trainer_config": {"max_epochs": 3}, "sleap_nn_version": version}


def write_folder(
    folder: Path,
    name: str = "unet, single_instance",
    config: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder.

    Args:
        folder: made if needed.
        name: of the model in ``parity/sleap/models.py``.
        config: what ``training_config.yaml`` holds.
        weights: of the state dict.
        more: keys of the checkpoint beside the usual ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = make_config(name) if config is None else config
    (folder / "training_config.yaml").write_text(yaml.safe_dump(dict(content), sort_keys=False))
    module = types.ModuleType("omegaconf.dictconfig")
    module.DictConfig = DictConfig  # type: ignore[attr-defined]
    with _known(types.ModuleType("omegaconf"), "omegaconf"), _known(module, "omegaconf.dictconfig"):
        DictConfig.__module__ = "omegaconf.dictconfig"
        try:
            torch.save(
                {
                    "epoch": 2,
                    "global_step": 600,
                    "pytorch-lightning_version": "2.6.1",
                    "state_dict": make_weights(name) if weights is None else weights,
                    "config": DictConfig(content),
                    **(more or {}),
                },
                folder / "best.ckpt",
            )
        finally:
            DictConfig.__module__ = __name__
    return folder
