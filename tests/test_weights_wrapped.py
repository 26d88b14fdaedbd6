"""Files of weights whose names carry the prefixes of wrappers, and weights that are no numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_run import make_run
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pose_core.errors import WeightsError
from pose_core.interfaces import find_non_finite, read_tensors, unwrap, without_common_prefix
from pose_core.model.build import build_model
from pose_core.runs.run_folder import Run
from pose_core.runs.start import start_from

PREFIXES = ["module.", "_orig_mod.", "model.", "network.", "module.module.", "student._orig_mod.module.", ""]
names = st.lists(st.sampled_from(["conv", "bn", "layer1", "head", "modules"]), min_size=1, max_size=3)
trees = st.lists(names.map(".".join), min_size=2, max_size=6, unique=True).filter(
    lambda found: len({name.partition(".")[0] for name in found}) > 1
)


@given(
    tree=trees,
    wrappers=st.lists(st.sampled_from(["module", "_orig_mod", "_fsdp_wrapped_module"]), max_size=4),
)
def test_any_wrappers_of_torch_leave_the_names_as_they_were(tree: list[str], wrappers: list[str]) -> None:
    state = {name: torch.zeros(1) for name in tree}
    wrapped = {".".join([*wrappers, name]): tensor for name, tensor in state.items()}
    assert list(unwrap(wrapped)) == tree
    # Wrapped once more part by part.
    parts = {
        f"{n.partition('.')[0]}._orig_mod.{n.partition('.')[2]}".rstrip("."): t for n, t in wrapped.items()
    }
    assert list(unwrap(parts)) == tree


def test_a_part_that_is_called_module_beside_others_keeps_its_name() -> None:
    state = {"a.module.weight": torch.zeros(1), "a.other.weight": torch.zeros(1), "module": torch.zeros(1)}
    assert list(unwrap(state)) == list(state)


def test_an_averaged_model_is_the_model_that_it_averages() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    averaged = AveragedModel(nn.DataParallel(network))
    assert list(unwrap(averaged.state_dict())) == list(network.state_dict())


def test_two_weights_never_become_one() -> None:
    state = {"a._orig_mod.w": torch.zeros(1), "a.w": torch.ones(1), "b": torch.zeros(1)}
    assert unwrap(state) == state


def test_shorter_readings_end_where_names_part() -> None:
    state = {"model.net.a.x": torch.zeros(1), "model.net.b": torch.zeros(1)}
    assert [list(reading) for reading in without_common_prefix(state)] == [["net.a.x", "net.b"], ["a.x", "b"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", seed=3)


def write(path: Path, state: dict[str, Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save({"state_dict": state, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("part", ["model", "backbone"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_wrapped_file_starts_a_training_as_the_plain_one(
    prefix: str, part: str, suffix: str, run: Path, tmp_path: Path
) -> None:
    opened = Run.open(run)
    trained, fresh = opened.read_weights(), build_model(opened.spec)
    shown = trained if part == "model" else {k.removeprefix("backbone."): v for k, v in trained.items()}
    if part == "backbone":
        shown = {k: v for k, v in shown.items() if f"backbone.{k}" in trained}
    path = write(tmp_path / f"weights{suffix}", {prefix + name: tensor for name, tensor in shown.items()})
    start_from(fresh, str(path))
    for name, tensor in fresh.state_dict().items():
        if part == "model" or name.startswith("backbone."):
            assert torch.equal(tensor, trained[name]), name


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_file_with_values_that_are_no_numbers_is_refused(
    value: float, suffix: str, run: Path, tmp_path: Path
) -> None:
    state = Run.open(run).read_weights()
    name = sorted(n for n, t in state.items() if t.is_floating_point())[2]
    state[name] = state[name].clone()
    state[name].view(-1)[0] = value
    path = write(tmp_path / f"weights{suffix}", state)
    fresh = build_model(Run.open(run).spec)
    with pytest.raises(WeightsError) as caught:
        start_from(fresh, str(path))
    assert str(caught.value).startswith(f"{path}: weight {name} holds values that are NaN or infinite")
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="NaN or infinite"):
        read_tensors(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_type_of_number_is_looked_at(dtype: torch.dtype) -> None:
    good, bad = torch.ones(3, dtype=dtype), torch.tensor([1, float("nan")]).to(dtype)
    assert find_non_finite({"a": good, "i": torch.ones(2, dtype=torch.int64)}) == ""
    assert find_non_finite({"a": good, "b": bad, "c": bad}) == "b"
