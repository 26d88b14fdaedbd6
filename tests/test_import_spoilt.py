"""Spoilt models of DeepLabCut, each of a kind that once ended in a traceback, or in a warning of Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from deeplabcut_models import Model, description
from torch import Tensor

from pose_core.errors import ConfigError, RunError, WeightsError
from pose_core.interfaces.hub import misfits, read_tensors
from pose_core.runs.importing import import_model


@pytest.fixture
def hollow(tmp_path: Path) -> Model:
    """A model with hardly any weights, where only the files around them matter."""
    return Model(tmp_path / "train", description(), hollow=True)


STORED: list[tuple[Callable[[Tensor], Tensor], str]] = [
    (lambda tensor: tensor.to("meta"), "a tensor without values"),
    (lambda tensor: tensor.to_sparse(), "sparse"),
    (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "quantized"),
    (lambda tensor: tensor.to(torch.complex64), "made of complex numbers"),
]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")  # its files stay
@pytest.mark.parametrize(("store", "problem"), STORED)
def test_weights_that_are_no_plain_numbers(
    hollow: Model, store: Callable[[Tensor], Tensor], problem: str
) -> None:
    name = "backbone.model.conv1.weight"
    hollow.weights[name] = store(torch.ones(64, 3, 7, 7))
    hollow.save()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of some of them, as it reads or as it copies
        assert f"weights are not plain numbers: {name} is {problem}" in hollow.refused()
        tensors = read_tensors(hollow.snapshot).tensors
    assert misfits({name: torch.ones(64, 3, 7, 7)}, tensors) == [f"{name} is {problem}"]


def test_an_empty_snapshot(hollow: Model) -> None:
    hollow.snapshot.write_bytes(b"")
    assert "is empty or incomplete" in hollow.refused()
    with pytest.raises(WeightsError, match="damaged"):
        read_tensors(hollow.snapshot)


def test_a_crop_that_the_network_cannot_take_is_no_defect_of_its_plugin(tmp_path: Path) -> None:
    content = description(top_down=True)
    content["data"]["inference"]["top_down_crop"] = {"width": 96, "height": 50}
    model = Model(tmp_path / "train", content)
    with pytest.raises(
        RunError, match=r"must be multiples of 32 for this network; use \[64, 96\] instead of \[50, 96\]"
    ):
        import_model("deeplabcut", model.snapshot, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_description_that_lacks_a_key_says_which(hollow: Model) -> None:
    del hollow.content["model"]["heads"]["bodypart"]["target_generator"]["type"]
    hollow.save()
    assert "model.heads.bodypart: is not as DeepLabCut 3.0.2 writes it (it lacks 'type')" in hollow.refused()


@pytest.mark.parametrize("key", ["[/]", "~", "C:\\con", "as_traned"])
def test_a_setting_that_the_importer_does_not_have(hollow: Model, tmp_path: Path, key: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^importer\..*: unknown key; (known keys are|did you mean) .*as_trained"
    ):
        import_model({"type": "deeplabcut", key: 1}, hollow.snapshot, tmp_path / "run")
