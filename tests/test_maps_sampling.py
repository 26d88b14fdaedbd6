"""Reading maps between cells, against the formula and against grid_sample of the other convention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pose_core.maps import normalize_cells, sample_bilinear, sample_own_map


def bilinear(plane: Tensor, x: float, y: float) -> float:
    """The value between four cells; beyond the edge that of the nearest cell."""
    h, w = plane.shape
    x, y = min(max(x, 0.0), w - 1.0), min(max(y, 0.0), h - 1.0)
    left, top = min(int(x), max(w - 2, 0)), min(int(y), max(h - 2, 0))
    right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
    across, down = x - left, y - top
    upper = float(plane[top, left]) * (1 - across) + float(plane[top, right]) * across
    lower = float(plane[bottom, left]) * (1 - across) + float(plane[bottom, right]) * across
    return upper * (1 - down) + lower * down


@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    points=st.lists(
        st.tuples(st.floats(-4, 12, width=32), st.floats(-4, 12, width=32)), min_size=1, max_size=6
    ),
)
def test_values_are_those_of_the_formula(
    seed: int, size: tuple[int, int], points: list[tuple[float, float]]
) -> None:
    maps = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))
    cells = torch.tensor(points).expand(2, 1, -1, 2)
    found = sample_bilinear(maps, cells)
    assert found.shape == (2, 3, 1, len(points))
    for b in range(2):
        for c in range(3):
            for i, (x, y) in enumerate(points):
                assert math.isclose(float(found[b, c, 0, i]), bilinear(maps[b, c], x, y), abs_tol=1e-5)


@given(seed=st.integers(0, 10**6), size=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_both_conventions_of_grid_sample_agree(seed: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, *size, generator=generator)
    cells = torch.rand(2, 4, 5, 2, generator=generator) * 24 - 2
    corners = (2 * cells + 1) / torch.tensor([size[1], size[0]]) - 1
    expected = F.grid_sample(maps, corners, padding_mode="border", align_corners=False)
    torch.testing.assert_close(sample_bilinear(maps, cells), expected, atol=1e-5, rtol=0)


def test_each_map_is_read_at_its_own_points() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 5, 6, generator=generator)
    cells = torch.rand(2, 4, 3, 2, generator=generator) * 5
    found = sample_own_map(maps, cells)
    assert found.shape == (2, 4, 3)
    every = sample_bilinear(maps, cells)  # (B, K, M, K)
    torch.testing.assert_close(found, every.diagonal(dim1=1, dim2=3))
    ramp = torch.arange(30.0).view(1, 1, 5, 6)
    at = torch.tensor([[1.5, 2.25], [-3.0, 1.0], [9.0, 9.0]])[None, :, None]
    torch.testing.assert_close(sample_own_map(ramp, at)[0, :, 0], torch.tensor([15.0, 6.0, 29.0]))


def test_centres_of_the_outer_cells_are_the_ends() -> None:
    cells = torch.tensor([[0.0, 0.0], [9.0, 4.0], [4.5, 2.0]])
    assert normalize_cells(cells, (5, 10)).tolist() == [[-1, -1], [1, 1], [0, 0]]
