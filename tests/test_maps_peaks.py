"""Local maxima against their definition, cell by cell."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pose_core.maps import (
    find_local_maxima,
    highest_cell,
    is_local_maximum,
    keep_local_maxima,
    order_by_height,
    top_cells,
    unravel_cells,
)


def rounded_maps(seed: int, shape: tuple[int, ...], levels: int) -> Tensor:
    """Random maps of few different heights: full of plateaus, also at the borders."""
    return torch.randint(-levels // 2, levels, shape, generator=torch.Generator().manual_seed(seed)) / levels


def by_definition(plane: Tensor, side: int) -> Tensor:
    """Above all cells of the square that come before it, row by row, and no lower than those that come after
    it."""
    height, width = plane.shape
    values: Any = plane.tolist()
    found = torch.zeros(height, width, dtype=torch.bool)
    reach = side // 2
    for y in range(height):
        for x in range(width):
            around = [
                (values[j][i], -(j * width + i))
                for j in range(max(0, y - reach), min(height, y + reach + 1))
                for i in range(max(0, x - reach), min(width, x + reach + 1))
            ]
            found[y, x] = max(around) == (values[y][x], -(y * width + x))
    return found


@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    side=st.sampled_from([1, 3, 5, 7, 9, 11, 31]),
    levels=st.sampled_from([1, 2, 4, 1000]),
)
def test_maxima_are_those_of_the_definition(seed: int, size: tuple[int, int], side: int, levels: int) -> None:
    maps = rounded_maps(seed, (2, 2, *size), levels)
    found = is_local_maximum(maps, side)
    for plane, mask in zip(maps.flatten(0, 1), found.flatten(0, 1), strict=True):
        assert torch.equal(mask, by_definition(plane, side))


@given(seed=st.integers(0, 10**6), side=st.sampled_from([3, 5, 9]), levels=st.sampled_from([3, 1000]))
def test_maxima_are_those_of_pooling(seed: int, side: int, levels: int) -> None:
    """The slower way, which was here before: a cell is a maximum when pooling reports it itself."""
    maps = rounded_maps(seed, (2, 3, 14, 17), levels)
    _, winner = F.max_pool2d(maps, side, stride=1, padding=side // 2, return_indices=True)
    own = torch.arange(14 * 17).view(14, 17)
    assert torch.equal(is_local_maximum(maps, side), winner == own)


@pytest.mark.parametrize("where", [(0, 0), (0, 6), (6, 0), (6, 6), (3, 0), (0, 3)])
def test_plateaus_at_borders_and_corners_are_one_maximum(where: tuple[int, int]) -> None:
    maps = torch.zeros(1, 1, 8, 8)
    y, x = where
    maps[0, 0, y : y + 2, x : x + 2] = 1
    index, height = find_local_maxima(maps, 5)
    assert height[0, 0].tolist() == [1, 0, 0, 0, 0]
    assert index[0, 0, 0] == y * 8 + x, "of equal cells the first"


def test_nan_and_infinity_are_no_maxima_but_do_not_spoil_others() -> None:
    maps = torch.zeros(1, 1, 12, 12)
    maps[0, 0, 2, 2], maps[0, 0, 9, 9] = math.nan, 0.5
    maps[0, 0, 2, 9] = -math.inf
    found = is_local_maximum(maps, 3)
    assert not found[0, 0, 2, 2]
    assert not found[0, 0, 2, 9]
    assert found[0, 0, 9, 9]


def test_maxima_keep_their_height_above_the_threshold() -> None:
    maps = torch.full((1, 1, 5, 12), -1.0)
    maps[0, 0, 2, 2], maps[0, 0, 2, 7] = -0.25, 0.5
    assert keep_local_maxima(maps, 5).unique().tolist() == [-0.25, 0.0, 0.5]
    kept = keep_local_maxima(maps, 5, threshold=0.2)
    assert kept.nonzero().tolist() == [[0, 0, 2, 7]]
    assert keep_local_maxima(maps, 5, threshold=0.5).count_nonzero() == 0, "not higher than the threshold"


def test_local_maxima_are_ordered_and_padded() -> None:
    maps = torch.zeros(2, 1, 9, 12)
    maps[0, 0, 1, 2], maps[0, 0, 7, 9], maps[0, 0, 7, 10], maps[0, 0, 0, 11] = 0.5, 0.9, 0.8, 0.005
    index, height = find_local_maxima(maps, 4, side=3, threshold=0.01)
    assert height[0, 0].tolist() == pytest.approx([0.9, 0.5, 0, 0])
    assert index[0, 0, :2].tolist() == [7 * 12 + 9, 1 * 12 + 2]
    assert height[1].max() == 0


@given(
    seed=st.integers(0, 10**6), count=st.integers(1, 20), size=st.tuples(st.integers(1, 4), st.integers(1, 4))
)
def test_the_top_cells_are_those_of_sorting(seed: int, count: int, size: tuple[int, int]) -> None:
    maps = torch.rand(2, 2, *size, generator=torch.Generator().manual_seed(seed))
    index, height = top_cells(maps, count)
    assert index.shape == height.shape == (2, 2, count)
    ordered = maps.flatten(2).sort(dim=2, descending=True).values
    have = min(count, ordered.shape[2])
    assert torch.equal(height[..., :have], ordered[..., :have])
    assert torch.equal(height[..., have:], torch.zeros(2, 2, count - have))
    assert torch.equal(maps.flatten(2).gather(2, index[..., :have]), height[..., :have])
    best, value = highest_cell(maps)
    assert torch.equal(value, height[..., :1])
    columns_rows = unravel_cells(best, size[1])
    assert torch.equal(columns_rows[..., 1] * size[1] + columns_rows[..., 0], best)


@given(
    st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 0.25, 1.0]), min_size=4, max_size=4), min_size=1, max_size=5
    )
)
def test_order_by_height_is_a_stable_sort(rows: list[list[float]]) -> None:
    heights = torch.tensor(rows)
    assert torch.equal(order_by_height(heights), heights.sort(dim=1, descending=True, stable=True).indices)
