"""Peaks of heatmaps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_heatmap.peaks import find_peaks, highest, local_maxima, locate
from torch import Tensor

from pose_core.interfaces import Grid

CELLS = Grid(stride=1, offset=0)


def gaussian(centre: tuple[float, float], sigma: float, size: tuple[int, int]) -> Tensor:
    x, y = torch.arange(size[1]) - centre[0], torch.arange(size[0]) - centre[1]
    return torch.exp(-(x.square() + y.square()[:, None]) / (2 * sigma**2))


@pytest.mark.parametrize("window", [3, 5, 7])
@given(
    x=st.floats(-0.4, 19.4),
    y=st.floats(-0.4, 13.4),
    sigma=st.floats(0.8, 4.0),
    height=st.floats(0.05, 1.0),
)
@settings(max_examples=30, deadline=None)
def test_gaussians_of_any_width_and_height_are_located(
    window: int, x: float, y: float, sigma: float, height: float
) -> None:
    maps = height * gaussian((x, y), sigma, (14, 20))[None, None]
    index, value = highest(maps)
    assert value.item() <= height * 1.0001
    found = locate(maps, index, CELLS, window=window)[0, 0, 0]
    assert abs(found[0] - x) < 0.02
    assert abs(found[1] - y) < 0.02
    logits = locate(maps.clamp(1e-30, 1 - 1e-7).logit(), index, CELLS, window=window, logits=True)[0, 0, 0]
    torch.testing.assert_close(logits, found, atol=0.02, rtol=0)


def test_noise_moves_the_fit_less_than_half_a_cell() -> None:
    torch.manual_seed(0)
    truth = torch.rand(500, 2) * 6 + 7
    maps = torch.stack([gaussian((x, y), 1.7, (20, 20)) for x, y in truth.tolist()])[None]
    maps = maps + 0.03 * torch.randn_like(maps)
    index, _ = highest(maps)
    cell, fitted = (
        (locate(maps, index, CELLS, window=w, locref=zeros)[0, :, 0] - truth).norm(dim=-1)
        for w, zeros in ((1, torch.zeros(1, 1000, 20, 20)), (5, None))
    )
    assert fitted.mean() < 0.2
    assert fitted.mean() < 0.5 * cell.mean()
    assert fitted.max() < 1


def test_vote_averages_the_cells_that_know() -> None:
    maps = torch.zeros(1, 1, 7, 7)
    maps[0, 0, 3, 3], maps[0, 0, 3, 4], maps[0, 0, 2, 3] = 1.0, 0.5, 0.4
    locref = torch.full((1, 2, 7, 7), 99.0)
    locref[0, :, 3, 3] = torch.tensor([0.3, 0.0])
    locref[0, :, 3, 4] = torch.tensor([-1.0, 0.3])
    index, _ = highest(maps)
    found = locate(maps, index, CELLS, locref=locref, share=1.0, window=5)[0, 0, 0]
    torch.testing.assert_close(found, torch.tensor([(3.3 + 0.5 * 3.0) / 1.5, (3.0 + 0.5 * 3.3) / 1.5]))
    alone = locate(maps, index, CELLS, locref=locref, window=1)[0, 0, 0]
    torch.testing.assert_close(alone, torch.tensor([3.3, 3.0]))


def test_local_maxima_are_ordered_and_padded() -> None:
    maps = torch.zeros(2, 1, 9, 12)
    maps[0, 0, 1, 2], maps[0, 0, 7, 9], maps[0, 0, 7, 10], maps[0, 0, 0, 11] = 0.5, 0.9, 0.8, 0.005
    index, value = local_maxima(maps, 4, nms=3, threshold=0.01)
    assert value[0, 0].tolist() == pytest.approx([0.9, 0.5, 0, 0])
    assert index[0, 0, :2].tolist() == [7 * 12 + 9, 1 * 12 + 2]
    assert value[1].max() == 0
    positions, scores = find_peaks(maps, Grid.cells(4), 4)
    assert torch.isnan(positions[1]).all()
    assert torch.isnan(positions[0, 0, 2:]).all()
    assert torch.isfinite(positions[0, 0, :2]).all()
    assert scores.shape == (2, 1, 4)


def test_equal_neighbours_are_one_peak() -> None:
    maps = torch.zeros(1, 1, 9, 9)
    maps[0, 0, 4, 4] = maps[0, 0, 4, 5] = maps[0, 0, 5, 4] = maps[0, 0, 5, 5] = 1
    _, value = local_maxima(maps, 5)
    assert (value > 0).sum() == 1


def test_more_peaks_than_cells_can_be_asked_for() -> None:
    positions, scores = find_peaks(torch.rand(1, 2, 2, 2), CELLS, 10)
    assert positions.shape == (1, 2, 10, 2)
    assert (scores > 0).sum() == 2


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (4, 1)])
def test_tiny_maps(size: tuple[int, int]) -> None:
    maps = torch.rand(1, 3, *size)
    index, _ = highest(maps)
    found = locate(maps, index, CELLS, locref=torch.zeros(1, 6, *size))
    assert torch.isfinite(found).all()
