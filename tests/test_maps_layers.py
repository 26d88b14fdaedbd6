"""Layers that make maps: their grid, start values, names and keypoint axes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pose_core.interfaces import Grid, KeypointAxis
from pose_core.maps import (
    Deconvolutions,
    deconv_grid,
    init_flat,
    make_deconvolution,
    prior_bias,
    repeat_names,
    stack_axes,
)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_grid_is_where_an_impulse_comes_out(padding: str, layers: int, kernel: int) -> None:
    stride = 16
    stack = Deconvolutions(1, 1, layers=layers, hidden=2, kernel=kernel, padding=padding)
    for layer in stack.modules():
        if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d):
            nn.init.ones_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    feature = torch.zeros(1, 1, 9, 9)
    feature[0, 0, 4, 5] = 1
    with torch.no_grad():
        response = stack(feature)[0, 0]
    grid = deconv_grid(Grid.cells(stride), layers, kernel, padding)
    rows, columns = (grid.centres(n) for n in response.shape)
    total = response.sum()
    centre = ((response.sum(0) * columns).sum() / total, (response.sum(1) * rows).sum() / total)
    wanted = Grid.cells(stride).to_pixels(torch.tensor([5.0, 4.0]))
    torch.testing.assert_close(torch.stack(centre), wanted)


def test_grids_in_numbers() -> None:
    cells = Grid.cells(16)
    assert deconv_grid(cells, 1, 3, "same") == Grid(stride=8, offset=7.5)
    assert deconv_grid(cells, 1, 3, "valid") == Grid(stride=8, offset=-0.5)
    assert deconv_grid(cells, 1, 4, "same") == Grid.cells(8)
    assert deconv_grid(Grid.cells(4), 0, 3, "same") == Grid.cells(4)
    assert cells.with_offset(None) == cells
    assert cells.with_offset(8.0) == Grid(stride=16, offset=8.0)


@pytest.mark.parametrize(("padding", "size"), [("same", (8, 14)), ("valid", (9, 15))])
def test_padding_decides_the_size(padding: str, size: tuple[int, int]) -> None:
    assert make_deconvolution(3, 2, 3, padding)(torch.zeros(1, 3, 4, 7)).shape == (1, 2, *size)


def test_deconvolutions_keep_the_variance_behind_a_relu() -> None:
    torch.manual_seed(0)
    layer = make_deconvolution(256, 64, 4, "same")
    out = layer(torch.randn(2, 256, 12, 12).relu())[..., 2:-2, 2:-2]
    # He et al.: half of the mean square of the output's input is lost to the ReLU, the factor 2 brings it
    # back.
    assert 0.8 < float(out.detach().square().mean()) < 1.2


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_maps_start_flat_at_the_bias(layers: int) -> None:
    torch.manual_seed(0)
    maps = Deconvolutions(16, 3, layers=layers, hidden=16, kernel=3, padding="same", bias=-4.0)
    out = maps(torch.randn(1, 16, 6, 6).to(memory_format=torch.channels_last))
    assert out.is_contiguous()
    assert (out + 4).abs().max() < 0.1
    linear = nn.Linear(4, 2)
    init_flat(linear, 2.5)
    assert torch.equal(linear.bias, torch.full((2,), 2.5))


def test_logits_start_at_the_prior() -> None:
    assert prior_bias(False) == 0.0
    assert math.isclose(1 / (1 + math.exp(-prior_bias(True))), 0.01)
    assert math.isclose(1 / (1 + math.exp(-prior_bias(True, 0.2))), 0.2)


def test_parameters_have_the_names_that_saved_weights_have() -> None:
    def names(layers: int) -> list[str]:
        return sorted(Deconvolutions(4, 2, layers=layers, hidden=4, kernel=3, padding="same").state_dict())

    assert names(0) == ["final_conv.bias", "final_conv.weight"]
    assert names(2) == [f"deconv_layers.{i}.{what}" for i in (0, 2) for what in ("bias", "weight")]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_axes_of_a_stack_are_those_of_its_last_layer(layers: int) -> None:
    stack = Deconvolutions(4, 4, layers=layers, hidden=5, kernel=3, padding="same")
    entries = repeat_names(("nose", "tail"), 2)
    axes = stack_axes("head", stack, entries, individuals=True)
    parameters = {f"head.{name}": tensor for name, tensor in stack.named_parameters()}
    assert len(axes) == 2
    for name, (axis,) in axes.items():
        assert axis == KeypointAxis(axis.axis, (("nose",), ("nose",), ("tail",), ("tail",)), True)
        assert parameters[name].shape[axis.axis] == 4
    last = f"head.deconv_layers.{2 * layers - 2}" if layers else "head.final_conv"
    assert set(axes) == {f"{last}.weight", f"{last}.bias"}


def test_axes_of_inputs_are_those_of_the_first_layer() -> None:
    stack = nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.ReLU(), nn.Conv2d(3, 4, 1))
    axes = stack_axes("s", stack, [("a", "b")] * 4, [("a",), ()])
    assert axes["s.0.weight"] == (KeypointAxis(0, (("a",), ())),)
    assert axes["s.2.weight"] == (KeypointAxis(0, (("a", "b"),) * 4),)
    assert stack_axes("one", nn.Conv2d(1, 1, 1), [("a",)]).keys() == {"one.weight", "one.bias"}
