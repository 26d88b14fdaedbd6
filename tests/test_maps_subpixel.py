"""Sub-pixel refinement of peaks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_core.interfaces import Grid
from pose_core.maps import (
    CellWindows,
    average_offsets,
    find_peaks,
    fit_gaussian,
    fit_parabola,
    highest_cell,
    refine_peaks,
)

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
    index, value = highest_cell(maps)
    assert value.item() <= height * 1.0001
    found = refine_peaks(maps, index, CELLS, window=window)[0, 0, 0]
    assert abs(found[0] - x) < 0.02
    assert abs(found[1] - y) < 0.02
    logits = refine_peaks(maps.clamp(1e-30, 1 - 1e-7).logit(), index, CELLS, window=window, logits=True)[
        0, 0, 0
    ]
    torch.testing.assert_close(logits, found, atol=0.02, rtol=0)


def test_noise_moves_the_fit_less_than_half_a_cell() -> None:
    torch.manual_seed(0)
    truth = torch.rand(500, 2) * 6 + 7
    maps = torch.stack([gaussian((x, y), 1.7, (20, 20)) for x, y in truth.tolist()])[None]
    maps = maps + 0.03 * torch.randn_like(maps)
    index, _ = highest_cell(maps)
    cell, fitted = (
        (refine_peaks(maps, index, CELLS, window=w, locref=zeros)[0, :, 0] - truth).norm(dim=-1)
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
    index, _ = highest_cell(maps)
    found = refine_peaks(maps, index, CELLS, locref=locref, share=1.0, window=5)[0, 0, 0]
    torch.testing.assert_close(found, torch.tensor([(3.3 + 0.5 * 3.0) / 1.5, (3.0 + 0.5 * 3.3) / 1.5]))
    alone = refine_peaks(maps, index, CELLS, locref=locref, window=1)[0, 0, 0]
    torch.testing.assert_close(alone, torch.tensor([3.3, 3.0]))


def test_peaks_are_padded_with_nan() -> None:
    maps = torch.zeros(2, 1, 9, 12)
    maps[0, 0, 1, 2], maps[0, 0, 7, 9] = 0.5, 0.9
    positions, scores = find_peaks(maps, Grid.cells(4), 4)
    assert torch.isnan(positions[1]).all()
    assert torch.isnan(positions[0, 0, 2:]).all()
    assert torch.isfinite(positions[0, 0, :2]).all()
    assert scores[0, 0].tolist() == pytest.approx([0.9, 0.5, 0, 0])


def test_more_peaks_than_cells_can_be_asked_for() -> None:
    positions, scores = find_peaks(torch.rand(1, 2, 2, 2), CELLS, 10)
    assert positions.shape == (1, 2, 10, 2)
    assert (scores > 0).sum() == 2


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (4, 1)])
def test_tiny_maps(size: tuple[int, int]) -> None:
    maps = torch.rand(1, 3, *size)
    index, _ = highest_cell(maps)
    found = refine_peaks(maps, index, CELLS, locref=torch.zeros(1, 6, *size))
    assert torch.isfinite(found).all()


@given(x=st.floats(1.0, 17.0), y=st.floats(1.0, 11.0), sigma=st.floats(0.8, 4.0), height=st.floats(0.05, 1.0))
def test_a_parabola_is_exact_for_gaussians(x: float, y: float, sigma: float, height: float) -> None:
    maps = height * gaussian((x, y), sigma, (13, 19))[None, None]
    found = fit_parabola(maps, highest_cell(maps)[0])[0, 0, 0]
    torch.testing.assert_close(found, torch.tensor([x, y]), atol=5e-3, rtol=0)


def test_a_parabola_stays_on_the_edge_and_on_plateaus() -> None:
    maps = torch.ones(1, 1, 4, 5)
    index = torch.tensor([[[0, 7, 19]]])
    assert fit_parabola(maps, index)[0, 0].tolist() == [[0, 0], [2, 1], [4, 3]]
    windows = CellWindows.around(maps, index, 3)
    assert fit_gaussian(windows, CELLS)[0, 0].tolist() == [[0, 0], [2, 1], [4, 3]]


@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    side=st.sampled_from([1, 3, 5, 7]),
    shifted=st.booleans(),
)
def test_windows_are_cut_out_of_their_maps(
    seed: int, size: tuple[int, int], side: int, shifted: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, *size, generator=generator) + 1
    index = torch.randint(0, size[0] * size[1], (2, 3, 4), generator=generator)
    windows = CellWindows.around(maps, index, side, shifted=shifted)
    for b, k, m in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4)).tolist():
        columns, rows = windows.columns[b, k, m].tolist(), windows.rows[b, k, m].tolist()
        x, y = windows.peaks[b, k, m].tolist()
        assert y * size[1] + x == index[b, k, m]
        assert x in columns
        assert y in rows
        assert len(columns) == (side if not shifted else min(side, 2 * ((size[1] - 1) // 2) + 1))
        if not shifted:
            assert (columns[side // 2], rows[side // 2]) == (x, y)
        for j, row in enumerate(rows):
            for i, column in enumerate(columns):
                there = 0 <= row < size[0] and 0 <= column < size[1]
                assert there or not shifted
                expected = float(maps[b, k, row, column]) if there else 0.0
                assert float(windows.values[b, k, m, j, i]) == expected


def test_offsets_are_averaged_by_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    maps, locref = torch.rand(1, 2, 6, 7, generator=generator), torch.randn(1, 4, 6, 7, generator=generator)
    index = torch.tensor([[[16], [40]]])
    windows = CellWindows.around(maps, index, 3, shifted=False)
    weight = torch.rand(windows.values.shape, generator=generator) * (windows.values > 0)
    grid = Grid.cells(4)
    found = average_offsets(windows, weight, locref, grid)
    for k in range(2):
        places, weights = [], []
        for j in range(3):
            for i in range(3):
                column, row = int(windows.columns[0, k, 0, i]), int(windows.rows[0, k, 0, j])
                if 0 <= column < 7 and 0 <= row < 6:
                    cell = grid.to_pixels(torch.tensor([float(column), float(row)]))
                    places.append(cell + locref[0, 2 * k : 2 * k + 2, row, column])
                    weights.append(weight[0, k, 0, j, i])
        total = torch.stack(weights)
        expected = (torch.stack(places) * total[:, None]).sum(0) / total.sum()
        torch.testing.assert_close(found[0, k, 0], expected)


@given(st.integers(0, 10_000), st.integers(0, 5), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_the_mean_of_cells_is_their_centre_of_mass(seed: int, row: int, column: int) -> None:
    """Against a sum over cells, at the edge of the map too, where nothing lies beyond."""
    torch.manual_seed(seed)
    maps = torch.rand(1, 1, 6, 8) - 0.1
    index = torch.tensor([[[row * 8 + column]]])
    total = x = y = 0.0
    for j in range(max(row - 2, 0), min(row + 3, 6)):
        for i in range(max(column - 2, 0), min(column + 3, 8)):
            value = float(maps[0, 0, j, i])
            total, x, y = total + value, x + value * i, y + value * j
    grid = Grid(stride=4, offset=1.5)
    found = refine_peaks(maps, index, grid, fit="integral")[0, 0, 0]
    torch.testing.assert_close(found, torch.tensor([x, y]) / total * 4 + 1.5, rtol=1e-4, atol=1e-3)


def test_the_mean_of_cells_of_logits_takes_nothing_from_beyond_the_map() -> None:
    chances = gaussian((1.0, 0.0), 1.2, (6, 8)).clamp(1e-6, 1 - 1e-6)[None, None]
    index, _ = highest_cell(chances)
    one, other = (
        refine_peaks(maps, index, CELLS, fit="integral", logits=logits)
        for maps, logits in ((chances.logit(), True), (chances, False))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_maps_that_add_up_to_nothing_give_the_cell_itself() -> None:
    maps = torch.zeros(1, 1, 6, 8)
    assert refine_peaks(maps, torch.tensor([[[19]]]), CELLS, fit="integral")[0, 0, 0].tolist() == [3, 2]
