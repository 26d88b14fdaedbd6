"""Files of weights that hold objects of classes that are not here: read without them, and without running them."""

from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from pose_core.interfaces import load_plain, refused_global


class Settings:
    """Stands for a class of a training framework, with what pickles do to objects."""

    def __init__(self, **values: Any) -> None:
        self.values, self.parent = values, self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (), {"values": self.values, "parent": self}


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package that is there while files are written."""
    module = types.ModuleType("framework.settings")
    module.Settings = Settings  # type: ignore[attr-defined]
    monkeypatch.setattr(Settings, "__module__", "framework.settings")
    monkeypatch.setitem(sys.modules, "framework", types.ModuleType("framework"))
    monkeypatch.setitem(sys.modules, "framework.settings", module)
    return module


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return os.system, (self.text,)


@pytest.fixture
def written(framework: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with such objects, whose package is gone."""
    content = {"state_dict": {"a": torch.arange(3.0)}, "hyper": Settings(lr=1, kinds=[int, dict]), "epoch": 3}
    file = tmp_path / "best.ckpt"
    torch.save(content, file)
    for name in ("framework", "framework.settings"):
        monkeypatch.delitem(sys.modules, name)
    return file


def test_only_weights_are_wanted(written: Path) -> None:
    content = load_plain(written, inert=("framework.",))
    torch.testing.assert_close(content["state_dict"]["a"], torch.arange(3.0))
    assert content["epoch"] == 3
    # What takes its place is no dict, and keeps nothing.
    assert not isinstance(content["hyper"], dict)
    assert vars(content["hyper"]) == {}
    assert "framework.settings" not in sys.modules


@pytest.mark.parametrize("inert", [(), ("other.",), ("framework.other",)])
def test_other_classes_are_named(written: Path, inert: tuple[str, ...]) -> None:
    with pytest.raises(pickle.UnpicklingError) as error:
        load_plain(written, inert=inert)
    assert refused_global(error.value) == "framework.settings.Settings"


def test_commands_are_not_run(tmp_path: Path) -> None:
    file, sign = tmp_path / "bad.ckpt", tmp_path / "ran"
    torch.save({"a": torch.zeros(1), "bomb": Command(f"touch {sign}")}, file)
    with pytest.raises(pickle.UnpicklingError) as error:
        load_plain(file, inert=("omegaconf.",))
    assert refused_global(error.value) in ("posix.system", "nt.system")
    # torch's reader knows such modules, and refuses them even where somebody names them.
    with pytest.raises(pickle.UnpicklingError):
        load_plain(file, inert=("posix.", "nt."))
    assert not sign.exists()


def test_names_do_not_stay_known(written: Path) -> None:
    load_plain(written, inert=("framework.",))
    with pytest.raises(pickle.UnpicklingError):
        load_plain(written)
